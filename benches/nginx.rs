//! nginx as a reverse proxy to the one origin: it chooses no site, decides nothing and records nothing.
//! No forward proxy can be expected to cost less, so it shows the floor.

use crate::child::{Pinning, Started, free_addresses};
use crate::debian;
use crate::entrant::{Entrant, Inspected};
use crate::sites;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const NGINX: &str = "usr/sbin/nginx";

/// Fetches and starts it, before the origin's plain port and the one with TLS.
///
/// # Errors
/// A sentence: what failed, with what it said.
pub(crate) fn start(
    cache: &Path,
    folder: &Path,
    plain: SocketAddr,
    secure: SocketAddr,
    authority_of_sites: &Path,
    pinning: &Pinning,
) -> Result<Entrant, String> {
    let package = debian::package(cache, "nginx", NGINX, &[])?;
    let say = |error: std::io::Error| format!("nginx: {error}");
    let [http, tls] = free_addresses().map_err(say)?;
    let (authority, leaf, key) =
        sites::leaf("Bench nginx", crate::cases::PLAIN_HOST).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(folder.join("temporary")).map_err(say)?;
    std::fs::write(folder.join("leaf.pem"), leaf).map_err(say)?;
    std::fs::write(folder.join("leaf.key"), key).map_err(say)?;
    let text = configuration(http, tls, plain, secure, authority_of_sites);
    std::fs::write(folder.join("nginx.conf"), text).map_err(say)?;
    let said = folder.join("said.log");
    let to = std::fs::File::create(&said).map_err(say)?;
    let mut command = package.command(NGINX);
    command.args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(folder).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(to);
    let mut process = Started::new(&mut command, &pinning.proxy, &pinning.rest).map_err(say)?;
    process.wait_listening("nginx", http, Duration::from_secs(20), &said)?;
    let does = "reverse proxy to one server: the floor; filters and records nothing";
    let mut entrant = Entrant::new("nginx", does, None).keeping(process);
    entrant.version = package.version;
    entrant.quiet_spells = 1;
    entrant.http = Some(http);
    entrant.inspected =
        Some(Inspected { address: tls, bare: true, authority: authority.into_bytes() });
    Ok(entrant)
}

fn configuration(
    http: SocketAddr,
    tls: SocketAddr,
    plain: SocketAddr,
    secure: SocketAddr,
    authority_of_sites: &Path,
) -> String {
    format!(
        "daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr error;\n\
         user nobody nogroup;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n\
         access_log off;\n\
         client_body_temp_path temporary/body;\nproxy_temp_path temporary/proxy;\n\
         fastcgi_temp_path temporary/fastcgi;\nuwsgi_temp_path temporary/uwsgi;\n\
         scgi_temp_path temporary/scgi;\n\
         keepalive_requests 1000000000;\n\
         proxy_http_version 1.1;\nproxy_set_header Connection \"\";\nproxy_set_header Host $http_host;\n\
         proxy_max_temp_file_size 0;\n\
         ssl_protocols TLSv1.3;\nssl_session_tickets on;\n\
         upstream plain {{ server {plain}; keepalive 128; keepalive_requests 1000000000; }}\n\
         upstream secure {{ server {secure}; keepalive 128; keepalive_requests 1000000000; }}\n\
         server {{ listen {http}; location / {{ proxy_pass http://plain; }} }}\n\
         server {{\n\
         listen {tls} ssl;\nssl_certificate leaf.pem;\nssl_certificate_key leaf.key;\n\
         location / {{\n\
         proxy_pass https://secure;\nproxy_ssl_name {host};\nproxy_ssl_server_name on;\n\
         proxy_ssl_protocols TLSv1.3;\nproxy_ssl_verify on;\n\
         proxy_ssl_trusted_certificate {sites};\n\
         }}\n}}\n}}\n",
        host = crate::cases::PLAIN_HOST,
        sites = authority_of_sites.display(),
    )
}
