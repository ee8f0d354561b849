//! The replay school: who asks, from where, and which hosts exist.

use crate::load::Person;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "replay school";

/// Guests come from here, without signing in.
pub(crate) const GUEST_NETWORK: &str = "127.20.0.0/16";

/// People and hosts.
#[derive(Clone, Debug)]
pub(crate) struct School {
    /// Every host of the trace, and `replay.test`.
    pub hosts: BTreeSet<String>,
    /// Users who sign in, with their levels.
    pub users: Vec<(String, String)>,
}

impl School {
    /// Twelve pupils and four members of staff.
    pub(crate) fn new(hosts: BTreeSet<String>) -> Self {
        let user = |level: &str, number: usize| (format!("{level}{number}"), level.to_owned());
        let pupils = (1..=12).map(|number| user("pupil", number));
        let staff = (1..=4).map(|number| user("staff", number));
        Self { hosts, users: pupils.chain(staff).collect() }
    }

    /// The person behind connection `number`: three of five are pupils, one is staff, one a guest
    /// who is known by the network alone.
    pub(crate) fn person(&self, number: usize) -> Person {
        let host = u8::try_from(number % 200 + 1).unwrap_or(1);
        if number % 5 == 4 {
            let address = IpAddr::V4(Ipv4Addr::new(127, 20, 0, host));
            return Person { address, credentials: String::new() };
        }
        let level = if number % 5 == 3 { "staff" } else { "pupil" };
        let of_level: Vec<&String> =
            self.users.iter().filter(|(_, of)| of == level).map(|(name, _)| name).collect();
        let name = of_level[number / 5 % of_level.len()];
        let token = base64(format!("{name}:{PASSWORD}").as_bytes());
        Person {
            address: IpAddr::V4(Ipv4Addr::new(127, 10, 0, host)),
            credentials: format!("Proxy-Authorization: Basic {token}\r\n"),
        }
    }
}

/// RFC 4648 base 64, padded.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, i| word << 8 | u32::from(*chunk.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let letter = ALPHABET[(word >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
