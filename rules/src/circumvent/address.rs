//! Addresses in the place of names.

use std::net::{IpAddr, Ipv4Addr};

/// Whether an address stands where a name should: one of the internet's, whatever it was spelt like.
///
/// Addresses inside a network are none: whether they are reached the machine file says. What carries such an
/// address (NAT64, RFC 6052; 6to4, RFC 3056) is one.
#[must_use]
pub fn is_raw(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !is_inside(address),
        IpAddr::V6(address) => {
            let first = address.segments()[0];
            // Unique local (RFC 4193), link-local (RFC 4291, 2.5.6).
            let is_inside = first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80;
            !(is_inside || address.is_loopback() || address.is_unspecified())
        }
    }
}

/// Loopback, private (RFC 1918), link-local, and behind a carrier's translation (RFC 6598).
fn is_inside(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_unspecified()
        || first == 100 && second & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::host::Host;

    #[test]
    fn an_address_is_one_however_it_is_spelt_and_a_network_s_own_is_left_to_the_machine_file() {
        let cases = [
            ("8.8.8.8", true),
            ("134744072", true),
            ("0x08.0x08.0x08.0x08", true),
            ("0x8080808", true),
            ("010.010.010.010", true),
            ("8.526344", true),
            ("8。8。8。8", true),
            ("%38.8.8.8", true),
            ("[::ffff:8.8.8.8]", true),
            ("[::ffff:808:808]", true),
            ("[64:ff9b::808:808]", true),
            ("[2002:808:808::1]", true),
            ("[2606:4700::1]", true),
            ("127.0.0.1", false),
            ("2130706433", false),
            ("10.1.2.3", false),
            ("172.31.0.1", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("[::1]", false),
            ("[fd00::1]", false),
            ("[fe80::1]", false),
            ("[::ffff:10.0.0.1]", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_raw(Host::parse(text).unwrap().address().unwrap()), expected, "{text}");
        }
    }
}
