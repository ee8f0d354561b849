//! Holds back whoever guesses the passwords of people who browse.
//!
//! What counts are different wrong passwords: a device that sends an old one again and again makes one guess. They are
//! counted
//!
//! - for one name at one address. A hold bars that name at that address and nowhere else, also with the right password,
//!   so that nobody learns from the answer which one it is;
//! - for one name at all addresses, and for all names at one client, at much higher counts. These holds pass over
//!   whoever signed in under that name at that address within [`PROVEN_FOR`]: a pupil who guesses at a teacher's name
//!   bars no teacher who works.
//!
//! A client is an [`Asker`]: all of an IPv6 network of 64 bits. A school may be one, so a name is held at the exact
//! address: else ten guesses would bar a teacher from every device.
//!
//! For a name, what is on its way counts too, so that nobody makes many guesses at once. For a client it does not: whole
//! classes sign in at once.
//!
//! While it is held, a sign-in is answered at once and no password is checked. Holds get longer while the guessing goes
//! on, up to [`LONGEST`]. The table has a fixed number of places, and knows neither names nor passwords: hashes of them
//! alone, by a key that is made at the start. It is in memory: a start forgets it.
//!
//! A name takes no more than a part of the places, and a client neither: somebody who signs in with a password of his own
//! under each address of an IPv6 network, and guesses there, would push out all that is known of others. Past its part
//! each gives up what is of its own.

use crate::record::now;
use crate::sign_in_queue::Asker;
use ledger::users::{KnownUser, user_key};
use rules::change::Event;
use rules::time::UnixMillis;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Within which guesses are counted together, and how long after the last one, or the end of a hold, the next hold is a
/// first one again.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// The longest hold: each in a row is twice the one before.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// How long the holds of a name, or of a client, pass over whoever signed in there: longer than a long weekend.
const PROVEN_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Names at clients, names and clients that are known at once.
const PLACES: usize = 16_384;
/// Of the places, what one name has at clients, one in so many: a name that a whole school shares is at a thousand.
const PART_OF_NAME: usize = 8;
/// Of the places, what one client has for names, one in so many: a school of 1,200 may be in one IPv6 network, and its
/// devices take another address each day.
const PART_OF_CLIENT: usize = 2;
/// What gives way gives so much of it up at once, one in so many, so that this is not done for each new entry.
const GIVEN_UP: usize = 8;
/// Wrong passwords that are told apart for one name at one client.
const TOLD_APART: usize = 10;
/// Holds that may wait to be written down.
const MOST_NEWS: usize = 256;

/// What is counted together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    NameAtClient,
    Name,
    Client,
}

impl Of {
    /// How many guesses are let through before the first hold, how many before each further one, and how long the first
    /// one lasts.
    fn rule(self) -> (u16, u16, Duration) {
        match self {
            Of::NameAtClient => (10, 3, Duration::from_secs(30)),
            Of::Name => (100, 20, Duration::from_secs(60)),
            // A school of 1,200 may be behind one address, and one in seven mistypes, some of them twice.
            Of::Client => (400, 80, Duration::from_secs(60)),
        }
    }

    /// The word in the change log.
    fn as_str(self) -> &'static str {
        match self {
            Of::NameAtClient => "name_at_client",
            Of::Name => "name",
            Of::Client => "client",
        }
    }
}

/// Who signs in, where, with what.
#[derive(Clone, Copy)]
pub(crate) struct Attempt<'a> {
    /// As it was sent.
    pub(crate) name: &'a str,
    pub(crate) client: IpAddr,
    /// All that was sent to sign in.
    pub(crate) field: &'a [u8],
    /// Whose name it is, if it is anybody's.
    pub(crate) user: Option<&'a KnownUser>,
}

/// A password that is counted as a guess.
#[derive(Clone, Copy, Default)]
struct Told {
    /// A hash of it; 0 is a free place.
    password: u32,
    /// Attempts with it that nobody knows the end of. The guess is theirs together: it is counted until the last of them
    /// is gone.
    on_their_way: u16,
    /// It was wrong, and stays counted.
    is_wrong: bool,
}

