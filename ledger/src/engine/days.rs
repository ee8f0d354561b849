//! The files of days that the engine has open: opened when something comes for them, lent to be sealed,
//! closed once they are over.

use super::*;

impl Engine {
    /// Opens the newest days, for their open accesses and their highest id: what is stored may be
    /// younger than `carried` where a power cut took the journal's end.
    pub(crate) async fn open_newest_days(&mut self) -> Result<(), IngestError> {
        for date in self.newest_days()? {
            if crate::sqlite::day_path(&self.access, date).exists() {
                self.ready_day(date).await?;
            }
        }
        Ok(())
    }

    pub(super) fn newest_days(&self) -> Result<Vec<Date>, IngestError> {
        let mut days: Vec<Date> = self.parts()?.into_iter().map(|part| part.day).collect();
        days.dedup();
        Ok(newest(&days).iter().rev().copied().collect())
    }

    pub(super) fn parts(&self) -> Result<Vec<Part>, IngestError> {
        let failed = |source| IngestError::Journal { path: self.access.clone(), source };
        crate::parts::parts(&self.access).map_err(failed)
    }

    pub(super) async fn is_stored(
        &mut self,
        id: u64,
        offset: u64,
        read: &DecisionRead<'_>,
        context: &DayContext,
    ) -> Result<bool, IngestError> {
        self.tally.last_id = self.tally.last_id.max(read.id.0);
        let date = context.day(read.at);
        let holds = |positions: &HashMap<u64, Position>| {
            positions.get(&id).is_some_and(|position| position.holds(offset))
        };
        // A journal that is read again, as after a change of priority, must not stop the sealing of a day that
        // has all of it: nothing of the day is open, so that there is nothing else to know of it.
        let is_lent = self.claims.as_ref().is_some_and(|claims| claims.is_granted(date));
        if is_lent && self.lent_parts(date).await?.iter().any(holds) {
            return Ok(true);
        }
        if self.sealed_parts(date).await?.iter().any(holds) {
            return Ok(true);
        }
        let day = self.ready_day(date).await?;
        Ok(day.file.positions.get(&id).is_some_and(|position| position.holds(offset)))
    }

    /// How far journals are stored in the sealed parts of a day.
    pub(super) async fn sealed_parts(
        &mut self,
        date: Date,
    ) -> Result<&[HashMap<u64, Position>], IngestError> {
        if !self.sealed.contains_key(&date) {
            self.take_back(date);
            let mut sealed = Vec::new();
            for part in self.parts()?.iter().filter(|part| part.day == date && part.sealed) {
                let path = part.database(&self.access);
                let positions = crate::sqlite::stored_positions(&path).await;
                sealed.push(positions.map_err(|source| IngestError::Store { path, source })?);
            }
            self.sealed.insert(date, sealed);
        }
        Ok(self.sealed.get(&date).map_or(&[], Vec::as_slice))
    }

    /// How far journals are stored in the parts of a day that was let go, sealed by now or not.
    pub(super) async fn lent_parts(
        &mut self,
        date: Date,
    ) -> Result<&[HashMap<u64, Position>], IngestError> {
        if self.lent.as_ref().is_none_or(|(day, _)| *day != date) {
            let mut lent = Vec::new();
            for part in self.parts()?.iter().filter(|part| part.day == date) {
                let path = part.database(&self.access);
                let positions = crate::sqlite::stored_positions(&path).await;
                lent.push(positions.map_err(|source| IngestError::Store { path, source })?);
            }
            self.lent = Some((date, lent));
        }
        Ok(self.lent.as_ref().map_or(&[], |(_, parts)| parts.as_slice()))
    }

    /// Waits until nobody else has the day's file.
    pub(super) fn take_back(&self, date: Date) {
        if let Some(claims) = &self.claims {
            claims.take_back(date);
        }
    }

    /// Lets the day go that is to be sealed, once nothing of it is open or waits.
    pub(crate) async fn let_go(&mut self, caught_up: bool) -> Result<(), IngestError> {
        let Some(claims) = self.claims.clone() else { return Ok(()) };
        let Some(date) = claims.wanted() else { return Ok(()) };
        let is_of_day = |held: &Held| match payload::read(&held.payload) {
            Some(Payload::Decided(read)) => held.context.day(read.at) == date,
            _ => false,
        };
        let in_use = self.open.values().any(|open| open.day == date)
            || self.held.values().any(is_of_day)
            || self.days.get(&date).is_some_and(|day| day.file.has_batch());
        if in_use || !caught_up || !self.batch_day(date).await? {
            return Ok(());
        }
        self.close_day(date).await?;
        self.sealed.remove(&date);
        self.lent = None;
        claims.grant(date);
        Ok(())
    }

