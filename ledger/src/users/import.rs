//! CSV files of users, as school systems export them: all lines are good, or none is taken.

use super::password::{Password, hash_password};
use super::{ImportFault, NewUser, Users, check_name, user_key};
use std::collections::HashMap;

/// Reads the file; every fault found, each with its line. No fault holds a password.
pub(super) fn read_csv(
    text: &[u8],
    knows_level: &dyn Fn(&str) -> bool,
) -> Result<Vec<NewUser>, Vec<ImportFault>> {
    let one = |line, what: String| vec![ImportFault { line, what }];
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::None).flexible(true).from_reader(text);
    let header = reader.headers().map_err(|e| one(1, e.to_string()))?.clone();
    let columns = Columns::find(&header).map_err(|what| one(1, what))?;
    let mut users = Vec::new();
    let mut faults = Vec::new();
    let mut seen: HashMap<String, u64> = HashMap::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                faults.push(ImportFault { line, what: "is not UTF-8 text".to_owned() });
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        match columns.user(&record, header.len(), knows_level) {
            Err(what) => faults.push(ImportFault { line, what }),
            Ok(user) => match seen.insert(user_key(&user.name), line) {
                Some(first) => {
                    let what = format!("user {} is on line {first} already", user.name);
                    faults.push(ImportFault { line, what });
                }
                None => users.push(user),
            },
        }
    }
    if users.is_empty() && faults.is_empty() {
        faults.push(ImportFault { line: 1, what: "holds no users".to_owned() });
    }
    if faults.is_empty() { Ok(users) } else { Err(faults) }
}

/// Which column holds what.
struct Columns {
    user: usize,
    level: Option<usize>,
    groups: Option<usize>,
    password: Option<usize>,
}

impl Columns {
    fn find(header: &csv::StringRecord) -> Result<Columns, String> {
        let mut columns = Columns { user: usize::MAX, level: None, groups: None, password: None };
        for (place, name) in header.iter().enumerate() {
            let slot = match name.trim().to_lowercase().as_str() {
                "user" | "name" if columns.user == usize::MAX => {
                    columns.user = place;
                    continue;
                }
                "level" => &mut columns.level,
                "groups" | "group" => &mut columns.groups,
                "password" => &mut columns.password,
                other => {
                    return Err(format!(
                        "no column is called {other:?}; use user, level, groups and password"
                    ));
                }
            };
            if slot.replace(place).is_some() {
                return Err(format!("column {name:?} stands twice"));
            }
        }
        match columns.user {
            usize::MAX => Err("the first line must name the columns, user among them".to_owned()),
            _ => Ok(columns),
        }
    }

    fn user(
        &self,
        record: &csv::StringRecord,
        width: usize,
        knows_level: &dyn Fn(&str) -> bool,
    ) -> Result<NewUser, String> {
        if record.len() > width {
            // A comma in an unquoted password would shift the rest: never guess.
            return Err(
                "has more cells than the first line; quote cells that hold a comma".to_owned()
            );
        }
        let cell = |place: Option<usize>| place.and_then(|place| record.get(place)).unwrap_or("");
        let name = cell(Some(self.user)).trim().to_owned();
        check_name(&name).map_err(|error| error.to_string())?;
        let level = Some(cell(self.level).trim()).filter(|level| !level.is_empty());
        if let Some(level) = level.filter(|level| !knows_level(level)) {
            return Err(format!("user {name}: the policy has no level {level:?}"));
        }
        let groups = cell(self.groups).split(';').map(str::trim).filter(|group| !group.is_empty());
        let groups = groups.map(str::to_owned).collect();
        let password = match cell(self.password) {
            "" => None,
            text => Some(Password::new(text).map_err(|error| format!("user {name}: {error}"))?),
        };
        Ok(NewUser { name, level: level.map(str::to_owned), groups, password })
    }
}

/// Hashes the passwords of an import on all cores. A password that the user has already gives no
/// hash: the same one under a new salt is no change worth an entry on every import.
pub(super) fn hash_all(users: &[NewUser], known: &Users) -> Vec<Option<String>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = users.len().div_ceil(threads).max(1);
    let hash = |user: &NewUser| {
        let password = user.password.as_ref()?;
        let old = known.find(&user.name).and_then(|known| known.phc.as_deref());
        if old.is_some_and(|phc| password.verify(phc)) {
            None
        } else {
            Some(hash_password(password))
        }
    };
    let hash = &hash;
    std::thread::scope(|scope| {
        let parts: Vec<_> = users
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(hash).collect::<Vec<_>>()))
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
