//! The authorities that sites' certificates are held against: those of the operating system, which its
//! updates keep, or the ones inside the program; and the school's own.

use crate::config::{Roots, Upstream};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::{Path, PathBuf};

/// Where operating systems keep them all in one file, in PEM.
const SYSTEM: [&str; 5] = [
    // Debian, Ubuntu.
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora, Red Hat.
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    // SUSE.
    "/etc/ssl/ca-bundle.pem",
    // Alpine.
    "/etc/ssl/cert.pem",
];

/// A file that cannot be read, or holds something else.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", .file.display())]
pub struct RootsError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// The roots of the machine file.
///
/// # Errors
/// [`RootsError`]: one of `ca_files` cannot be used. A system without roots is no error: the ones
/// inside the program stand in for them.
pub(crate) fn load(upstream: &Upstream) -> Result<RootCertStore, RootsError> {
    let places = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let places: Vec<PathBuf> = places.into_iter().chain(SYSTEM.map(PathBuf::from)).collect();
    let mut roots = match upstream.roots {
        Roots::BuiltIn => built_in(),
        Roots::System => of_system(&places).unwrap_or_else(|| {
            tracing::warn!(
                "this system has no roots (ca-certificates); the built-in ones stand in"
            );
            built_in()
        }),
    };
    for file in &upstream.ca_files {
        for certificate in pem::<CertificateDer<'static>>(file)? {
            roots.add(certificate).map_err(|error| fault(file, error))?;
        }
    }
    Ok(roots)
}

fn built_in() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// The roots of the first file that has any. One that rustls cannot use is left out, as no site needs
/// it: systems keep very old ones.
fn of_system(places: &[PathBuf]) -> Option<RootCertStore> {
    places.iter().find_map(|file| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(pem::<CertificateDer<'static>>(file).ok()?);
        (!roots.is_empty()).then_some(roots)
    })
}

/// What a file in PEM holds of one kind, which must be something.
pub(crate) fn pem<T: PemObject>(file: &Path) -> Result<Vec<T>, RootsError> {
    let all: Vec<T> =
        T::pem_file_iter(file).and_then(Iterator::collect).map_err(|error| fault(file, error))?;
    if all.is_empty() {
        return Err(fault(file, "there is nothing of its kind in it"));
    }
    Ok(all)
}

fn fault(file: &Path, why: impl std::fmt::Display) -> RootsError {
    RootsError { file: file.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a malformed fixture is a failed test")]
    use super::*;

    fn certificate(name: &str) -> String {
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn the_systems_roots_are_those_of_the_first_file_that_has_some() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let two = certificate("a.test") + broken + &certificate("b.test");
        let places = [
            folder.path().join("missing"),
            file("empty", "nothing"),
            file("broken", broken),
            file("two", &two),
            file("one", &certificate("c.test")),
        ];
        assert_eq!(of_system(&places).unwrap().len(), 2);
        assert!(of_system(&places[..3]).is_none());
    }

    #[test]
    fn the_schools_own_come_on_top_of_either() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("own.pem"), certificate("own.test")).unwrap();
        let upstream = |roots: &str, files: &str| {
            let text = format!("[upstream]\nroots = \"{roots}\"\nca_files = [{files}]\n");
            crate::config::Config::parse(&text, "m", folder.path()).unwrap().upstream
        };
        for roots in ["system", "built-in"] {
            let without = load(&upstream(roots, "")).unwrap().len();
            assert!(without > 50, "{roots}: {without}");
            assert_eq!(load(&upstream(roots, "\"own.pem\"")).unwrap().len(), without + 1);
            let error = load(&upstream(roots, "\"no.pem\"")).unwrap_err().to_string();
            assert!(error.contains("no.pem"), "{error}");
        }
    }
}