/// What is known of one name at one client, one name, or one client.
#[derive(Clone, Copy)]
struct Entry {
    /// The name and the client of whose parts it is; `None`: it is a name's, or a client's, of which each has one.
    part_of: Option<[u64; 2]>,
    /// The last passwords, of a name at a client.
    told_apart: [Told; TOLD_APART],
    /// Guesses in the window that began then, and since the last hold.
    guesses: u16,
    since: Instant,
    /// The last guess.
    last: Instant,
    /// Holds in a row.
    holds: u16,
    held_until: Option<Instant>,
    proven_until: Option<Instant>,
}

impl Entry {
    fn new(part_of: Option<[u64; 2]>, now: Instant) -> Self {
        Self {
            part_of,
            told_apart: [Told::default(); TOLD_APART],
            guesses: 0,
            since: now,
            last: now,
            holds: 0,
            held_until: None,
            proven_until: None,
        }
    }

    /// How long it is still held.
    fn held(&self, now: Instant) -> Option<Duration> {
        let left = self.held_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    fn is_proven(&self, now: Instant) -> bool {
        self.proven_until.is_some_and(|until| now < until)
    }

    fn told(&mut self, password: u32) -> Option<&mut Told> {
        self.told_apart.iter_mut().find(|told| told.password == password)
    }

    /// Whether it is as good as a new one.
    fn knows_nothing(&self) -> bool {
        self.guesses == 0
            && self.holds == 0
            && self.held_until.is_none()
            && self.proven_until.is_none()
            && self.told_apart.iter().all(|told| told.password == 0)
    }

    fn add(&mut self, now: Instant) {
        if self.guesses == 0 {
            self.since = now;
        }
        (self.guesses, self.last) = (self.guesses.saturating_add(1), now);
    }

    /// Forgets guesses that are long ago.
    fn age(&mut self, now: Instant) {
        if now.saturating_duration_since(self.since) >= WINDOW {
            (self.guesses, self.since) = (0, now);
        }
        let last = self.held_until.map_or(self.last, |until| until.max(self.last));
        if now.saturating_duration_since(last) >= WINDOW {
            self.holds = 0;
        }
    }

    /// Whether one more guess would be one too many; then a hold begins.
    fn is_too_many(&mut self, of: Of, now: Instant) -> bool {
        let (first, again, wait) = of.rule();
        if self.guesses < if self.holds == 0 { first } else { again } {
            return false;
        }
        let wait = wait.saturating_mul(1 << self.holds.min(16)).min(LONGEST);
        self.held_until = Some(now + wait);
        (self.guesses, self.since, self.last) = (0, now, now);
        self.holds = self.holds.saturating_add(1);
        true
    }

    /// What a full table gives up last: what is held, then who is known, then what was of use last.
    fn worth(&self, now: Instant) -> (bool, bool, Instant) {
        let proven = self.proven_until.and_then(|until| until.checked_sub(PROVEN_FOR));
        let last = proven.map_or(self.last, |at| at.max(self.last));
        (self.held(now).is_some(), self.is_proven(now), last)
    }
}

/// Where an attempt is counted.
struct Keys {
    at_client: u64,
    of_name: u64,
    of_client: u64,
    /// Of the password; never 0.
    password: u32,
}

impl Keys {
    fn of(&self, of: Of) -> u64 {
        match of {
            Of::NameAtClient => self.at_client,
            Of::Name => self.of_name,
            Of::Client => self.of_client,
        }
    }
}

/// The table, shared by all workers.
pub(crate) struct Guesses {
    key: RandomState,
    table: Mutex<Table>,
}

/// An attempt that was let through and is counted as a guess. Dropped before anybody learned what came of it, or once
/// it was right, it is counted no longer, unless the same password was tried beside it and was wrong, or is on its way.
pub(crate) struct Counted<'a> {
    guesses: &'a Guesses,
    keys: Keys,
    begun: Instant,
}

impl Guesses {
    /// An empty table.
    pub(crate) fn new() -> Self {
        Self::with_places(PLACES)
    }

    fn with_places(places: usize) -> Self {
        let entries = HashMap::with_capacity(places);
        let table = Table { places, entries, parts: HashMap::new(), news: Vec::new(), holds: 0 };
        Self { key: RandomState::new(), table: Mutex::new(table) }
    }

