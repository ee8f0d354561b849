//! A school day's requests, written as the journal that a filter would have left.

use crate::chance::{Chance, mix2};
use crate::pupils::{LEVELS, School};
use crate::web::{CATEGORIES, Resource, Sight, Web};
use ledger::frame::{self, MAGIC};
use ledger::payload;
use ledger::record::{Context, Decided, Depth, End, Ended};
use rules::category::CategorySet;
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::{SchoolClock, UnixMillis};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// Bytes of a journal file, as the filter has them.
const SEGMENT_BYTES: usize = 64 << 20;

/// One request to come.
#[derive(Clone, Copy, Debug)]
struct Request {
    at: i64,
    person: u16,
    tunnel: bool,
    resource: Resource,
}

/// Writes days.
#[derive(Debug)]
pub(crate) struct Days<'a> {
    web: &'a Web,
    school: &'a School,
    clock: &'a SchoolClock,
    last_id: u64,
}

impl<'a> Days<'a> {
    pub(crate) fn new(web: &'a Web, school: &'a School, clock: &'a SchoolClock) -> Self {
        Self { web, school, clock, last_id: 0 }
    }

    /// Writes a day of `records` requests into the journal folder. `number` counts the school days.
    pub(crate) fn write(
        &mut self,
        journal: &Path,
        day: jiff::civil::Date,
        number: u64,
        records: usize,
    ) -> std::io::Result<()> {
        let (midnight, _) = self.clock.day_bounds(day);
        let mut requests = self.requests(number, records);
        requests.sort_unstable_by_key(|request| request.at);
        requests.truncate(records);
        let context = Arc::new(context(number));
        let mut out = Segment::new(journal, self.last_id);
        let mut ends: BinaryHeap<Reverse<(i64, u64, [u64; 4])>> = BinaryHeap::new();
        let mut path = String::new();
        let mut chance = Chance::new(mix2(number, 77));
        for request in &requests {
            let at = midnight.0 + request.at;
            while ends.peek().is_some_and(|Reverse((end, ..))| *end <= at) {
                if let Some(Reverse((_, id, numbers))) = ends.pop() {
                    out.frame(|buffer| {
                        payload::put_ended(buffer, RequestId(id), &ended(numbers), &[])
                    })?;
                }
            }
            self.last_id = (self.last_id + 1).max(RequestId::first_of(UnixMillis(at)).0);
            let id = RequestId(self.last_id);
            let host = &self.web.hosts[request.resource.host as usize];
            let person = &self.school.people[usize::from(request.person)];
            let blocked = host.blocked().filter(|_| !person.is_staff());
            let (scheme, method, depth) = match (request.tunnel, host.sight) {
                (true, _) => (Scheme::Tunnel, "CONNECT", Depth::Name),
                (false, Sight::Plain) => (Scheme::Http, "GET", Depth::Plain),
                (false, _) if chance.is(0.06) => (Scheme::Https, "POST", Depth::Page),
                (false, _) => (Scheme::Https, "GET", Depth::Page),
            };
            self.web.path(&request.resource, &mut path);
            let rule = blocked.map(|category| format!("policy.toml:26 {category} = \"block\""));
            let decided = Decided {
                id,
                at: UnixMillis(at),
                context: &context,
                user: person.user.as_deref(),
                level: person.level,
                client: person
                    .client(mix2(number, at as u64 / 1_800_000 + u64::from(request.person))),
                method,
                scheme,
                host: &host.name,
                port: if scheme == Scheme::Http { 80 } else { 443 },
                path: (!request.tunnel).then_some(&*path),
                categories: host.categories,
                verdict: if blocked.is_some() { Verdict::Block } else { Verdict::Allow },
                reason: if blocked.is_some() { ReasonCode::Category } else { ReasonCode::Allowed },
                rule: rule.as_deref(),
                unblock: None,
                depth,
                visit: rules::visit::Visit::Unknown,
                words: None,
                signs: &[],
            };
            out.context(&context)?;
            if blocked.is_some() {
                let numbers =
                    [0, 403, 2000 + request.resource.seed % 400, 90 + chance.next() % 400];
                let ended = Ended { bytes_up: 0, ..ended(numbers) };
                out.frame(|buffer| payload::put_decided(buffer, 0, &decided, Some(&ended)))?;
                continue;
            }
            out.frame(|buffer| payload::put_decided(buffer, 0, &decided, None))?;
            let (duration, numbers) = match request.tunnel {
                true => {
                    let duration = chance.skewed(40e6, 4.0) as u64;
                    let kind = if host.sight == Sight::Name { 1 } else { 2 };
                    (duration, [kind, 200, chance.skewed(14_000.0, 8.0) as u64, duration])
                }
                false => {
                    let duration = chance.skewed(90e3, 4.0) as u64;
                    let kind = if chance.is(0.02) { 3 } else { 0 };
                    let status = match chance.below(100) {
                        0..86 => 200,
                        86..93 => 204,
                        93..97 => 302,
                        _ => 404,
                    };
                    (duration, [kind, status, self.web.bytes(&request.resource), duration])
                }
            };
            ends.push(Reverse((at + duration as i64 / 1000, id.0, numbers)));
        }
        while let Some(Reverse((_, id, numbers))) = ends.pop() {
            out.frame(|buffer| payload::put_ended(buffer, RequestId(id), &ended(numbers), &[]))?;
        }
        out.finish()
    }

