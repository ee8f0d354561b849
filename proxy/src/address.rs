//! Which addresses may be dialled.
//!
//! A filter inside a school's network is a bridge that outsiders' names can point through
//! (server-side request forgery, DNS rebinding), so what counts is the *address* about to be
//! dialled, never the name. Ranges follow the IANA special-purpose registries (RFC 6890).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of place an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The internet.
    Public,
    /// The machine itself or the school's own network: only for names in `allow_private`.
    Private,
    /// Never a web site: metadata services, link-local, multicast, unspecified, reserved.
    Never,
}

/// Classifies an address. Addresses that carry an IPv4 address inside (mapped, NAT64, 6to4,
/// ISATAP) are as restricted as the address they lead to.
#[must_use]
pub(crate) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

/// The address in the form in which it is compared and dialled: mapped IPv6 is plain IPv4.
#[must_use]
pub(crate) fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        // Metadata services outside link-local: Azure's wire server, Oracle's, Alibaba's.
        [168, 63, 129, 16] | [192, 0, 0, 192] | [100, 100, 100, 200] => Reach::Never,
        [10 | 127, ..] => Reach::Private,
        [172, second, ..] if second & 0xf0 == 16 => Reach::Private,
        [192, 168, ..] => Reach::Private,
        // Carrier-grade NAT (RFC 6598) and benchmark networks (RFC 2544) are somebody's inside.
        [100, second, ..] if second & 0xc0 == 64 => Reach::Private,
        [198, 18 | 19, ..] => Reach::Private,
        [0, ..] | [169, 254, ..] | [192, 0, 0, _] => Reach::Never,
        // Documentation (RFC 5737) and the retired 6to4 relay anycast.
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => Reach::Never,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => Reach::Never,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if let Some(inner) = carried_v4(address) {
        return match reach_v4(inner) {
            Reach::Public => Reach::Public,
            // A tunnelled form of an inside address has no honest use, whatever the name.
            Reach::Private if address.to_ipv4_mapped().is_some() => Reach::Private,
            Reach::Private | Reach::Never => Reach::Never,
        };
    }
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Private,
        // Amazon's IPv6 metadata and DNS addresses.
        [0xfd00, 0x0ec2, ..] => Reach::Never,
        [first, ..] if first & 0xfe00 == 0xfc00 => Reach::Private,
        // Documentation (RFC 3849, RFC 9637).
        [0x2001, 0x0db8, ..] | [0x3fff, 0x0000..=0x0fff, ..] => Reach::Never,
        // IETF protocol assignments (RFC 2928): Teredo, benchmarking, ORCHID and the like.
        [0x2001, 0x0000..=0x01ff, ..] => Reach::Never,
        // Global unicast is 2000::/3; everything else is link-local, site-local, multicast,
        // discard-only, segment routing or unassigned.
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

/// The IPv4 address that an IPv6 address carries, by the forms that a router or a socket unwraps.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let low = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        // ::ffff:a.b.c.d
        [0, 0, 0, 0, 0, 0xffff, high, l] => Some(low(high, l)),
        // ::ffff:0:a.b.c.d (RFC 2765)
        [0, 0, 0, 0, 0xffff, 0, high, l] => Some(low(high, l)),
        // ::a.b.c.d, long deprecated, but :: and ::1 are not of this form.
        [0, 0, 0, 0, 0, 0, high, l] if (high, l) > (0, 1) => Some(low(high, l)),
        // 64:ff9b::/96 (RFC 6052) and 64:ff9b:1::/48 (RFC 8215, the common /96 form).
        [0x64, 0xff9b, 0, 0, 0, 0, high, l] | [0x64, 0xff9b, 1, _, _, _, high, l] => {
            Some(low(high, l))
        }
        // 2002:a.b.c.d::/16 (6to4)
        [0x2002, high, l, ..] => Some(low(high, l)),
        // ...:[02]00:5efe:a.b.c.d (ISATAP)
        [_, _, _, _, 0 | 0x0200, 0x5efe, high, l] => Some(low(high, l)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed parse is a failed test")]
    use super::*;

    #[test]
    fn each_special_range_is_known_at_both_of_its_ends() {
        let cases = [
            (Reach::Public, "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0"),
            (
                Reach::Public,
                "100.63.255.255 100.128.0.0 169.253.255.255 169.255.0.0 223.255.255.255",
            ),
            (
                Reach::Public,
                "192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 126.0.0.1 128.0.0.1",
            ),
            (Reach::Private, "10.0.0.0 10.255.255.255 127.0.0.1 127.255.255.255 192.168.0.0"),
            (
                Reach::Private,
                "192.168.255.255 172.16.0.0 172.31.255.255 100.64.0.0 100.127.255.255",
            ),
            (Reach::Private, "198.18.0.0 198.19.255.255"),
            (Reach::Never, "0.0.0.0 0.255.255.255 169.254.169.254 169.254.0.0 169.254.255.255"),
            (Reach::Never, "224.0.0.1 239.255.255.255 240.0.0.0 255.255.255.255 192.0.0.1"),
            (Reach::Never, "192.0.2.1 198.51.100.7 203.0.113.9 168.63.129.16 100.100.100.200"),
            (
                Reach::Public,
                "2606:4700::1111 2a00:1450:4009::200e 2001:200::1 2001:4860::8888 3ffe::1",
            ),
            (Reach::Private, "::1 fc00::1 fdff:ffff::1"),
            (Reach::Never, ":: fe80::1 febf::1 fec0::1 ff02::1 2001:db8::1 3fff::1 100::1 5f00::1"),
            (
                Reach::Never,
                "2001:0:4136:e378:8000:63bf:f7f7:f7f7 fd00:ec2::254 2001:10::1 2001:20::1 4000::1",
            ),
        ];
        for (expected, addresses) in cases {
            for text in addresses.split(' ') {
                assert_eq!(reach(text.parse().unwrap()), expected, "{text}");
            }
        }
    }

    #[test]
    fn an_ipv4_address_wrapped_in_ipv6_is_no_way_round() {
        let cases = [
            ("::ffff:127.0.0.1", Reach::Private),
            ("::ffff:169.254.169.254", Reach::Never),
            ("::ffff:8.8.8.8", Reach::Public),
            ("::127.0.0.1", Reach::Never),
            ("64:ff9b::7f00:1", Reach::Never),
            ("64:ff9b::a9fe:a9fe", Reach::Never),
            ("64:ff9b::808:808", Reach::Public),
            ("64:ff9b:1::a00:1", Reach::Never),
            ("2002:7f00:1::", Reach::Never),
            ("2002:c0a8:101::1", Reach::Never),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Reach::Never),
            ("2606:4700:0:0:0:5efe:10.0.0.1", Reach::Never),
            ("::ffff:0:10.0.0.1", Reach::Never),
        ];
        for (text, expected) in cases {
            assert_eq!(reach(text.parse().unwrap()), expected, "{text}");
        }
    }
}
