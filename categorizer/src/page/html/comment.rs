//! Comments, declarations, and the raw text of SVG and MathML.

use memchr::memchr;

use super::super::text::Text;
use super::Html;
use super::state::{DASH, State};

impl Html {
    /// Comments and other declarations.
    pub(super) fn comment(&mut self, rest: &[u8], text: &mut Text) -> usize {
        let byte = rest[0];
        self.state = match (self.state, byte) {
            (State::Declaration(0), b'-') => State::Declaration(DASH),
            (State::Declaration(DASH), b'-') => State::CommentStart,
            (State::Declaration(at), _)
                if at < DASH && self.foreign > 0 && b"[CDATA["[usize::from(at)] == byte =>
            {
                if at == 6 { State::Cdata(0) } else { State::Declaration(at + 1) }
            }
            (State::Declaration(_), _) => {
                self.state = State::BogusComment;
                return 0;
            }
            (State::BogusComment, _) => {
                let Some(end) = memchr(b'>', rest) else { return rest.len() };
                self.state = State::Data;
                return end + 1;
            }
            (State::CommentStart, b'-') => State::CommentStartDash,
            (State::CommentStart | State::CommentStartDash | State::CommentEnd, b'>')
            | (State::CommentBang, b'>') => State::Data,
            (State::CommentStartDash | State::CommentDash | State::CommentEnd, b'-') => {
                State::CommentEnd
            }
            (State::CommentEnd, b'!') => State::CommentBang,
            (State::CommentBang, b'-') => State::CommentDash,
            (State::Cdata(dashes), _) => return self.cdata(dashes, rest, text),
            _ => {
                let Some(dash) = memchr(b'-', rest) else {
                    self.state = State::Comment;
                    return rest.len();
                };
                self.state = State::CommentDash;
                return dash + 1;
            }
        };
        1
    }

    fn cdata(&mut self, brackets: u8, rest: &[u8], text: &mut Text) -> usize {
        match (brackets, rest[0]) {
            (2, b'>') => self.state = State::Data,
            (0 | 1, b']') => self.state = State::Cdata(brackets + 1),
            (2, b']') => self.show(b"]", text),
            (0, _) => {
                let end = memchr(b']', rest).unwrap_or(rest.len());
                self.show(&rest[..end], text);
                return end;
            }
            _ => {
                self.state = State::Cdata(0);
                self.show(&b"]]"[..usize::from(brackets)], text);
                return 0;
            }
        }
        1
    }
}
