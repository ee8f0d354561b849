//! Starts everybody who takes part in the comparison, with the same people, names and origin.

use crate::child::{Pinning, Started};
use crate::e2guardian::{self, E2guardian};
use crate::entrant::{Entrant, Inspected, Tunnels};
use crate::large::{self, Found};
use crate::lists::List;
use crate::load::{self, Until};
use crate::rows::{Ground, Row};
use crate::school::School;
use crate::schoolgate::{self, Inspection, Schoolgate};
use crate::squid::{self, Bump, Squid};
use crate::table::{CONTROL, OURS};
use crate::{haproxy, measure, names, nginx, peers, sites, squidguard, stage, traffic_server};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everybody, in the order of the table.
const ALL: [&str; 9] = [
    OURS,
    "squid",
    "squid-first",
    "trafficserver",
    "e2guardian",
    "haproxy",
    "nginx",
    CONTROL,
    "squidguard",
];

/// The names that take part, Schoolgate always among them.
///
/// # Errors
/// A sentence: a name is not known.
pub(crate) fn wanted(given: &[String]) -> Result<Vec<&'static str>, String> {
    if given.is_empty() {
        return Ok(ALL.to_vec());
    }
    for name in given {
        if !ALL.contains(&name.as_str()) {
            return Err(format!("no peer called \"{name}\"\n  fix: one of {}", ALL.join(", ")));
        }
    }
    Ok(ALL.into_iter().filter(|all| *all == OURS || given.iter().any(|it| it == all)).collect())
}

/// Where a name stands in the table.
pub(crate) fn place(name: &str) -> usize {
    ALL.iter().position(|all| *all == name).unwrap_or(ALL.len())
}

/// What the wanted rows need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Groups {
    /// Plain requests and tunnels that are passed on.
    pub plain: bool,
    /// Tunnels that are looked into.
    pub inspected: bool,
    /// What large lists cost.
    pub lists: bool,
}

impl Groups {
    /// What these rows need.
    pub(crate) fn of(rows: &[Row], lists: bool) -> Self {
        let inspected = rows.iter().any(|row| row.is_inspected());
        Self { plain: lists || rows.iter().any(|row| !row.is_inspected()), inspected, lists }
    }
}

/// What starting them takes.
pub(crate) struct Setting<'a> {
    /// The schoolgate program.
    pub binary: &'a Path,
    /// Folder for the files of the run.
    pub folder: &'a Path,
    /// Folder where fetched packages stay.
    pub cache: &'a Path,
    /// Names on the list.
    pub names: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Whether proxies have processors of their own.
    pub pinning: bool,
    /// Who takes part.
    pub wanted: &'a [&'static str],
    /// What is measured.
    pub groups: Groups,
    /// Whether what is passed on is read for words and kinds of files, as a school has it; the peers read nothing.
    pub reads: bool,
}

