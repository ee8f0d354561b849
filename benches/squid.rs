//! Debian's Squid with the same names, people and levels, for comparison.

use crate::child::{Pinning, Started, free_address};
use crate::debian::Package;
use crate::lists::{self, LEVELS, List};
use crate::school::{GUEST_NETWORK, School};
use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// crypt(3) MD5 hash of [`crate::school::PASSWORD`], as `basic_ncsa_auth` reads it.
const PASSWORD_HASH: &str = "$1$replay00$3dkmIlIgqSLVmQV/dkFSW0";

/// A running Squid.
pub(crate) struct Squid {
    /// The process.
    pub process: Started,
    /// Where it listens.
    pub address: SocketAddr,
    /// From start to the first accepted connection.
    pub ready_after: Duration,
    /// Names in its lists, all levels together.
    pub names: usize,
    log: PathBuf,
    service: String,
}

/// What Squid needs to know.
pub(crate) struct Setting<'a> {
    /// Program.
    pub program: Program<'a>,
    /// Folder for its files.
    pub folder: &'a Path,
    /// Lists.
    pub lists: &'a [List],
    /// People and hosts.
    pub school: &'a School,
    /// Worker processes.
    pub workers: usize,
    /// Tunnels are looked into (`ssl-bump`).
    pub bump: Option<Bump<'a>>,
    /// Processors.
    pub pinning: &'a Pinning,
}

/// Which Squid.
#[derive(Clone, Copy)]
pub(crate) enum Program<'a> {
    /// An installed one.
    Installed(&'a Path),
    /// One that was unpacked with its data.
    Unpacked(&'a Package),
}

/// Squid below the folder of its package.
pub(crate) const SQUID: &str = "usr/sbin/squid";

/// What looking into tunnels takes.
#[derive(Clone, Copy)]
pub(crate) struct Bump<'a> {
    /// The authority's certificate and key, in one PEM file.
    pub authority: &'a Path,
    /// The authority that sites are verified with.
    pub sites: &'a Path,
    /// Whether certificates are made before the site was asked for its own (`bump` at the first
    /// step), which is cheaper and lets connections to sites be shared, but mimics no name.
    pub client_first: bool,
}

