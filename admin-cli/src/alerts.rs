//! `alerts`: what somebody must look at, and what came of it.

pub(crate) mod show;

use crate::args::{AlertsCommand, ChangeArgs, PrintArgs, WhoArgs};
use crate::failure::{Exit, Failure};
use crate::log;
use crate::login::from_account_error;
use crate::output::{Cell, Column, Sheet, visible};
use crate::school::{Acting, School, from_append_error, from_time_error, now};
use crate::who::{look, person, subject_words};
use ledger::alerts::watch::stored_until;
use ledger::alerts::{
    Alert, AlertEvent, AlertStore, Alerts, AppendAlertError, NewEvent, Outcome, Position, Private,
};
use ledger::changes::ChangeLog;
use ledger::episodes::theme_title;
use rules::access::{Role, RoleSet};
use rules::alert::{AlertId, Severity};
use rules::change::{Event, same_person};
use rules::time::UnixMillis;
use std::cmp::Reverse;

/// Who reads alerts.
pub(crate) const READS_ALERTS: &[Role] = &[Role::Dsl, Role::Head, Role::Auditor];

/// Who deals with them.
pub(crate) const HANDLES_ALERTS: &[Role] = &[Role::Dsl, Role::Head];

/// Most characters of a note.
const LONGEST_NOTE: usize = 4_000;

const COLUMNS: &[Column] = &[
    Column { key: "alert", title: "Alert", gives_way: 0 },
    Column { key: "severity", title: "Severity", gives_way: 0 },
    Column { key: "theme", title: "Theme", gives_way: 0 },
    Column { key: "signs", title: "Signs", gives_way: 3 },
    Column { key: "level", title: "Level", gives_way: 2 },
    Column { key: "confidence", title: "Known by", gives_way: 4 },
    Column { key: "raised", title: "Raised", gives_way: 1 },
    Column { key: "state", title: "State", gives_way: 0 },
    Column { key: "assigned", title: "Whose", gives_way: 2 },
    Column { key: "outcome", title: "Outcome", gives_way: 3 },
    // For programs.
    Column { key: "escalations", title: "", gives_way: 5 },
    Column { key: "time_to_review_ms", title: "", gives_way: 5 },
];

/// Runs an `alerts` command.
pub(crate) async fn run(school: &School, command: AlertsCommand) -> Result<Exit, Failure> {
    match command {
        AlertsCommand::List { open, mine, severity, since, who, print } => {
            let wanted = Wanted { open, mine, severity, since: since.as_deref() };
            list(school, wanted, &who, print).await
        }
        AlertsCommand::Show { alert, who, json } => show::run(school, &alert, &who, json).await,
        AlertsCommand::Assign { alert, user, change } => {
            assign(school, &alert, &user, &change).await
        }
        AlertsCommand::Review { alert, outcome, note, correct, change } => {
            let review = Reviewing { alert: &alert, outcome, note: note.as_deref(), correct };
            review.run(school, &change).await
        }
    }
}

/// Which alerts.
struct Wanted<'a> {
    open: bool,
    mine: bool,
    severity: Option<Severity>,
    since: Option<&'a str>,
}

async fn list(
    school: &School,
    wanted: Wanted<'_>,
    who: &WhoArgs,
    print: PrintArgs,
) -> Result<Exit, Failure> {
    let policy = school.snapshot().await?.policy;
    let clock = policy.clock();
    let subject = subject_words(&[
        ("severity", wanted.severity.map(Severity::as_str)),
        ("since", wanted.since),
    ]);
    let by = look(school, &policy, who, READS_ALERTS, "alerts list", &subject).await?;
    let range = |text: &str| clock.range(text, now()).map_err(from_time_error);
    let since = wanted.since.map(range).transpose()?.map_or(UnixMillis(i64::MIN), |it| it.0);
    let mut sheet = Sheet::stdout(print.format(), COLUMNS)?;
    if let Some(mut store) = store(school).await? {
        let alerts = store.alerts().await.map_err(Failure::fault)?;
        let mut kept: Vec<&Alert> = alerts
            .iter()
            .filter(|alert| !wanted.open || alert.is_open())
            .filter(|alert| !wanted.mine || alert.is_of(&by))
            .filter(|alert| wanted.severity.is_none_or(|severity| alert.severity == severity))
            .filter(|alert| alert.raised_at >= since)
            .collect();
        kept.sort_by_key(|it| (!it.is_open(), Reverse(it.severity), Reverse(it.raised_at)));
        for alert in kept {
            let outcome = alert.reviews.last().map(|review| review.outcome.as_str());
            let confidence = alert.confidence.as_str();
            sheet.row(&[
                Cell::text(alert.id.to_string()),
                Cell::text(alert.severity.as_str()),
                Cell::new(theme_title(&alert.episode.theme), alert.episode.theme.as_str()),
                Cell::number(alert.signs),
                Cell::text(&alert.level),
                Cell::text(confidence),
                Cell::new(clock.show(alert.raised_at), clock.rfc3339(alert.raised_at)),
                Cell::text(alert.state()),
                Cell::maybe(alert.assigned.as_deref()),
                Cell::maybe(outcome),
                Cell::number(alert.escalated.map_or(0, |it| it.step)),
                match alert.time_to_review_ms() {
                    Some(ms) => Cell::number(ms),
                    None => Cell::maybe(None::<String>),
                },
            ])?;
        }
    }
    if sheet.finish()? == 0 {
        note!("no alerts");
    }
    Ok(Exit::Ok)
}

