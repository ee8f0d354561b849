//! stub
#[allow(dead_code)]
pub(crate) enum Hello {
    Partial,
    NotTls,
    Malformed,
    Found(ClientHello),
}
#[allow(dead_code)]
pub(crate) struct ClientHello {
    pub(crate) server_name: Option<Box<str>>,
    pub(crate) encrypted: bool,
    pub(crate) alpn_h2: bool,
}
pub(crate) fn read_hello(bytes: &[u8]) -> Hello {
    let mut a = rustls::server::Acceptor::default();
    let mut c = std::io::Cursor::new(bytes);
    while (c.position() as usize) < bytes.len() {
        if a.read_tls(&mut c).is_err() {
            return Hello::NotTls;
        }
        match a.accept() {
            Ok(Some(x)) => {
                return Hello::Found(ClientHello {
                    server_name: x.client_hello().server_name().map(Into::into),
                    encrypted: false,
                    alpn_h2: true,
                });
            }
            Ok(None) => {}
            Err(_) => return Hello::NotTls,
        }
    }
    Hello::Partial
}