    /// Counts an attempt as a guess until it is known to be none.
    ///
    /// # Errors
    /// How long it is still held: it must not be checked.
    pub(crate) fn begin(
        &self,
        attempt: &Attempt<'_>,
        now: Instant,
    ) -> Result<Counted<'_>, Duration> {
        let keys = self.keys(attempt);
        let mut table = self.table();
        if let Some(left) = table.held(&keys, now) {
            return Err(left);
        }
        let entry = table.entry(&keys, Of::NameAtClient, now);
        if let Some(told) = entry.told(keys.password) {
            told.on_their_way = told.on_their_way.saturating_add(1);
            return Ok(Counted { guesses: self, keys, begun: now });
        }
        // Who is known there is not barred by what others do elsewhere.
        let bars: &[Of] = match entry.is_proven(now) {
            true => &[Of::NameAtClient],
            false => &[Of::NameAtClient, Of::Name, Of::Client],
        };
        let too_many = |of: &&Of| table.entry(&keys, **of, now).is_too_many(**of, now);
        if let Some(of) = bars.iter().find(too_many).copied() {
            table.note(of, &keys, attempt);
            return Err(table.held(&keys, now).unwrap_or_default());
        }
        table.count(&keys, now).on_their_way = 1;
        Ok(Counted { guesses: self, keys, begun: now })
    }

    /// Takes in an attempt whose password is known to be right.
    ///
    /// # Errors
    /// How long it is still held all the same.
    pub(crate) fn right(&self, attempt: &Attempt<'_>, now: Instant) -> Result<(), Duration> {
        let keys = self.keys(attempt);
        let mut table = self.table();
        if let Some(left) = table.held(&keys, now) {
            return Err(left);
        }
        table.entry(&keys, Of::NameAtClient, now).proven_until = Some(now + PROVEN_FOR);
        Ok(())
    }

    /// What is to be written down, and was not taken yet.
    pub(crate) fn take_news(&self) -> Vec<Event> {
        std::mem::take(&mut self.table().news)
    }

    /// Holds since the start.
    pub(crate) fn holds(&self) -> u64 {
        self.table().holds
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self, attempt: &Attempt<'_>) -> Keys {
        let (name, address) = (user_key(attempt.name), attempt.client.to_canonical());
        // The upper half of a hash that is as good as random.
        let password = (self.key.hash_one(attempt.field) >> 32) as u32;
        Keys {
            at_client: self.key.hash_one((&name, address)),
            of_name: self.key.hash_one(&name),
            of_client: self.key.hash_one(Asker::from(address)),
            password: password.max(1),
        }
    }
}

impl Counted<'_> {
    /// It was right.
    pub(crate) fn right(self, now: Instant) {
        let until = now + PROVEN_FOR;
        self.guesses.table().entry(&self.keys, Of::NameAtClient, now).proven_until = Some(until);
    }

    /// It was wrong.
    pub(crate) fn wrong(self) {
        self.guesses.table().wrong(&self.keys, self.begun);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.guesses.table().end(&self.keys);
    }
}

struct Table {
    places: usize,
    entries: HashMap<u64, Entry>,
    /// How many entries are a name's at clients, and a client's for names.
    parts: HashMap<u64, usize>,
    news: Vec<Event>,
    holds: u64,
}

impl Table {
    /// How long an attempt is still held.
    fn held(&self, keys: &Keys, now: Instant) -> Option<Duration> {
        let entry = |of: Of| self.entries.get(&keys.of(of));
        let is_proven = entry(Of::NameAtClient).is_some_and(|entry| entry.is_proven(now));
        let wide = [Of::Name, Of::Client].into_iter().filter(|_| !is_proven);
        let bars = std::iter::once(Of::NameAtClient).chain(wide);
        bars.filter_map(|of| entry(of)?.held(now)).max()
    }

    /// Counts a guess for its name, and tells its password apart from now on.
    fn count(&mut self, keys: &Keys, now: Instant) -> &mut Told {
        self.entry(keys, Of::Name, now).add(now);
        let entry = self.entry(keys, Of::NameAtClient, now);
        entry.add(now);
        let free = entry.told_apart.iter().position(|told| told.password == 0);
        let place = free.unwrap_or_else(|| {
            // The oldest goes.
            entry.told_apart.rotate_left(1);
            TOLD_APART - 1
        });
        let told = &mut entry.told_apart[place];
        *told = Told { password: keys.password, ..Told::default() };
        told
    }