async fn assign(
    school: &School,
    alert: &str,
    user: &str,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let id = alert_id(alert)?;
    let policy = school.snapshot().await?.policy;
    let log = school.change_log().await?;
    let by = person(school, &log, change).await?;
    let acting = Acting::new(&log, &by, format!("alerts assign {id}"), change);
    acting.require(&policy, HANDLES_ALERTS).await?;
    let handles: RoleSet = HANDLES_ALERTS.iter().copied().collect();
    let user = user.trim();
    if !policy.roles(user).intersects(handles) {
        let names = HANDLES_ALERTS.iter().flat_map(|role| policy.holders(*role));
        let names: Vec<&str> = names.map(String::as_str).collect();
        return Err(Failure::usage(format!(
            "{} holds no role that deals with alerts",
            visible(user)
        ))
        .fix(format!("name one of: {}", visible(&names.join(", ")))));
    }
    let account = log.accounts().find(user).await.map_err(from_account_error)?;
    let assigned = AlertEvent::Assigned { alert: id, to: user.to_owned() };
    let done = format!("assigned to {user}");
    let events = vec![NewEvent::new(&by, assigned)];
    handle(school, &log, (&by, On::Open), id, events, &done, change).await?;
    let would = if change.dry_run { "would be " } else { "" };
    say!("{id}  {would}assigned to {}", visible(user));
    say!("  next  schoolgate alerts review {id} --outcome OUTCOME --note TEXT");
    if account.is_none() {
        let user = visible(user);
        note!("warning: {user} has no account, and can neither see the alert nor review it");
        note!("  fix: schoolgate account add {user}");
    }
    Ok(Exit::Ok)
}

/// What somebody says came of an alert.
struct Reviewing<'a> {
    alert: &'a str,
    outcome: Outcome,
    note: Option<&'a str>,
    /// Something else was said before, and the alert closed.
    correct: bool,
}

impl Reviewing<'_> {
    async fn run(&self, school: &School, change: &ChangeArgs) -> Result<Exit, Failure> {
        let id = alert_id(self.alert)?;
        let policy = school.snapshot().await?.policy;
        let log = school.change_log().await?;
        let by = person(school, &log, change).await?;
        let acting = Acting::new(&log, &by, format!("alerts review {id}"), change);
        acting.require(&policy, HANDLES_ALERTS).await?;
        let note = self.note.map(str::trim).filter(|note| !note.is_empty());
        if note.is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
            return Err(Failure::usage(format!("a note has at most {LONGEST_NOTE} characters"))
                .fix("keep the long account in the school's own records, and name it here"));
        }
        if self.correct && note.is_none() {
            return Err(
                Failure::usage("a correction needs a note").fix("say in --note what was wrong")
            );
        }
        if self.correct && !is_whole(school, id).await? {
            return Err(Failure::usage(format!("{id} is closed, and whom it was about is erased"))
                .fix("nothing more can be said of it; keep what there is to say in the school's own records"));
        }
        let private = note.map(|note| Private::Note(note.to_owned()));
        let read = read_until(school, id).await;
        let outcome = self.outcome;
        let reviewed = AlertEvent::Reviewed { alert: id, outcome, read, private: None };
        let mut events = vec![NewEvent { private, ..NewEvent::new(&by, reviewed) }];
        // What is closed already stays so.
        if outcome.closes() && !self.correct {
            events.push(NewEvent::new(&by, AlertEvent::Closed { alert: id }));
        }
        let word = outcome.as_str();
        let done = match self.correct {
            true => format!("what was said of it corrected to: {word}"),
            false => format!("reviewed: {word}"),
        };
        let on = if self.correct { On::Closed } else { On::Open };
        handle(school, &log, (&by, on), id, events, &done, change).await?;
        let would = if change.dry_run { "would be " } else { "" };
        match (self.correct, outcome.closes()) {
            (false, true) => say!("{id}  {would}reviewed as {word} and closed"),
            (false, false) => say!("{id}  {would}reviewed as {word}, and stays open"),
            (true, true) => say!("{id}  {would}corrected to {word}, and stays closed"),
            (true, false) => say!("{id}  {would}corrected to {word}, and open again"),
        }
        Ok(Exit::Ok)
    }
}

/// Which alerts something is done with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Open,
    Closed,
}

