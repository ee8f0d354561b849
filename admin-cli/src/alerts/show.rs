//! `alerts show`: one alert with whom it is about, what was recorded, and who was told.

use super::{HANDLES_ALERTS, READS_ALERTS, about, alert_id, no_such, notes, read_until, store};
use crate::args::WhoArgs;
use crate::failure::{Exit, Failure};
use crate::log::{self, from_query_error, shown_address};
use crate::output::{json_text, visible};
use crate::school::{School, now, show_seconds};
use crate::visits::answer;
use crate::who::look;
use ledger::alerts::watch::{episodes_of, find};
use ledger::alerts::{Alert, AlertEvent, AlertStore, Alerts, NewEvent};
use ledger::episodes::{
    Episode, EpisodeDay, MAX_TIMES, Person, Sign, is_of_theme, signs_of, theme_title,
};
use ledger::query::{AccessLog, AccessRow, Filter, Order};
use rules::access::RoleSet;
use rules::policy::Policy;
use serde_json::{Value, json};
use std::convert::Infallible;

/// Most records shown.
const MOST_SHOWN: usize = 50;

/// Shows one, and notes that it was seen where the person deals with alerts.
pub(super) async fn run(
    school: &School,
    alert: &str,
    who: &WhoArgs,
    as_json: bool,
) -> Result<Exit, Failure> {
    let id = alert_id(alert)?;
    let policy = school.snapshot().await?.policy;
    let by = look(school, &policy, who, READS_ALERTS, "alerts show", &id.to_string()).await?;
    let Some(mut store) = store(school).await? else { return Err(no_such(id)) };
    if store.alerts().await.map_err(Failure::fault)?.get(id).is_none() {
        return Err(no_such(id));
    }
    let handles: RoleSet = HANDLES_ALERTS.iter().copied().collect();
    if policy.roles(&by).intersects(handles) {
        // Before anything is read: what comes meanwhile counts as not seen.
        let read = read_until(school, id).await;
        let seen = vec![NewEvent::new(&by, AlertEvent::Seen { alert: id, read })];
        let appended = store.append_with(now(), &[], |_: &Alerts| Ok::<_, Infallible>(seen)).await;
        appended.map_err(Failure::fault)?;
    }
    let alert = store.alerts().await.map_err(Failure::fault)?.get(id).cloned();
    let alert = alert.ok_or_else(|| no_such(id))?;
    let told = Told::read(school, &mut store, alert, MOST_SHOWN).await?;
    match as_json {
        true => println!("{}", json_text(format!("{:#}", told.json(&policy)))),
        false => told.say(&policy)?,
    }
    Ok(Exit::Ok)
}

/// An alert with everything that is shown of it.
pub(crate) struct Told {
    pub(crate) alert: Alert,
    /// `None`: erased.
    pub(crate) about: Option<Person>,
    /// As the log has it now; `None`: its records are gone.
    pub(crate) episode: Option<Episode>,
    /// Its records, as many as were asked for.
    pub(crate) rows: Vec<AccessRow>,
    /// Outcome, by whom, when, note.
    pub(crate) notes: Vec<Option<String>>,
}

impl Told {
    pub(crate) async fn read(
        school: &School,
        store: &mut AlertStore,
        alert: Alert,
        most_records: usize,
    ) -> Result<Self, Failure> {
        let about = about(store, &alert).await?;
        let notes = notes(store, &alert).await?;
        let mut log = log::open(school).await?;
        let episode = match alert.day.parse() {
            Ok(day) => {
                let day = episodes_of(&mut log, EpisodeDay::with_devices(day))
                    .await
                    .map_err(from_query_error)?;
                find(&day, &alert.episode).cloned()
            }
            Err(_) => None,
        };
        let rows = match &episode {
            Some(episode) => records(&mut log, episode, most_records).await?,
            None => Vec::new(),
        };
        Ok(Self { alert, about, episode, rows, notes })
    }

    /// What a record has of the alert's theme: where it was found, and with how many points.
    pub(crate) fn found(&self, row: &AccessRow) -> Vec<String> {
        let of_theme = |sign: &Sign| is_of_theme(sign, &self.alert.episode.theme);
        let signs = signs_of(row, 0).into_iter().filter(of_theme);
        signs.map(|sign| format!("{}: {} points", sign.source.as_str(), sign.points)).collect()
    }

    /// Signs that came since it was closed and did not open it again, as it was a false alarm.
    fn silenced(&self) -> usize {
        let known = self.alert.known(now());
        self.episode.as_ref().zip(known).map_or(0, |(episode, known)| episode.silenced(known))
    }