    /// Keeps a guess counted, and counts it for its client unless that was done.
    fn wrong(&mut self, keys: &Keys, now: Instant) {
        match self.entry(keys, Of::NameAtClient, now).told(keys.password) {
            Some(told) if told.is_wrong => return,
            Some(told) => told.is_wrong = true,
            // A full table gave up what it was counted in.
            None => self.count(keys, now).is_wrong = true,
        }
        self.entry(keys, Of::Client, now).add(now);
    }

    /// Takes a guess back that nobody learned was wrong, once no attempt with it is on its way; and gives up entries
    /// that know nothing, so that nobody fills the table with attempts that cost nothing.
    fn end(&mut self, keys: &Keys) {
        let told = self.entries.get_mut(&keys.at_client).and_then(|it| it.told(keys.password));
        if let Some(told) = told {
            told.on_their_way = told.on_their_way.saturating_sub(1);
            if told.on_their_way == 0 && !told.is_wrong {
                *told = Told::default();
                for of in [Of::NameAtClient, Of::Name] {
                    if let Some(entry) = self.entries.get_mut(&keys.of(of)) {
                        entry.guesses = entry.guesses.saturating_sub(1);
                    }
                }
            }
        }
        for key in [keys.at_client, keys.of_name, keys.of_client] {
            if self.entries.get(&key).is_some_and(Entry::knows_nothing) {
                self.remove(key);
            }
        }
    }

    /// The entry of what is counted together, which is made where there is none.
    fn entry(&mut self, keys: &Keys, of: Of, now: Instant) -> &mut Entry {
        let key = keys.of(of);
        let part_of = (of == Of::NameAtClient).then_some([keys.of_name, keys.of_client]);
        if !self.entries.contains_key(&key) {
            self.make_room(part_of, now);
            for owner in part_of.into_iter().flatten() {
                *self.parts.entry(owner).or_insert(0) += 1;
            }
        }
        let entry = self.entries.entry(key).or_insert_with(|| Entry::new(part_of, now));
        entry.age(now);
        entry
    }

    /// Makes room for an entry: in the parts that it is of, and in all.
    fn make_room(&mut self, part_of: Option<[u64; 2]>, now: Instant) {
        let parts = [PART_OF_NAME, PART_OF_CLIENT].map(|part| self.places / part);
        for (owner, part) in part_of.into_iter().flatten().zip(parts) {
            if self.parts.get(&owner).is_some_and(|held| *held >= part) {
                let is_of = |entry: &Entry| entry.part_of.is_some_and(|it| it.contains(&owner));
                self.give_up(part / GIVEN_UP, is_of, now);
            }
        }
        if self.entries.len() >= self.places {
            self.give_up(self.places / GIVEN_UP, |_| true, now);
        }
    }