/// Everybody, running.
pub(crate) struct LineUp {
    /// As the rounds see them.
    pub entrants: Vec<Entrant>,
    /// Origin and people.
    pub ground: Ground,
    /// Whether proxies have processors of their own.
    pub pinned: bool,
    /// Sentences on those who could not be had.
    pub missing: Vec<String>,
    /// Our own instances: the plain one first, if there is one.
    pub schoolgates: Vec<Schoolgate>,
    squids: Vec<(&'static str, Squid)>,
    e2guardian_names: Option<PathBuf>,
    with_squidguard: bool,
    list: PathBuf,
    folder: PathBuf,
    cache: PathBuf,
    pinning: Pinning,
    _origin: Started,
}

impl LineUp {
    /// Starts the origin, then everybody who is wanted. A peer that cannot be had is left out and
    /// said to be missing; without Schoolgate or the origin there is no run.
    ///
    /// # Errors
    /// A sentence: what failed.
    pub(crate) fn start(setting: &Setting<'_>) -> Result<Self, String> {
        let folder = setting.folder;
        let say = |error: std::io::Error| error.to_string();
        let school = School::new(BTreeSet::from([crate::cases::PLAIN_HOST.to_owned()]));
        let pinning = match setting.pinning {
            true => Pinning::for_workers(1),
            false => Pinning::default(),
        };
        Pinning::pin(&pinning.rest);
        let hosts = format!("{}\n{}\n", crate::cases::PLAIN_HOST, e2guardian::HOST);
        std::fs::write(folder.join(sites::HOSTS), hosts).map_err(say)?;
        let shown = folder.to_str().ok_or("a folder that is no text")?;
        let (origin, listening) = stage::start_origin(&["--sites", shown])?;
        let [plain, secure] = listening[..] else {
            return Err("the origin has one address".into());
        };
        let sites_pem = std::fs::read(folder.join(sites::AUTHORITY)).map_err(say)?;

        eprintln!("  making up {} names", setting.names);
        let list = folder.join("list/games");
        std::fs::create_dir_all(&list).map_err(say)?;
        std::fs::write(list.join("domains"), names::made_up(setting.names)).map_err(say)?;

        let ground =
            Ground { school, plain, secure, sites: sites_pem, connections: setting.connections };
        let mut line_up = Self {
            entrants: Vec::new(),
            ground,
            pinned: !pinning.proxy.is_empty(),
            missing: Vec::new(),
            schoolgates: Vec::new(),
            squids: Vec::new(),
            e2guardian_names: None,
            with_squidguard: setting.groups.lists && setting.wanted.contains(&"squidguard"),
            list: list.join("domains"),
            folder: folder.to_owned(),
            cache: setting.cache.to_owned(),
            pinning,
            _origin: origin,
        };
        if setting.groups.plain {
            line_up.add_schoolgate(setting, false)?;
        }
        if setting.groups.inspected {
            line_up.add_schoolgate(setting, true)?;
        }
        for &name in setting.wanted {
            if let Err(what) = line_up.add_peer(name, setting) {
                let line = format!("{name} takes no part: {what}");
                eprintln!("  {line}");
                line_up.missing.push(line);
            }
        }
        if setting.wanted.contains(&CONTROL) {
            line_up.add_control();
        }
        line_up.warm_up()?;
        Ok(line_up)
    }

    fn lists(&self) -> Vec<List> {
        let path = self.list.parent().unwrap_or(&self.folder).to_owned();
        vec![List { name: "made-up".to_owned(), category: "games".to_owned(), path }]
    }

    fn add_schoolgate(&mut self, setting: &Setting<'_>, inspecting: bool) -> Result<(), String> {
        let sites_file = self.folder.join(sites::AUTHORITY);
        let word = if inspecting { "schoolgate-inspecting" } else { "schoolgate" };
        eprintln!("  starting {word}");
        let unread = schoolgate::nothing_read();
        let policy = if setting.reads { "" } else { &*unread };
        let besides = schoolgate::Besides { policy, ..Default::default() };
        let started = Schoolgate::start_with(
            &schoolgate::Setting {
                binary: setting.binary,
                folder: &self.folder.join(word),
                lists: &self.lists(),
                school: &self.ground.school,
                workers: 1,
                origin_port: self.ground.plain.port(),
                tls_port: Some(self.ground.secure.port()),
                inspection: inspecting.then_some(Inspection {
                    sites: &sites_file,
                    guests: true,
                    limits: "",
                }),
                pinning: &self.pinning,
            },
            &besides,
        )?;
        let does = match setting.reads {
            true => {
                "filters by name, words and kinds of files, and records every request, for 16 people and three levels"
            }
            false => "filters by name and records every request, for 16 people and three levels",
        };
        let mut entrant = Entrant::new(OURS, does, Some(started.process.pid()));
        if inspecting {
            entrant.inspected = Some(Inspected {
                address: started.address,
                bare: false,
                authority: started.authority()?,
            });
        } else {
            entrant = entrant.forward_at(started.address);
            entrant.cold_start_seconds = Some(started.ready_after.as_secs_f64());
        }
        self.entrants.push(entrant);
        self.schoolgates.push(started);
        Ok(())
    }

