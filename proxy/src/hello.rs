//! The ClientHello at the start of a tunnel, read without consuming it.
//!
//! Records are joined here (RFC 8446, 5.1), the message is parsed by `tls-parser`: rustls'
//! `Acceptor` does not tell whether a hello holds an encrypted one. Where the standard leaves one
//! reading, any other is [`Hello::Malformed`], as a site might read it differently: an extension
//! given twice (RFC 8446, 4.2), several server names or none (RFC 6066, 3), lengths that do not
//! add up, empty records, bytes after the hello. A name is handed on as sent; one that is an
//! address or odd ASCII is for the caller to hold against the host that was asked for.

use tls_parser::{SNIType, TlsExtension};

/// Most bytes of a hello, its record headers among them. It bounds the number of records too.
pub(crate) const MOST_HELLO_BYTES: usize = 20 * 1024;
const RECORD_HEADER: usize = 5;
const MOST_IN_RECORD: usize = 1 << 14;
const MESSAGE_HEADER: usize = 4;
const CONTENT_HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
/// RFC 9849, and the draft's extension (`encrypted_server_name`) before it.
const ENCRYPTED: [u16; 2] = [0xfe0d, 0xffce];

/// What the first bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hello {
    /// The start of a ClientHello, or nothing yet.
    Partial,
    NotTls,
    /// A ClientHello that breaks the standard, or one beyond [`MOST_HELLO_BYTES`].
    Malformed,
    Found(ClientHello),
}

/// What a ClientHello says of where it is going.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientHello {
    /// As sent: ASCII, not canonical.
    pub(crate) server_name: Option<Box<str>>,
    /// Whether there is an `encrypted_client_hello` extension, be it for practice (GREASE).
    pub(crate) encrypted: bool,
}

/// Reads the hello at the start of a tunnel.
pub(crate) fn read_hello(bytes: &[u8]) -> Hello {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        let first = rest.len() == bytes.len();
        let odd = if first { Hello::NotTls } else { Hello::Malformed };
        if rest.first().is_some_and(|kind| *kind != CONTENT_HANDSHAKE)
            || rest.get(1).is_some_and(|major| *major != 3)
            || rest.get(2).is_some_and(|minor| *minor > 4)
        {
            return odd;
        }
        let Some((header, after)) = rest.split_at_checked(RECORD_HEADER) else {
            return partial(bytes);
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if length == 0 || length > MOST_IN_RECORD {
            return Hello::Malformed;
        }
        if first && after.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Hello::NotTls;
        }
        let Some((fragment, after)) = after.split_at_checked(length) else {
            return partial(bytes);
        };
        message.extend_from_slice(fragment);
        rest = after;
        if let Some((&[_, a, b, c], body)) = message.split_first_chunk::<MESSAGE_HEADER>() {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if length > MOST_HELLO_BYTES || body.len() > length {
                return Hello::Malformed;
            }
            if body.len() == length {
                return parse(body).map_or(Hello::Malformed, Hello::Found);
            }
        }
    }
}

fn partial(bytes: &[u8]) -> Hello {
    if bytes.len() < MOST_HELLO_BYTES { Hello::Partial } else { Hello::Malformed }
}

fn parse(body: &[u8]) -> Option<ClientHello> {
    let (rest, hello) = tls_parser::parse_tls_handshake_client_hello(body).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let mut kinds = Vec::new();
    let mut server_name = None;
    let mut extensions = hello.ext.unwrap_or_default();
    // Walked here, not by the library: it stops in silence at the first one that it cannot read.
    while !extensions.is_empty() {
        let (&[a, b, c, d], after) = extensions.split_first_chunk::<4>()?;
        let kind = u16::from_be_bytes([a, b]);
        let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes([c, d])))?;
        if kind == SERVER_NAME {
            server_name = Some(name(data)?);
        }
        kinds.push(kind);
        extensions = after;
    }
    kinds.sort_unstable();
    if kinds.windows(2).any(|two| two[0] == two[1]) {
        return None;
    }
    let encrypted = ENCRYPTED.iter().any(|kind| kinds.binary_search(kind).is_ok());
    Some(ClientHello { server_name, encrypted })
}

fn name(data: &[u8]) -> Option<Box<str>> {
    let (_, TlsExtension::SNI(names)) = tls_parser::parse_tls_extension_sni_content(data).ok()?
    else {
        return None;
    };
    let [(SNIType::HostName, name)] = names[..] else { return None };
    // Two lengths and a kind go before the name, and nothing comes after it.
    let whole = data.len() == name.len() + 5
        && usize::from(data[1]) + 256 * usize::from(data[0]) + 2 == data.len();
    (whole && !name.is_empty() && name.is_ascii())
        .then(|| std::str::from_utf8(name).ok().map(Into::into))?
}

#[cfg(test)]
#[path = "hello_tests.rs"]
mod tests;