    /// Gives up so many of these entries, and one more.
    fn give_up(&mut self, count: usize, is_of: impl Fn(&Entry) -> bool, now: Instant) {
        let these = self.entries.iter().filter(|(_, entry)| is_of(entry));
        let mut worth: Vec<_> = these.map(|(key, entry)| (entry.worth(now), *key)).collect();
        if count < worth.len() {
            worth.select_nth_unstable(count);
            worth.truncate(count + 1);
        }
        for (_, key) in worth {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: u64) {
        let removed = self.entries.remove(&key);
        for owner in removed.and_then(|entry| entry.part_of).into_iter().flatten() {
            if let Some(held) = self.parts.get_mut(&owner) {
                *held -= 1;
                if *held == 0 {
                    self.parts.remove(&owner);
                }
            }
        }
    }

    /// Notes the first of holds in a row, to be written down. A name that nobody has is not: people type passwords
    /// there.
    fn note(&mut self, of: Of, keys: &Keys, attempt: &Attempt<'_>) {
        self.holds = self.holds.saturating_add(1);
        let is_first = self.entries.get(&keys.of(of)).is_some_and(|entry| entry.holds == 1);
        if !is_first || self.news.len() >= MOST_NEWS {
            return;
        }
        let (first, _, wait) = of.rule();
        let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let user = attempt.user.filter(|_| of != Of::Client);
        let client = (of != Of::Name).then(|| attempt.client.to_canonical().to_string());
        self.news.push(Event::SignInsHeld {
            held: of.as_str().to_owned(),
            user: user.map(|user| user.facts.name.to_string()),
            client,
            guesses: u64::from(first),
            until: UnixMillis(now().0.saturating_add(wait)),
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;
    use rules::access::UserFacts;

    const SECOND: Duration = Duration::from_secs(1);

    /// A school whose clock is the test's.
    struct School {
        guesses: Guesses,
        now: Instant,
        teacher: KnownUser,
    }

    impl School {
        fn new() -> Self {
            let facts = UserFacts { name: "ms.obi".into(), ..UserFacts::default() };
            let teacher = KnownUser { facts, phc: None };
            Self { guesses: Guesses::new(), now: Instant::now(), teacher }
        }

        fn attempt<'a>(&'a self, name: &'a str, client: u16, password: &'a str) -> Attempt<'a> {
            let [high, low] = client.to_be_bytes();
            let client = IpAddr::from([10, 0, high, low]);
            let user = (user_key(name) == "ms.obi").then_some(&self.teacher);
            Attempt { name, client, field: password.as_bytes(), user }
        }

        /// Tries a wrong password; how long it is held, where it is not checked.
        fn guess(&self, name: &str, client: u16, password: &str) -> Result<(), Duration> {
            let attempt = self.attempt(name, client, password);
            self.guesses.begin(&attempt, self.now).map(Counted::wrong)
        }

        /// The same at any address.
        fn guess_from(&self, name: &str, client: IpAddr, password: &str) -> Result<(), Duration> {
            let attempt = Attempt { client, ..self.attempt(name, 0, password) };
            self.guesses.begin(&attempt, self.now).map(Counted::wrong)
        }

        /// Signs in with the right one, which was not checked before.
        fn sign_in(&self, name: &str, client: u16) -> Result<(), Duration> {
            let attempt = self.attempt(name, client, "right");
            self.guesses.begin(&attempt, self.now).map(|counted| counted.right(self.now))
        }

        /// Makes so many guesses, each with another password.
        fn guesses(&self, name: &str, client: u16, count: usize, from: usize) -> usize {
            let guess = |turn| self.guess(name, client, &format!("wrong {turn}"));
            (from..from + count).filter(|turn| guess(*turn).is_ok()).count()
        }
    }

    #[test]
    fn ten_guesses_hold_a_name_at_a_client_for_ever_longer_and_nobody_elsewhere() {
        let mut school = School::new();
        assert_eq!(school.guesses("ms.obi", 1, 10, 0), 10);
        assert_eq!(school.guess("MS.OBI", 1, "another"), Err(30 * SECOND), "whatever the case");
        assert_eq!(school.sign_in("ms.obi", 1), Err(30 * SECOND), "the right one tells nothing");
        let known = school.attempt("ms.obi", 1, "right");
        assert_eq!(school.guesses.right(&known, school.now), Err(30 * SECOND), "known before too");
        assert_eq!(school.sign_in("ms.obi", 2), Ok(()));
        assert_eq!(school.sign_in("kim", 1), Ok(()));
        for (turn, wait) in [60, 120, 240, 480, 900, 900].into_iter().enumerate() {
            school.now += LONGEST;
            assert_eq!(school.guesses("ms.obi", 1, 4, 100 * (turn + 1)), 3, "before {wait}");
            assert_eq!(school.sign_in("ms.obi", 1), Err(wait * SECOND));
        }
        school.now += LONGEST + WINDOW;
        assert_eq!(school.guesses("ms.obi", 1, 11, 1_000), 10, "forgotten");
        assert_eq!(school.sign_in("ms.obi", 1), Err(30 * SECOND));
    }

    #[test]
    fn a_device_with_an_old_password_makes_one_guess() {
        let mut school = School::new();
        for _ in 0..500 {
            school.now += 61 * SECOND;
            assert_eq!(school.guess("ms.obi", 1, "old"), Ok(()));
        }
        assert_eq!(school.sign_in("ms.obi", 1), Ok(()));
    }

    #[test]
    fn a_right_password_gives_nobody_beside_it_more_guesses() {
        let school = School::new();
        assert_eq!(school.guesses("ms.obi", 1, 9, 0), 9);
        for _ in 0..20 {
            assert_eq!(school.sign_in("ms.obi", 1), Ok(()));
        }
        assert_eq!(school.guesses("ms.obi", 1, 9, 9), 1);
    }

    #[test]
    fn guessing_from_everywhere_bars_nobody_where_they_are_signed_in() {
        let mut school = School::new();
        assert_eq!(school.sign_in("ms.obi", 1), Ok(()));
        // A long weekend and more.
        school.now += Duration::from_secs(6 * 24 * 60 * 60);
        let made: usize = (100..120).map(|client| school.guesses("ms.obi", client, 9, 0)).sum();
        assert_eq!(made, 100);
        assert_eq!(school.sign_in("ms.obi", 200), Err(60 * SECOND), "a client that is new");
        assert_eq!(school.sign_in("ms.obi", 1), Ok(()), "where she is known");
        assert_eq!(school.sign_in("kim", 200), Ok(()), "another name");
        school.now += 61 * SECOND;
        assert_eq!(school.sign_in("ms.obi", 200), Ok(()), "for a short time");
    }

    #[test]
    fn one_client_that_tries_all_names_is_held_but_for_whom_it_knows() {
        let school = School::new();
        assert_eq!(school.sign_in("kim", 1), Ok(()));
        let guess = |name: &u16| school.guess(&format!("name {name}"), 1, "password").is_ok();
        assert_eq!((0..450).filter(guess).count(), 400);
        assert_eq!(school.sign_in("ali", 1), Err(60 * SECOND));
        assert_eq!(school.sign_in("kim", 1), Ok(()));
        assert_eq!(school.sign_in("ali", 2), Ok(()));
    }

    #[test]
    fn what_is_on_its_way_counts_and_what_nobody_learned_of_does_not() {
        let school = School::new();
        let fields: Vec<String> = (0..11).map(|turn| format!("wrong {turn}")).collect();
        let begin = |field: &String| {
            let attempt = school.attempt("ms.obi", 1, field);
            school.guesses.begin(&attempt, school.now)
        };
        let on_their_way: Vec<_> = fields[..10].iter().map(|field| begin(field).unwrap()).collect();
        drop(on_their_way);
        let on_their_way: Vec<_> = fields[..10].iter().map(|field| begin(field).unwrap()).collect();
        assert!(begin(&fields[10]).is_err(), "ten are on their way");
        drop(on_their_way);
        // A whole school signs in at once, and nobody's password is wrong.
        let pupils: Vec<String> = (0..1_000).map(|turn| format!("pupil {turn}")).collect();
        for client in [2, 3] {
            let begin = |name: &String| {
                let attempt = school.attempt(name, client, "right");
                school.guesses.begin(&attempt, school.now).unwrap()
            };
            let on_their_way: Vec<_> = pupils.iter().map(begin).collect();
            on_their_way.into_iter().for_each(|counted| counted.right(school.now));
            assert_eq!(school.sign_in("late", client), Ok(()));
        }
    }

    #[test]
    fn the_same_password_twice_at_once_is_one_guess_whichever_ends_first() {
        for way in 0..3 {
            let school = School::new();
            for turn in 0..10 {
                let field = format!("wrong {turn}");
                let attempt = school.attempt("ms.obi", 1, &field);
                let first = school.guesses.begin(&attempt, school.now).unwrap();
                let second = school.guesses.begin(&attempt, school.now).unwrap();
                match way {
                    0 => {
                        drop(first);
                        second.wrong();
                    }
                    1 => {
                        second.wrong();
                        drop(first);
                    }
                    _ => {
                        first.wrong();
                        second.wrong();
                    }
                }
            }
            let keys = school.guesses.keys(&school.attempt("ms.obi", 1, "another"));
            let keys = [keys.at_client, keys.of_name, keys.of_client];
            let counted = keys.map(|key| school.guesses.table().entries[&key].guesses);
            assert_eq!(counted, [10; 3], "{way}");
            assert_eq!(school.guess("ms.obi", 1, "another"), Err(30 * SECOND), "{way}");
        }
    }

    #[test]
    fn a_guess_is_counted_while_any_attempt_with_it_is_on_its_way() {
        let school = School::new();
        let fields: Vec<String> = (0..10).map(|turn| format!("wrong {turn}")).collect();
        let begin = |field: &String| {
            let attempt = school.attempt("ms.obi", 1, field);
            school.guesses.begin(&attempt, school.now).unwrap()
        };
        let firsts: Vec<_> = fields.iter().map(begin).collect();
        let seconds: Vec<_> = fields.iter().map(begin).collect();
        drop(firsts);
        assert_eq!(school.guess("ms.obi", 1, "another"), Err(30 * SECOND));
        drop(seconds);
    }

    #[test]
    fn what_a_full_table_gave_up_on_its_way_is_counted_once_it_is_wrong() {
        let school = School::new();
        let fields: Vec<String> = (0..10).map(|turn| format!("wrong {turn}")).collect();
        let begin = |field: &String| {
            let attempt = school.attempt("ms.obi", 1, field);
            school.guesses.begin(&attempt, school.now).unwrap()
        };
        let on_their_way: Vec<_> = fields.iter().map(begin).collect();
        school.guesses.table().entries.clear();
        on_their_way.into_iter().for_each(Counted::wrong);
        assert_eq!(school.guess("ms.obi", 1, "another"), Err(30 * SECOND));
    }

    #[test]
    fn a_name_is_held_at_an_address_and_a_client_is_a_network_of_ipv6() {
        let school = School::new();
        let address = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        for turn in 0..10 {
            let password = format!("wrong {turn}");
            assert_eq!(school.guess_from("ms.obi", address(1), &password), Ok(()));
        }
        assert_eq!(school.guess_from("ms.obi", address(1), "another"), Err(30 * SECOND));
        assert_eq!(school.guess_from("ms.obi", address(2), "mistyped"), Ok(()), "a neighbour");
        let guess = |host: &u16| {
            school.guess_from(&format!("name {host}"), address(host + 10), "wrong").is_ok()
        };
        assert_eq!((0..450).filter(guess).count(), 400 - 11);
        assert_eq!(school.guess_from("ali", address(3), "wrong"), Err(60 * SECOND));
        let elsewhere = IpAddr::from([0x2001_u16, 0xdb8, 0, 2, 0, 0, 0, 3]);
        assert_eq!(school.guess_from("ali", elsewhere, "wrong"), Ok(()));
        // An IPv4 address is the same one in whichever way it is written.
        assert_eq!(school.guesses("ms.obi", 1, 10, 0), 10);
        let mapped = std::net::Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped();
        assert_eq!(school.guess_from("ms.obi", mapped.into(), "another"), Err(30 * SECOND));
    }

    #[test]
    fn the_first_of_holds_in_a_row_is_told_without_a_name_that_nobody_has() {
        let mut school = School::new();
        school.guesses("ms.obi", 1, 11, 0);
        school.guesses("hunter2", 1, 11, 0);
        school.now += 31 * SECOND;
        school.guesses("ms.obi", 1, 4, 20);
        assert_eq!(school.guesses.holds(), 3);
        let told = |event: Event| match event {
            Event::SignInsHeld { held, user, client, guesses, .. } => (held, user, client, guesses),
            other => panic!("{other:?}"),
        };
        let told: Vec<_> = school.guesses.take_news().into_iter().map(told).collect();
        let (held, client) = ("name_at_client".to_owned(), Some("10.0.0.1".to_owned()));
        let of = |user: Option<&str>| (held.clone(), user.map(str::to_owned), client.clone(), 10);
        assert_eq!(told, [of(Some("ms.obi")), of(None)]);
        assert!(school.guesses.take_news().is_empty(), "once");
        for client in 10..22 {
            school.guesses("ms.obi", client, 9, 0);
        }
        let news = school.guesses.take_news();
        assert!(
            matches!(&news[..], [Event::SignInsHeld { held, user: Some(user), client: None, .. }]
                if held == "name" && user == "ms.obi"),
            "{news:?}"
        );
    }

    #[test]
    fn the_table_stays_within_its_places_and_keeps_what_is_held() {
        let mut school = School::new();
        school.guesses = Guesses::with_places(64);
        school.guesses("ms.obi", 1, 11, 0);
        for client in 2..2_000 {
            school.now += Duration::from_millis(1);
            assert_eq!(school.guess(&format!("name {client}"), client, "wrong"), Ok(()));
            assert!(school.guesses.table().entries.len() <= 64);
        }
        assert!(school.sign_in("ms.obi", 1).is_err(), "it is still held");
    }

    /// Somebody's own password is right at each address that his device takes.
    #[test]
    fn one_name_and_one_network_push_out_nothing_of_others_and_their_own_stays_within_a_part() {
        let mut school = School::new();
        school.guesses = Guesses::with_places(256);
        let address = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        let proves = |school: &School, name: &str, host| {
            let attempt = Attempt { client: address(host), ..school.attempt(name, 0, "right") };
            school.guesses.right(&attempt, school.now)
        };
        assert_eq!(school.sign_in("kim", 2), Ok(()));
        assert_eq!(school.guesses("ms.obi", 1, 9, 0), 9);
        assert_eq!(school.guesses("ms.obi", 3, 11, 0), 10);
        let of_others = |school: &School| {
            let table = school.guesses.table();
            [("kim", 2), ("ms.obi", 1), ("ms.obi", 3)].map(|(name, client)| {
                let key = school.guesses.keys(&school.attempt(name, client, "")).at_client;
                table.entries.contains_key(&key)
            })
        };
        let count = |school: &School, owner: u64| {
            school.guesses.table().parts.get(&owner).copied().unwrap_or_default()
        };
        // Ten accounts of one network together, one after the other.
        for host in 0..2_000 {
            school.now += Duration::from_millis(1);
            let name = format!("pupil {}", host % 200 / 20);
            assert_eq!(proves(&school, &name, host), Ok(()));
            for turn in 0..11 {
                let _ = school.guess_from(&name, address(host), &format!("wrong {turn}"));
            }
            let keys = school
                .guesses
                .keys(&Attempt { client: address(host), ..school.attempt(&name, 0, "") });
            assert!(count(&school, keys.of_name) <= 256 / PART_OF_NAME);
            assert!(count(&school, keys.of_client) <= 256 / PART_OF_CLIENT);
        }
        assert_eq!(of_others(&school), [true; 3]);
        assert_eq!(school.guesses("ms.obi", 1, 9, 9), 1, "nine were made before");
        assert!(school.sign_in("ms.obi", 3).is_err(), "it is still held");
        // What is counted of parts is what is there.
        let table = school.guesses.table();
        let of_parts = table.entries.values().filter_map(|entry| entry.part_of).count();
        assert_eq!(table.parts.values().sum::<usize>(), 2 * of_parts);
    }

    #[test]
    fn attempts_that_cost_nothing_push_nothing_out_and_guesses_push_out_nobody_who_is_known() {
        let mut school = School::new();
        school.guesses = Guesses::with_places(64);
        assert_eq!(school.guesses("ms.obi", 1, 9, 0), 9);
        assert_eq!(school.sign_in("kim", 2), Ok(()));
        let before = school.guesses.table().entries.len();
        for client in 10..2_010 {
            school.now += Duration::from_millis(1);
            let name = format!("name {client}");
            let attempt = school.attempt(&name, client, "wrong");
            drop(school.guesses.begin(&attempt, school.now).unwrap());
        }
        let is_known = |school: &School| {
            let kim = school.guesses.keys(&school.attempt("kim", 2, "right")).at_client;
            let table = school.guesses.table();
            table.entries.get(&kim).is_some_and(|entry| entry.is_proven(school.now))
        };
        assert_eq!(school.guesses.table().entries.len(), before);
        assert!(is_known(&school));
        assert_eq!(school.guesses("ms.obi", 1, 9, 9), 1, "nine were made before");
        for client in 10..2_010 {
            school.now += Duration::from_millis(1);
            assert_eq!(school.guess(&format!("name {client}"), client, "wrong"), Ok(()));
        }
        assert!(is_known(&school));
    }
}