    fn add_peer(&mut self, name: &'static str, setting: &Setting<'_>) -> Result<(), String> {
        let Groups { plain, inspected, .. } = setting.groups;
        let folder = self.folder.join(name);
        let Ground { plain: origin, secure, .. } = self.ground;
        let sites_file = self.folder.join(sites::AUTHORITY);
        let (cache, pinning) = (setting.cache, &self.pinning);
        let entrant = match name {
            "squid" => {
                if plain {
                    self.add_squid("squid", None, setting)?;
                }
                if inspected {
                    self.add_squid("squid", Some(false), setting)?;
                }
                return Ok(());
            }
            "squid-first" if inspected => return self.add_squid(name, Some(true), setting),
            "trafficserver" if plain => {
                traffic_server::start(cache, &folder, [origin.port(), secure.port()], pinning)?
            }
            "haproxy" if plain => haproxy::start(cache, &folder, origin, secure, pinning)?,
            "nginx" => nginx::start(cache, &folder, origin, secure, &sites_file, pinning)?,
            "e2guardian" if plain => {
                let E2guardian { mut entrant, ready_after, names } =
                    e2guardian::start(cache, &folder, &self.list, pinning)?;
                entrant.cold_start_seconds = Some(ready_after.as_secs_f64());
                self.e2guardian_names = Some(names);
                entrant
            }
            _ => return Ok(()),
        };
        self.entrants.push(entrant);
        Ok(())
    }

    /// A Squid that looks into no tunnel, or into all of them, with the site's certificate asked for
    /// first or not.
    fn add_squid(
        &mut self,
        name: &'static str,
        client_first: Option<bool>,
        setting: &Setting<'_>,
    ) -> Result<(), String> {
        let package = peers::squid_openssl(setting.cache)?;
        let sites_file = self.folder.join(sites::AUTHORITY);
        let own = self.folder.join("squid-authority.pem");
        if !own.exists() {
            let (pem, key) = sites::authority("Bench Squid").map_err(|error| error.to_string())?;
            std::fs::write(&own, format!("{}{pem}", key.serialize_pem()))
                .map_err(|error| error.to_string())?;
        }
        let word = match client_first {
            None => "squid-plain",
            Some(false) => "squid-inspecting",
            Some(true) => "squid-inspecting-first",
        };
        eprintln!("  starting {word}");
        let started = Squid::start(&squid::Setting {
            program: squid::Program::Unpacked(&package),
            folder: &self.folder.join(word),
            lists: &self.lists(),
            school: &self.ground.school,
            workers: 1,
            bump: client_first.map(|client_first| Bump {
                authority: &own,
                sites: &sites_file,
                client_first,
            }),
            pinning: &self.pinning,
        })?;
        let does = "filters by name and logs every request, for 16 people and three levels";
        let mut entrant = Entrant::new(name, does, Some(started.process.pid()));
        entrant.version = package.version;
        match client_first {
            None => {
                entrant = entrant.forward_at(started.address);
                entrant.cold_start_seconds = Some(started.ready_after.as_secs_f64());
            }
            Some(_) => {
                let authority = std::fs::read(&own).map_err(|error| error.to_string())?;
                let address = started.address;
                entrant.inspected = Some(Inspected { address, bare: false, authority });
            }
        }
        self.entrants.push(entrant);
        self.squids.push((word, started));
        Ok(())
    }

    fn add_control(&mut self) {
        let Ground { plain, secure, ref sites, .. } = self.ground;
        let mut entrant = Entrant::new(CONTROL, "no proxy: the control", None);
        entrant.http = Some(plain);
        entrant.tunnels = Some(Tunnels { plain, tls: secure, bare: true });
        entrant.inspected =
            Some(Inspected { address: secure, bare: true, authority: sites.clone() });
        self.entrants.push(entrant);
    }

