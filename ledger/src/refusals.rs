//! Hosts whose clients refuse the filter's certificate: programs that trust their own certificates
//! alone, and devices that were not given the school's authority.

use crate::query::QueryError;
use crate::seen::has_endings;
use crate::sqlite::{days_between, open_to_read};
use jiff::civil::Date;
use rules::time::UnixMillis;
use sqlx::{Connection, Row, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedHost {
    /// Its name, in canonical spelling.
    pub host: String,
    /// Connections whose client refused the certificate.
    pub times: u64,
    /// Addresses of those clients.
    pub clients: BTreeSet<String>,
    /// The first.
    pub first: UnixMillis,
    /// The last.
    pub last: UnixMillis,
    /// Connections to the host whose client took the certificate.
    pub opened: u64,
    /// Requests inside those.
    pub requests: u64,
}

/// All of a range of days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// By host, most refusals first.
    pub hosts: Vec<RefusedHost>,
    /// Refusals at further hosts: a day tells apart 10,000 pairs of host and client.
    pub others: u64,
    /// Hosts without refusals and without a request: all connections there, so many, were opened and
    /// left. Some programs look at the certificate only after the handshake, and some browsers connect
    /// ahead of a need that never comes.
    pub unused: BTreeMap<String, u64>,
}

impl Refusals {
    /// Those of the school days `from` to before `until` in `state`. Days without a log, and those
    /// stored before there was looking into connections, add nothing.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn read(state: &Path, from: Date, until: Date) -> Result<Self, QueryError> {
        let mut hosts = BTreeMap::new();
        let mut opened = BTreeMap::new();
        let mut others = 0;
        for (_, path) in days_between(state, from, until)? {
            let added = async {
                let mut connection = open_to_read(&path).await?;
                // One read transaction: all sums are of the same moment.
                let mut transaction = connection.begin().await?;
                if has_endings(&mut transaction).await? {
                    others += add_refused(&mut transaction, &mut hosts).await?;
                    add_opened(&mut transaction, &mut opened).await?;
                }
                transaction.rollback().await?;
                connection.close().await
            };
            added.await.map_err(|source| QueryError::Store { path: path.clone(), source })?;
        }
        let mut hosts: Vec<RefusedHost> = hosts.into_values().collect();
        for host in &mut hosts {
            (host.opened, host.requests) = opened.remove(&host.host).unwrap_or_default();
        }
        let unused = opened.into_iter().filter(|(_, (_, requests))| *requests == 0);
        let unused = unused.map(|(host, (connections, _))| (host, connections)).collect();
        hosts.sort_by_key(|host| std::cmp::Reverse(host.times));
        Ok(Self { hosts, others, unused })
    }
}

/// Gives the refusals at hosts that are not told apart.
async fn add_refused(
    connection: &mut SqliteConnection,
    hosts: &mut BTreeMap<String, RefusedHost>,
) -> Result<u64, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT h.name, c.address, r.first, r.last, r.times FROM rollup_rejected r
         LEFT JOIN host h ON h.id = r.host LEFT JOIN client c ON c.id = r.client",
    )
    .fetch_all(connection)
    .await?;
    let mut others = 0;
    for row in rows {
        let (first, last) = (UnixMillis(row.try_get(2)?), UnixMillis(row.try_get(3)?));
        let times = row.try_get::<i64, _>(4)? as u64;
        let Some(name) = row.try_get::<Option<String>, _>(0)? else {
            others += times;
            continue;
        };
        let host = hosts.entry(name.clone()).or_insert_with(|| RefusedHost {
            host: name,
            times: 0,
            clients: BTreeSet::new(),
            first,
            last,
            opened: 0,
            requests: 0,
        });
        host.times += times;
        host.clients.extend(row.try_get::<Option<String>, _>(1)?);
        host.first = host.first.min(first);
        host.last = host.last.max(last);
    }
    Ok(others)
}

async fn add_opened(
    connection: &mut SqliteConnection,
    opened: &mut BTreeMap<String, (u64, u64)>,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(
        "SELECT h.name, o.connections, o.requests FROM rollup_opened o JOIN host h ON h.id = o.host",
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let (connections, requests) = opened.entry(row.try_get(0)?).or_default();
        *connections += row.try_get::<i64, _>(1)? as u64;
        *requests += row.try_get::<i64, _>(2)? as u64;
    }
    Ok(())
}