impl Squid {
    /// Writes the configuration and starts Squid.
    ///
    /// # Errors
    /// A sentence: what failed, with the end of Squid's own log.
    pub(crate) fn start(setting: &Setting<'_>) -> Result<Self, String> {
        let address = free_address().map_err(|error| error.to_string())?;
        let folder = setting.folder;
        let names = write_files(setting, address).map_err(|error| format!("squid: {error}"))?;
        let mut command = match setting.program {
            Program::Installed(path) => Command::new(path),
            Program::Unpacked(package) => package.command(SQUID),
        };
        command.arg("-f").arg(folder.join("squid.conf"));
        let service = service_name(setting);
        // Its shared memory must not be that of another Squid on this machine.
        command.args(["-n", &service]);
        make_certificate_store(setting)?;
        // One worker: one process and no coordinator, which is Squid at its cheapest.
        command.arg(if setting.workers == 1 { "-N" } else { "--foreground" });
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
        let complaints = folder.join("complaints");
        command.stderr(std::fs::File::create(&complaints).map_err(|error| error.to_string())?);
        let begun = Instant::now();
        let process = Started::new(&mut command, &setting.pinning.proxy, &setting.pinning.rest)
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        let log = folder.join("access.log");
        let mut squid = Self { process, address, ready_after: Duration::ZERO, names, log, service };
        while begun.elapsed() < Duration::from_secs(120) {
            if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
                squid.ready_after = begun.elapsed();
                return Ok(squid);
            }
            if let Some(status) = squid.process.ended() {
                // It complains on its standard error until it has its own log.
                let said: String = [&complaints, &folder.join("cache.log")]
                    .map(|file| std::fs::read_to_string(file).unwrap_or_default())
                    .concat();
                let tail: Vec<&str> = said.lines().rev().take(5).collect();
                return Err(format!("squid ended with {status}: {}", tail.join(" / ")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("squid did not listen within 120 s".to_owned())
    }

    /// Lines of its access log so far.
    pub(crate) fn records(&self) -> u64 {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
    }
}

/// Writes `squid.conf` and what it names; returns how many names the lists hold.
fn write_files(setting: &Setting<'_>, address: SocketAddr) -> io::Result<usize> {
    let Setting { folder, lists, school, .. } = setting;
    std::fs::create_dir_all(folder)?;
    let mut hosts = String::new();
    let mut users = String::new();
    for host in &school.hosts {
        let _ = writeln!(hosts, "127.0.0.1 {host}");
    }
    for (name, _) in &school.users {
        let _ = writeln!(users, "{name}:{PASSWORD_HASH}");
    }
    std::fs::write(folder.join("hosts"), hosts)?;
    std::fs::write(folder.join("users"), users)?;
    let mut count = 0;
    for level in LEVELS {
        let names = lists::names_blocked_for(level, lists);
        count += names.len();
        std::fs::write(folder.join(level), names.join("\n") + "\n")?;
    }
    std::fs::write(folder.join("squid.conf"), configuration(setting, address))?;
    give_to_squid(folder)?;
    Ok(count)
}

/// Debian's defaults but for: no cache, no DNS, and the log written by Squid itself with buffers
/// rather than by a helper process, which is cheaper for Squid.
fn configuration(setting: &Setting<'_>, address: SocketAddr) -> String {
    let at = |name: &str| setting.folder.join(name).display().to_string();
    let named = |level: &str| -> String {
        let users = &setting.school.users;
        let names: Vec<&str> =
            users.iter().filter(|(_, of)| of == level).map(|(name, _)| name.as_str()).collect();
        names.join(" ")
    };
    let helper = helper(setting, "basic_ncsa_auth");
    let (bump_listener, bump_lines) = bumping(setting);
    format!(
        "http_port {address}{bump_listener}\n\
         {bump_lines}\
         {data}\
         workers {workers}\n\
         visible_hostname replay\n\
         pid_filename {pid}\n\
         coredump_dir {folder}\n\
         cache_log {cache_log}\n\
         access_log stdio:{access_log} squid\n\
         buffered_logs on\n\
         hosts_file {hosts}\n\
         cache deny all\n\
         forwarded_for delete\n\
         shutdown_lifetime 1 seconds\n\
         logfile_rotate 0\n\
         pinger_enable off\n\
         max_filedescriptors 16384\n\
         auth_param basic program {helper} {users}\n\
         auth_param basic children 2 startup=2 idle=1\n\
         auth_param basic credentialsttl 2 hours\n\
         acl guest_network src {GUEST_NETWORK}\n\
         acl pupils proxy_auth {pupils}\n\
         acl staff proxy_auth {staff}\n\
         acl pupil_sites dstdomain \"{pupil_names}\"\n\
         acl guest_sites dstdomain \"{guest_names}\"\n\
         acl staff_sites dstdomain \"{staff_names}\"\n\
         http_access deny guest_network guest_sites\n\
         http_access allow guest_network\n\
         http_access deny pupils pupil_sites\n\
         http_access allow pupils\n\
         http_access deny staff staff_sites\n\
         http_access allow staff\n\
         http_access deny all\n",
        data = data(setting),
        workers = setting.workers,
        pid = at("squid.pid"),
        folder = setting.folder.display(),
        cache_log = at("cache.log"),
        access_log = at("access.log"),
        hosts = at("hosts"),
        users = at("users"),
        pupils = named("pupil"),
        staff = named("staff"),
        pupil_names = at("pupil"),
        guest_names = at("guest"),
        staff_names = at("staff"),
    )
}

/// Started by root, Squid becomes the user `proxy`, who must be able to write here.
fn give_to_squid(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777))
}

/// Its folder's name tells two of one bench apart; Squid takes letters and digits alone.
fn service_name(setting: &Setting<'_>) -> String {
    let folder = setting.folder.file_name().unwrap_or_default().to_string_lossy();
    let letters: String = folder.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("bench{}{letters}", std::process::id())
}

/// Removes the shared memory that a Squid leaves when it is killed.
impl Drop for Squid {
    fn drop(&mut self) {
        self.process.stop(Duration::from_secs(5));
        let name = &self.service;
        for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&format!("{name}-")) {
                // Gone already: just as well.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Where Squid's helper keeps the certificates that it makes.
fn make_certificate_store(setting: &Setting<'_>) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    if setting.bump.is_none() {
        return Ok(());
    }
    let store = setting.folder.join("certificates");
    let helper = helper(setting, "security_file_certgen");
    let mut command = match setting.program {
        Program::Installed(_) => Command::new(&helper),
        Program::Unpacked(package) => package.command("usr/lib/squid/security_file_certgen"),
    };
    let made = command
        .arg("-c")
        .arg("-s")
        .arg(&store)
        .args(["-M", "16MB"])
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("{helper}: {error}"))?;
    if !made.status.success() {
        return Err(format!("{helper}: {}", String::from_utf8_lossy(&made.stderr)));
    }
    let mut open = vec![store];
    while let Some(path) = open.pop() {
        let mode = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&path, mode).map_err(|error| error.to_string())?;
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            open.push(entry.path());
        }
    }
    Ok(())
}

/// One of the programs that Squid starts.
fn helper(setting: &Setting<'_>, name: &str) -> String {
    match setting.program {
        Program::Installed(_) => format!("/usr/lib/squid/{name}"),
        Program::Unpacked(package) => {
            package.program(&format!("usr/lib/squid/{name}")).display().to_string()
        }
    }
}

/// Where an unpacked Squid has its data. An installed one knows.
fn data(setting: &Setting<'_>) -> String {
    let Program::Unpacked(package) = setting.program else { return String::new() };
    let beside = package.program("usr/share");
    let has = beside.join("squid/mime.conf").exists();
    let share = if has { beside } else { PathBuf::from("/usr/share") };
    let share = share.display();
    format!(
        "icon_directory {share}/squid/icons\nmime_table {share}/squid/mime.conf\n\
         error_directory {share}/squid-langpack/templates\nunlinkd_program {unlinkd}\n",
        unlinkd = helper(setting, "unlinkd"),
    )
}

/// What is added to the listener's line, and the lines that look into tunnels.
fn bumping(setting: &Setting<'_>) -> (String, String) {
    let Some(bump) = setting.bump else { return Default::default() };
    let listener = format!(
        " ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=16MB tls-cert={}",
        bump.authority.display()
    );
    let rules = match bump.client_first {
        true => "ssl_bump bump all\n",
        false => "acl first at_step SslBump1\nssl_bump peek first\nssl_bump bump all\n",
    };
    let lines = format!(
        "sslcrtd_program {maker} -s {store} -M 16MB\n\
         sslcrtd_children 4 startup=1 idle=1\n\
         tls_outgoing_options cafile={sites}\n\
         {rules}",
        maker = helper(setting, "security_file_certgen"),
        store = setting.folder.join("certificates").display(),
        sites = bump.sites.display(),
    );
    (listener, lines)
}