    /// Puts into a batch what of a day waits for one: once the day is sealed, none can be made any more.
    /// `false`: something of it is open, or it has no file that is written to.
    pub(crate) async fn batch_day(&mut self, date: Date) -> Result<bool, IngestError> {
        let path = crate::sqlite::day_path(&self.access, date);
        if !self.days.contains_key(&date) {
            if !path.exists() {
                return Ok(false);
            }
            let waits = crate::sqlite::waits_for_batch(&path).await;
            if !waits.map_err(|source| IngestError::Store { path, source })? {
                return Ok(true);
            }
            self.ready_day(date).await?;
        }
        if self.days.get(&date).is_some_and(|day| day.file.waits_for_batch().0) {
            self.commit(Batches::All).await?;
        }
        Ok(!self.open.values().any(|open| open.day == date))
    }

    pub(super) async fn ready_day(&mut self, date: Date) -> Result<&mut Day, IngestError> {
        if !self.days.contains_key(&date) {
            self.take_back(date);
            let lock = self.lock_of(date).await?;
            let path = crate::sqlite::day_path(&self.access, date);
            let opened = DayFile::open(&self.access, date).await;
            let (file, open) = opened.map_err(|source| IngestError::Store { path, source })?;
            self.tally.last_id = self.tally.last_id.max(file.max_id());
            let open =
                open.into_iter().map(|(id, (row, path))| (id, Open { day: date, row, path }));
            self.open.extend(open);
            let day = Day { file, used: Instant::now(), synced: false, _lock: lock };
            self.days.insert(date, day);
        }
        let missing =
            || IngestError::Store { path: self.access.clone(), source: sqlx::Error::RowNotFound };
        let day = self.days.get_mut(&date).ok_or_else(missing)?;
        day.used = Instant::now();
        Ok(day)
    }

    /// Waits until nobody replaces files of days, where a day is not one of the newest. Whoever seals one is
    /// asked to stop; an erasure ends by itself, and the journals keep everything meanwhile.
    pub(super) async fn lock_of(&self, date: Date) -> Result<Option<DaysLock>, IngestError> {
        let mut days = self.newest_days()?;
        days.push(date);
        days.sort_unstable();
        days.dedup();
        if newest(&days).contains(&date) || is_of_today(date, now()) {
            return Ok(None);
        }
        // An end is no failure: the journals keep what was not stored.
        let began = Instant::now();
        let give_up = || match &self.claims {
            Some(claims) => claims.recall(),
            None => began.elapsed() >= self.patience,
        };
        let lock = DaysLock::take(&self.access, Hold::Shared, give_up).await;
        let lock = lock.and_then(|lock| {
            let busy =
                || std::io::Error::other("records are being erased, or a day is being sealed");
            lock.map(Some).ok_or_else(busy)
        });
        lock.map_err(|source| IngestError::Lock { path: DaysLock::path(&self.access), source })
    }

    /// Closes files of days that are over. `all`: every file.
    pub(crate) async fn close_days(&mut self, all: bool) -> Result<(), IngestError> {
        let newest = self.days.keys().next_back().copied();
        let idle = |date: &Date, day: &Day| {
            Some(*date) != newest
                && day.used.elapsed() >= CLOSE_AFTER
                && !self.open.values().any(|open| open.day == *date)
                && self.held.is_empty()
        };
        let closing: Vec<Date> = self
            .days
            .iter()
            .filter(|(date, day)| all || idle(date, day))
            .map(|(date, _)| *date)
            .collect();
        if closing.is_empty() {
            return Ok(());
        }
        self.commit(Batches::All).await?;
        for date in closing {
            self.close_day(date).await?;
        }
        if let Some(tree) = &mut self.tree {
            tree.make_durable(self.days.keys().copied())?;
        }
        Ok(())
    }

    pub(super) async fn close_day(&mut self, date: Date) -> Result<(), IngestError> {
        let Some(day) = self.days.remove(&date) else { return Ok(()) };
        let path = crate::sqlite::day_path(&self.access, date);
        day.file.close().await.map_err(|source| IngestError::Store { path, source })
    }
}
