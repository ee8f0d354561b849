//! The forms in which devices take a root certificate.

use super::store::Entry;
use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Characters of base64 in a line (RFC 7468, 2).
const PEM_WIDTH: usize = 64;

/// The certificate as PEM (RFC 7468).
#[must_use]
pub fn pem(certificate: &[u8]) -> String {
    let text = Base64::encode_string(certificate);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(PEM_WIDTH));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

/// An Apple configuration profile with one `com.apple.security.root` payload for each authority.
///
/// Its identifiers depend on the certificates alone: installed again, it replaces itself.
#[must_use]
pub fn mobileconfig(school: &str, entries: &[&Entry]) -> String {
    let mut payloads = String::new();
    let mut all = Vec::new();
    for entry in entries {
        let (id, uuid) = (&entry.id, uuid(&["root", &entry.id], &entry.certificate));
        all.extend_from_slice(&entry.certificate);
        let name = xml(&entry.facts.name);
        let data = Base64::encode_string(&entry.certificate);
        let _ = write!(
            payloads,
            "    <dict>
      <key>PayloadCertificateFileName</key>
      <string>schoolgate-ca-{id}.cer</string>
      <key>PayloadContent</key>
      <data>{data}</data>
      <key>PayloadDescription</key>
      <string>Lets this device trust the school's web filter.</string>
      <key>PayloadDisplayName</key>
      <string>{name}</string>
      <key>PayloadIdentifier</key>
      <string>org.schoolgate.ca.{id}</string>
      <key>PayloadType</key>
      <string>com.apple.security.root</string>
      <key>PayloadUUID</key>
      <string>{uuid}</string>
      <key>PayloadVersion</key>
      <integer>1</integer>
    </dict>
"
        );
    }
    let first = entries.first().map_or("none", |entry| entry.id.as_str());
    let (school, uuid) = (xml(school), uuid(&["profile"], &all));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<plist version=\"1.0\">
<dict>
  <key>PayloadContent</key>
  <array>
{payloads}  </array>
  <key>PayloadDescription</key>
  <string>The certificate authority of the web filter of {school}.</string>
  <key>PayloadDisplayName</key>
  <string>{school} web filter</string>
  <key>PayloadIdentifier</key>
  <string>org.schoolgate.profile.{first}</string>
  <key>PayloadOrganization</key>
  <string>{school}</string>
  <key>PayloadType</key>
  <string>Configuration</string>
  <key>PayloadUUID</key>
  <string>{uuid}</string>
  <key>PayloadVersion</key>
  <integer>1</integer>
</dict>
</plist>
"
    )
}

/// A UUID of version 8 (RFC 9562, 5.8) made of a certificate: the same each time.
fn uuid(what: &[&str], certificate: &[u8]) -> String {
    let mut digest = Sha256::new();
    for part in what {
        digest.update(part);
        digest.update([0]);
    }
    digest.update(certificate);
    let mut bytes = digest.finalize();
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = super::hex(&bytes[..16]).to_ascii_uppercase();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Text for an XML element; characters that XML 1.0 cannot have become spaces.
fn xml(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
        out
    })
}
