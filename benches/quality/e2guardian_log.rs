//! e2guardian's log of the pages that it was asked for, a line each, cells parted by tabs.

use std::collections::BTreeMap;

/// What it says of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The sum of the phrases' weights; `None` where a phrase banned or excused the page.
    pub weight: Option<i64>,
    /// Whether it was blocked.
    pub is_blocked: bool,
}

/// What the log says of each number.
pub(crate) fn read(log: &[u8]) -> BTreeMap<usize, Told> {
    let text = String::from_utf8_lossy(log);
    let lines = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        let url = cells.iter().find(|cell| cell.starts_with("http://localhost:"))?;
        let number = url.rsplit('/').next()?.parse().ok()?;
        let is_blocked = line.contains("*DENIED*");
        let is_judged_by_weight = !line.contains("Banned") && !line.contains("*EXCEPTION*");
        // ... method, bytes, weight ...
        let method = cells.iter().position(|cell| *cell == "GET")?;
        let weight = cells.get(method + 2).and_then(|cell| cell.trim().parse().ok());
        Some((number, Told { weight: weight.filter(|_| is_judged_by_weight), is_blocked }))
    });
    lines.collect()
}