/// Appends to the alert, and says in the change log that somebody did: what, not what they wrote.
async fn handle(
    school: &School,
    log: &ChangeLog,
    (by, on): (&str, On),
    id: AlertId,
    events: Vec<NewEvent>,
    done: &str,
    change: &ChangeArgs,
) -> Result<(), Failure> {
    let Some(mut store) = store(school).await? else { return Err(no_such(id)) };
    let check = |alerts: &Alerts| match (alerts.get(id).map(Alert::is_open), on) {
        (None, _) => Err(no_such(id)),
        (Some(true), On::Open) | (Some(false), On::Closed) => Ok(()),
        (Some(false), On::Open) => Err(Failure::usage(format!("{id} is closed")).fix(format!(
            "see what came of it with: schoolgate alerts show {id}; a slip is put right by alerts \
             review with --correct"
        ))),
        (Some(true), On::Closed) => {
            let what = format!("{id} is open: there is nothing to correct");
            Err(Failure::usage(what).fix("review it without --correct"))
        }
    };
    if change.dry_run {
        return check(store.alerts().await.map_err(Failure::fault)?);
    }
    // The change log first: what is in no signed log must not have happened.
    check(store.alerts().await.map_err(Failure::fault)?)?;
    let event = Event::AlertHandled { alert: id, done: done.to_owned() };
    log.append(now(), by, event).await.map_err(from_append_error)?;
    let appended = store.append_with(now(), &[], |alerts| check(alerts).map(|()| events)).await;
    match appended {
        Ok(_) => Ok(()),
        Err(AppendAlertError::Refused(failure)) => Err(failure),
        Err(AppendAlertError::Store(error)) => Err(Failure::fault(error)),
    }
}

/// The file of alerts; `None`: there was none yet.
pub(crate) async fn store(school: &School) -> Result<Option<AlertStore>, Failure> {
    let state = &school.config.state;
    if !AlertStore::exists(state) {
        return Ok(None);
    }
    AlertStore::open(state).await.map(Some).map_err(Failure::fault)
}

/// The last row of an alert's day that is stored, so that what is stored later opens it again whatever the clock says.
/// `None`: the log cannot be read just now, which must keep nobody from an alert; the time alone tells then.
async fn read_until(school: &School, id: AlertId) -> Option<Position> {
    let mut store = store(school).await.ok()??;
    let day = store.alerts().await.ok()?.get(id)?.day.parse().ok()?;
    let mut log = log::open(school).await.ok()?;
    stored_until(&mut log, day).await.ok()?
}

/// Whether it is still known whom an alert is about; also of what is no alert, which is told elsewhere.
async fn is_whole(school: &School, id: AlertId) -> Result<bool, Failure> {
    let Some(mut store) = store(school).await? else { return Ok(true) };
    let alert = store.alerts().await.map_err(Failure::fault)?.get(id).cloned();
    match alert {
        Some(alert) => Ok(about(&mut store, &alert).await?.is_some()),
        None => Ok(true),
    }
}

/// Whom an alert is about; `None`: that was erased.
pub(crate) async fn about(
    store: &mut AlertStore,
    alert: &Alert,
) -> Result<Option<ledger::episodes::Person>, Failure> {
    Ok(match store.private(alert.sequence).await.map_err(Failure::fault)? {
        Some(Private::About(person)) => Some(person),
        _ => None,
    })
}

/// The alerts about somebody, in order.
pub(crate) async fn of_person(store: &mut AlertStore, name: &str) -> Result<Vec<Alert>, Failure> {
    let all: Vec<Alert> = store.alerts().await.map_err(Failure::fault)?.iter().cloned().collect();
    let mut kept = Vec::new();
    for alert in all {
        let about = about(store, &alert).await?;
        if about.is_some_and(|person| same_person(person.name(), name)) {
            kept.push(alert);
        }
    }
    Ok(kept)
}

/// What was noted with each review of an alert; `None`: nothing, or it was erased.
pub(crate) async fn notes(
    store: &mut AlertStore,
    alert: &Alert,
) -> Result<Vec<Option<String>>, Failure> {
    let mut notes = Vec::with_capacity(alert.reviews.len());
    for review in &alert.reviews {
        let note = store.private(review.sequence).await.map_err(Failure::fault)?;
        notes.push(note.and_then(|private| match private {
            Private::Note(note) => Some(note),
            Private::About(_) => None,
        }));
    }
    Ok(notes)
}

pub(crate) fn alert_id(text: &str) -> Result<AlertId, Failure> {
    AlertId::parse(text).ok_or_else(|| {
        Failure::usage(format!("\"{}\" is no alert; one is written A-0012", visible(text)))
            .fix("see the numbers with: schoolgate alerts list")
    })
}

pub(crate) fn no_such(id: AlertId) -> Failure {
    Failure::not_found(format!("no alert {id}")).fix("see the numbers with: schoolgate alerts list")
}