    fn json(&self, policy: &Policy) -> Value {
        let Self { alert, about, episode, rows, notes } = self;
        let clock = policy.clock();
        let at = |at| clock.rfc3339(at);
        let record = |row: &AccessRow| {
            let (host, path) = shown_address(policy, row);
            json!({
                "at": at(row.at), "code": row.id.code(), "host": host, "path": path,
                "reason": row.reason.as_str(), "sequence": row.cursor.to_string(),
                "verdict": row.verdict.as_str(), "visit": row.visit.as_str(), "found": self.found(row),
            })
        };
        let review = |(review, note): (&ledger::alerts::Review, &Option<String>)| json!({ "at": at(review.at), "by": review.by, "outcome": review.outcome, "note": note });
        let delivery = |it: &ledger::alerts::Delivery| {
            json!({
                "at": at(it.at), "to": it.to, "channel": it.channel, "severity": it.severity,
                "escalation": it.step, "failed": it.failed,
            })
        };
        let reopening = |it: &ledger::alerts::Reopening| json!({ "at": at(it.at), "by": it.by });
        json!({
            "alert": alert.id.to_string(),
            "severity": alert.severity,
            "theme": alert.episode.theme,
            "state": alert.state(),
            "about": about,
            "level": alert.level,
            "confidence": alert.confidence,
            "first": at(alert.first),
            "last": episode.as_ref().map(|episode| at(episode.last)),
            "signs": episode.as_ref().map_or(alert.signs, |episode| episode.signs),
            "requests": episode.as_ref().map(|episode| episode.requests),
            "strongest": episode.as_ref().map_or(alert.strongest, |episode| episode.strongest),
            "raised": at(alert.raised_at),
            "assigned": alert.assigned,
            "seen": alert.seen.as_ref().map(|(by, when)| json!({ "by": by, "at": at(*when) })),
            "escalations": alert.escalated.map_or(0, |it| it.step),
            "reopened": alert.reopened.iter().map(reopening).collect::<Vec<_>>(),
            "silenced": self.silenced(),
            "told": alert.deliveries.iter().map(delivery).collect::<Vec<_>>(),
            "reviews": alert.reviews.iter().zip(notes).map(review).collect::<Vec<_>>(),
            "closed": alert.closed.map(at),
            "time_to_review_ms": alert.time_to_review_ms(),
            "records": rows.iter().map(record).collect::<Vec<_>>(),
        })
    }

    fn say(&self, policy: &Policy) -> Result<(), Failure> {
        let Self { alert, about, episode, rows, notes } = self;
        let clock = policy.clock();
        let theme = theme_title(&alert.episode.theme);
        say!("{}  {}  {}  {}", alert.id, alert.severity.as_str(), visible(theme), alert.state());
        let name = about.as_ref().map_or("erased", Person::name);
        say!(
            "  about      {} ({}, {})",
            visible(name),
            visible(&alert.level),
            alert.confidence.as_str()
        );
        match episode {
            Some(episode) => say!(
                "  when       {} to {}: {}, {}",
                clock.show(episode.first),
                clock.show(episode.last),
                counted(episode.signs, "sign"),
                counted(episode.requests, "request")
            ),
            None => say!(
                "  when       {}: {}; its records are no longer kept",
                clock.show(alert.first),
                counted(alert.signs, "sign")
            ),
        }
        say!("  raised     {}", clock.show(alert.raised_at));
        for told in &alert.deliveries {
            let outcome =
                told.failed.as_deref().map_or("arrived".to_owned(), |why| format!("failed: {why}"));
            let (channel, to) = (told.channel.as_str(), visible(&told.to));
            say!("  told       {} {channel} to {to}: {}", clock.show(told.at), visible(&outcome));
        }
        if let Some(it) = alert.escalated {
            say!("  escalated  {} times, last {}", it.step, clock.show(it.at));
        }
        if let Some((by, at)) = &alert.seen {
            say!("  seen       {} by {}", clock.show(*at), visible(by));
        }
        if let Some(owner) = &alert.assigned {
            say!("  whose      {}", visible(owner));
        }
        for (review, note) in alert.reviews.iter().zip(notes) {
            let note = note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
            let (by, outcome) = (visible(&review.by), review.outcome.as_str());
            say!("  reviewed   {} by {by}, {outcome}{}", clock.show(review.at), visible(&note));
        }
        for it in &alert.reopened {
            let by = it.by.map(|by| format!(" by {}", by.words())).unwrap_or_default();
            say!("  open again {}{by}", clock.show(it.at));
        }
        let silenced = self.silenced();
        if silenced > 0 {
            let least = if silenced >= MAX_TIMES { "at least " } else { "" };
            say!(
                "  silenced   {least}{} since: closed as a false alarm, and of the same sites, which nobody is known to \
                 have opened",
                counted(silenced as u64, "sign")
            );
        }
        for row in rows {
            let address = address(policy, row);
            let (at, code) = (show_seconds(clock, row.at), row.id.code());
            let found = self.found(row).join(", ");
            let answer = answer(row.reason.as_str(), row.visit);
            say!("  {at}  {code}  {}  {answer}  {found}", visible(&address));
        }
        if let Some(more) =
            episode.as_ref().map(|it| it.requests as usize - rows.len()).filter(|more| *more > 0)
        {
            say!("  and {more} more records");
        }
        // The words themselves stand in the log, which each look at is recorded of.
        if let Some(row) = rows.iter().find(|row| row.words.is_some()) {
            say!("  words      schoolgate log show {}", row.id.code());
        }
        if alert.is_open() {
            say!(
                "  next       schoolgate alerts review {} --outcome OUTCOME --note TEXT",
                alert.id
            );
        }
        Ok(())
    }
}

/// `1 sign`, `2 signs`.
fn counted(count: impl Into<u64>, what: &str) -> String {
    let count = count.into();
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Host and path in one. What stands for a locked path is no path, and stands apart.
pub(crate) fn address(policy: &Policy, row: &AccessRow) -> String {
    let (host, path) = shown_address(policy, row);
    match path {
        Some(path) if path.starts_with('/') => format!("{host}{path}"),
        Some(hidden) => format!("{host} {hidden}"),
        None => host,
    }
}

/// The records of an episode, read one by one: there are few.
async fn records(
    log: &mut AccessLog,
    episode: &Episode,
    most: usize,
) -> Result<Vec<AccessRow>, Failure> {
    let mut rows = Vec::new();
    for (place, _) in episode.records.iter().take(most) {
        let after = place.checked_sub(1);
        let page =
            log.day_page(episode.day, &Filter::default(), Order::OldestFirst, after, 1).await;
        rows.extend(page.map_err(from_query_error)?);
    }
    Ok(rows)
}