    fn requests(&self, day: u64, records: usize) -> Vec<Request> {
        let mut chance = Chance::new(mix2(day, 3));
        let mut requests = Vec::with_capacity(records + 64);
        let mut page = Vec::new();
        while requests.len() < records {
            let visit = self.school.visit(day, &mut chance);
            let site = match visit.lesson {
                Some(lesson) if chance.is(0.5) => self.web.lesson_site(&mut Chance::new(lesson)),
                _ => self.web.site(&mut chance),
            };
            let number = (chance.wait(6.0)) as u64;
            self.web.page(site, number, chance.next(), &mut page);
            self.load(visit.person, visit.at, &page, &mut chance, &mut requests);
        }
        requests
    }

    /// The requests of one page: a connection for each host that has none, the page, then its files.
    fn load(
        &self,
        person: u16,
        at: i64,
        page: &[Resource],
        chance: &mut Chance,
        requests: &mut Vec<Request>,
    ) {
        let mut at = at;
        let mut connected: Vec<u32> = Vec::new();
        for (place, resource) in page.iter().enumerate() {
            // What the browser has kept is not asked for again.
            if place > 0 && resource.kept && chance.is(0.45) {
                continue;
            }
            let host = &self.web.hosts[resource.host as usize];
            if host.sight != Sight::Plain && !connected.contains(&resource.host) {
                connected.push(resource.host);
                if host.sight == Sight::Name || chance.is(0.6) {
                    let seed = u64::from(resource.host);
                    let resource = Resource { seed, ..*resource };
                    requests.push(Request { at, person, tunnel: true, resource });
                }
            }
            if host.sight != Sight::Name {
                requests.push(Request { at: at + 30, person, tunnel: false, resource: *resource });
            }
            at += chance.wait(if place == 0 { 400.0 } else { 60.0 }) as i64;
        }
    }
}

/// Kind, status, bytes, microseconds. Kinds: 0 a request, 1 a tunnel by name, 2 one that was looked
/// into, 3 a request that the client gave up.
fn ended([kind, status, bytes, duration_us]: [u64; 4]) -> Ended {
    let is_tunnel = kind == 1 || kind == 2;
    Ended {
        end: if kind == 3 { End::Aborted } else { End::Complete },
        status: status as u16,
        bytes_up: if is_tunnel { 500 + mix2(bytes, duration_us) % (bytes / 4 + 900) } else { 0 },
        bytes_down: bytes,
        duration_us,
        depth: (kind == 2).then_some(Depth::Page),
    }
}

fn context(day: u64) -> Context {
    let hash = |seed: u64| (0..4).map(|part| format!("{:016x}", mix2(seed, part))).collect();
    Context {
        policy_hash: hash(day / 9),
        list_version: format!("lists-{day}"),
        categories: CATEGORIES.map(str::to_owned).to_vec(),
        levels: LEVELS.map(str::to_owned).to_vec(),
        locked: CategorySet::EMPTY,
        zone: "Europe/London".into(),
    }
}

/// The journal file that is being written.
struct Segment<'a> {
    folder: &'a Path,
    number: u64,
    file: Option<BufWriter<File>>,
    written: usize,
    buffer: Vec<u8>,
    has_context: bool,
}

impl<'a> Segment<'a> {
    fn new(folder: &'a Path, number: u64) -> Self {
        let (file, buffer) = (None, Vec::new());
        Self { folder, number, file, written: 0, buffer, has_context: false }
    }

    /// Begins another file where this one is long enough, and says in each what its decisions share.
    fn context(&mut self, context: &Context) -> std::io::Result<()> {
        if self.written > SEGMENT_BYTES {
            self.end()?;
        }
        if !self.has_context {
            self.frame(|buffer| payload::put_context(buffer, 0, context))?;
            self.has_context = true;
        }
        Ok(())
    }

    fn frame(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> std::io::Result<()> {
        self.buffer.clear();
        frame::append(&mut self.buffer, put);
        if self.file.is_none() {
            self.number += 1;
            let path = self.folder.join(format!("w00-{:014}.sgj", self.number));
            let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
            file.write_all(MAGIC)?;
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.write_all(&self.buffer)?;
        }
        self.written += self.buffer.len();
        Ok(())
    }

    fn end(&mut self) -> std::io::Result<()> {
        if let Some(mut file) = self.file.take() {
            file.flush()?;
        }
        (self.written, self.has_context) = (0, false);
        Ok(())
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.end()
    }
}
