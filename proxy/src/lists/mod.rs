//! x

/// Whether a URL leads to the machine itself or to a name that may be inside the school.
pub(crate) fn is_inside(url: &url::Url, allow_private: &[rules::host::Host]) -> bool {
    let Some(host) = url.host_str().and_then(|host| rules::host::Host::parse(host).ok()) else {
        return false;
    };
    host.address().is_some_and(|address| address.is_loopback())
        || host.suffixes().any(|name| allow_private.iter().any(|allowed| allowed.as_str() == name))
}
