//! `application/x-www-form-urlencoded`: names and values with `+` and `%XX` (URL, 5.1).

use super::Values;
use crate::page::json::Strings;

/// Reads a form.
#[derive(Debug, Default)]
pub(super) struct Form {
    in_value: bool,
    /// What came of `%XX`: nothing, the sign, or the sign and a digit.
    escape: Escape,
}

#[derive(Clone, Copy, Debug, Default)]
enum Escape {
    #[default]
    None,
    Sign,
    Digit(u8),
}

impl Form {
    pub(super) fn push(&mut self, bytes: &[u8], values: &mut Values) {
        for &byte in bytes {
            if !self.in_value {
                if byte == b'=' {
                    self.in_value = true;
                    values.begin_value(true);
                }
                continue;
            }
            match (self.escape, char::from(byte).to_digit(16)) {
                (Escape::Sign, Some(_)) => {
                    self.escape = Escape::Digit(byte);
                    continue;
                }
                (Escape::Digit(first), Some(low)) => {
                    let high = char::from(first).to_digit(16).unwrap_or(0);
                    self.escape = Escape::None;
                    values.take(&[(high << 4 | low) as u8]);
                    continue;
                }
                _ => self.end_escape(values),
            }
            match byte {
                b'&' => {
                    self.in_value = false;
                    values.end();
                }
                b'+' => values.take(b" "),
                b'%' => self.escape = Escape::Sign,
                _ => values.take(&[byte]),
            }
        }
    }

    /// What looked like an escape is text.
    fn end_escape(&mut self, values: &mut Values) {
        match std::mem::take(&mut self.escape) {
            Escape::None => {}
            Escape::Sign => values.take(b"%"),
            Escape::Digit(digit) => values.take(&[b'%', digit]),
        }
    }

    pub(super) fn end(&mut self, values: &mut Values) {
        if self.in_value {
            self.end_escape(values);
            values.end();
            self.in_value = false;
        }
    }
}
