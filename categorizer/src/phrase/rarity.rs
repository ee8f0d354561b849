//! How rare a few bytes are in ordinary text, estimated from pairs of letters.
//!
//! Counted in 2.6 million letters of English prose. Other languages differ, but what is rare in
//! English is seldom common there, and a wrong estimate costs time, never a match.

/// Letters, space, and all else.
const CLASSES: usize = 28;

/// How surprising each class is: its bits, doubled.
const ALONE: [u8; CLASSES] = [
    8, 12, 10, 10, 7, 11, 12, 11, 8, 19, 15, 10, 11, 8, 8, 11, 19, 8, 9, 8, 11, 14, 13, 15, 13, 18,
    5, 9,
];

/// How surprising the second class is after the first: its bits, doubled, as `'0' + n`.
const AFTER: [&[u8; CLASSES]; CLASSES] = [
    b"B:98C?<C:E<7:5F:G775<<?@<D8@",
    b"8A>D5BEF7=B5=D8BL8;@5CIN7E:=",
    b"7D<D6?F69H9:BG5?E8;79BGK<H7>",
    b"9BC85A@A8DF>AA8CG<;@;BBJ@M2?",
    b"9A:7<<>B?HD::7B<>67:C=>;@E3@",
    b"9C?@79?G5KJ;>?4GK8><9JKF=I5<",
    b";C@E4B>9:ND=B::EF9:>:HDG@G3B",
    b"5BDE3AGJ6MEC=A8FM<?<>LGL@K6?",
    b";;8;;:;JCK@9846=G<76H<L:L<<C",
    b"8C>C3CDE5C>DA>6<EA7@6CEGBG>C",
    b";@==3B>F6FG?A:<AD?7@<B@J@L4B",
    b"8B?94?@G5LD6DD7?IA:::AA@8I6E",
    b"5;B=4CBI7FJ><B86KC:>9AFI@K6@",
    b"9D868>6C:H==B>8@KD76=>EG=F4D",
    b"@?9:@9>E=?>;85=:L5;:8:9AFH6F",
    b"6DA<6B><9L?6BE68L6<8:CFF=L8B",
    b"EH?@CAFHEHH4E=FHC=AF1ECEEE7F",
    b"7B=<4><D8L=@;<7BH;89:>@J:K5E",
    b";D=A5DF;8K@>>A:;?>:69EBI<J3C",
    b"8D=>6?D56MI=DF7AN8:=:F@G;D5E",
    b";;:<9>;J9MG886B7O656FBG>JC:=",
    b"6E@F2AFH6KGHAH;GJCAEAGM>DE88",
    b"6KFE7DF64IG?G98DJ99?FIHKCK5F",
    b"8B<@5BB>9KFD?F?7KG>7@DB?BI39",
    b"=@AA=ABE=IF>?977D?9:BAAHDE1A",
    b"6@F=2ABA8C?>=F6FEF;E>DHD;;8C",
    b"798::8>=8@A;:;9:B986:<:B>AO6",
    b"A@@@@@IHKNGGGFKGKECDHGJCLO22",
];

fn class(byte: u8) -> usize {
    match byte {
        b'a'..=b'z' => usize::from(byte - b'a'),
        b' ' => 26,
        _ => 27,
    }
}

/// How surprising some bytes are: their bits, doubled.
pub(super) fn surprise(bytes: &[u8]) -> u32 {
    let first = bytes.first().map_or(0, |&byte| u32::from(ALONE[class(byte)]));
    let pairs = bytes.windows(2);
    first + pairs.map(|pair| u32::from(AFTER[class(pair[0])][class(pair[1])] - b'0')).sum::<u32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_letters_are_held_to_be_common() {
        assert!(surprise(b" the") < surprise(b"tion"));
        assert!(surprise(b"tion") < surprise(b"zxqj"));
    }
}