    /// First answers, which complete the cold starts; everybody signs in, and the first certificates
    /// are made, before anything is measured.
    fn warm_up(&mut self) -> Result<(), String> {
        for entrant in &mut self.entrants {
            if entrant.http.is_some() {
                let (took, decisions) = large::first_answer(entrant, &self.ground)?;
                entrant.decisions += decisions;
                if let Some(seconds) = &mut entrant.cold_start_seconds {
                    *seconds += took.as_secs_f64();
                }
            }
            if let Some(pid) = entrant.pid {
                measure::settle(pid, stage::SETTLE_LIMIT);
                entrant.idle_bytes = measure::usage(pid).rss_bytes;
            }
            for row in [Row::Get1k, Row::Inspect16k] {
                let Some(mut load) = row.load(&self.ground, entrant, Duration::ZERO)? else {
                    continue;
                };
                load.until = Until::Passes(2);
                let tally = load::run(&load, &|| false).map_err(|error| error.to_string())?;
                entrant.decisions += tally.decisions;
                if tally.allowed == 0 {
                    let first = tally.failures.first().cloned().unwrap_or_default();
                    return Err(format!("{} answers nothing: {first}", entrant.name));
                }
            }
        }
        Ok(())
    }

    /// What large lists cost.
    ///
    /// # Errors
    /// A sentence: ours could not be measured. What goes wrong with a peer is a warning.
    pub(crate) fn large(&mut self, warnings: &mut Vec<String>) -> Result<Found, String> {
        let text = std::fs::read_to_string(&self.list).map_err(|error| error.to_string())?;
        let hosts = large::hosts(&text);
        let mut found = Found { names: text.lines().count(), ..Found::default() };
        eprintln!("  looking up among {} names", found.names);
        found.lookup_us = Some(large::lookup_us(&text, &hosts)?);
        drop(text);
        let first = self.schoolgates.first();
        found.compile_seconds = first.map(|it| it.first_ready_after.as_secs_f64());
        if self.with_squidguard {
            eprintln!("  compiling for squidguard");
            let folder = self.folder.join("squidguard");
            let measured =
                squidguard::measured(&self.cache, &folder, &self.list, &hosts, &self.pinning);
            match measured {
                Ok(guard) => found.squidguard = Some(guard),
                Err(what) => warnings.push(format!("squidguard takes no part: {what}")),
            }
        }
        for place in 0..self.entrants.len() {
            let entrant = &self.entrants[place];
            if entrant.http.is_none() {
                continue;
            }
            let outcome = match entrant.name {
                OURS => {
                    let Some(ours) = self.schoolgates.first() else { continue };
                    Some(large::reload_ours(entrant, &self.ground, ours, &self.list))
                }
                "squid" => self.squids.first().map(|(word, squid)| {
                    let list = self.folder.join(word).join("pupil");
                    large::reload_other(entrant, &self.ground, &squid.process, Signal::HUP, &list)
                }),
                "e2guardian" => match (&self.e2guardian_names, &entrant.kept) {
                    (Some(list), Some(process)) => Some(large::reload_other(
                        entrant,
                        &self.ground,
                        process,
                        Signal::USR1,
                        list,
                    )),
                    _ => None,
                },
                _ => None,
            };
            let name = entrant.name;
            match outcome {
                Some(Ok(reloaded)) => {
                    eprintln!("  reload under load: {name}: {reloaded:?}");
                    self.entrants[place].decisions += reloaded.decisions;
                    found.reloads.push((name, reloaded));
                }
                Some(Err(what)) if name == OURS => return Err(what),
                Some(Err(what)) => warnings.push(format!("{name}: reload: {what}")),
                None => {}
            }
        }
        Ok(found)
    }

    /// Ends ours as an administrator would; the others end with the line-up.
    pub(crate) fn stop(&mut self) {
        for it in &mut self.schoolgates {
            it.process.stop(Duration::from_secs(15));
        }
    }
}
