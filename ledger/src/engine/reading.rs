//! What the journals hold, read piece by piece: decisions wait for their ends, damage is noted.

use super::*;

impl Engine {
    pub(super) fn unread(&self, id: u64) -> bool {
        self.sources.get(&id).is_some_and(|source| source.read < source.limit().0)
    }

    pub(super) async fn read_chunk(&mut self, id: u64) -> Result<u64, IngestError> {
        let Some(source) = self.sources.get_mut(&id) else { return Ok(0) };
        let (limit, _) = source.limit();
        let start = source.read;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(CHUNK_BYTES.min((limit - start) as usize), 0);
        let read = source.file().read_exact_at(&mut buffer, start);
        read.map_err(|error| IngestError::Journal { path: source.path.clone(), source: error })?;
        source.dirty = true;
        let last = start + buffer.len() as u64 == limit;
        let result = self.take_chunk(id, start, &buffer, last).await;
        self.buffer = buffer;
        result?;
        Ok(self.sources.get(&id).map_or(0, |source| source.read - start))
    }

    pub(super) async fn take_chunk(
        &mut self,
        id: u64,
        start: u64,
        bytes: &[u8],
        last: bool,
    ) -> Result<(), IngestError> {
        let mut bytes = bytes;
        let mut base = start;
        if start == 0
            && let Some(rest) = bytes.strip_prefix(MAGIC)
        {
            (bytes, base) = (rest, MAGIC.len() as u64);
        }
        let mut read = base;
        for found in Frames::new(bytes, base) {
            match found {
                Found::Payload { offset, payload } => {
                    read = offset + (HEAD_BYTES + payload.len()) as u64;
                    self.take_payload(id, offset, payload).await?;
                }
                Found::Damage { offset, bytes } => {
                    read = offset + bytes;
                    self.note_damage(id, offset, bytes);
                }
                Found::Tail { offset, bytes: count } => {
                    let tail = &bytes[(offset - base) as usize..];
                    if last {
                        read = offset + count;
                        self.note_tail(id, offset, tail);
                    } else if offset == base && count as usize > CHUNK_BYTES / 2 {
                        // A whole chunk without a frame. The next may start near its end.
                        let passed = count - (MAX_PAYLOAD_BYTES + HEAD_BYTES) as u64;
                        read = offset + passed;
                        self.note_damage(id, offset, passed);
                    }
                }
            }
        }
        if let Some(source) = self.sources.get_mut(&id) {
            source.read = read;
        }
        Ok(())
    }

    pub(super) fn note_damage(&mut self, id: u64, offset: u64, bytes: u64) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        source.damaged = true;
        tracing::error!(file = %source.path.display(), offset, bytes, "journal damaged: bytes passed over");
        self.tally.damage.push(Damage { file: source.path.clone(), offset, bytes });
    }

    /// A frame that runs past the end of the file is a write that a kill cut off: its decision was
    /// never acknowledged. Zeros are what a power cut leaves of a file that had grown but was not
    /// written yet. Anything else was whole once, and is damage.
    pub(super) fn note_tail(&mut self, id: u64, offset: u64, tail: &[u8]) {
        let length = tail.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize);
        let torn = tail.iter().all(|byte| *byte == 0)
            || length.is_none_or(|length| {
                tail.len() < HEAD_BYTES
                    || (length <= MAX_PAYLOAD_BYTES && HEAD_BYTES + length > tail.len())
            });
        if torn {
            self.tally.torn_bytes += tail.len() as u64;
        } else {
            self.note_damage(id, offset, tail.len() as u64);
        }
    }

    pub(super) async fn take_payload(
        &mut self,
        id: u64,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), IngestError> {
        match payload::read(bytes) {
            Some(Payload::Context(number, context)) => {
                let context = self.known_context(context);
                if let Some(source) = self.sources.get_mut(&id) {
                    source.contexts.insert(number, context);
                }
            }
            Some(Payload::Decided(read)) => {
                let context = self.context_of(id, read.context);
                if self.is_stored(id, offset, &read, &context).await? {
                    return Ok(());
                }
                self.hold(id, offset, bytes, &read, context).await?;
            }
            Some(Payload::DecidedAndEnded(read, ended)) => {
                let context = self.context_of(id, read.context);
                if !self.is_stored(id, offset, &read, &context).await? {
                    self.store(&read, &context, Some((ended, None))).await?;
                }
            }
            Some(Payload::Ended(request, ended, signs)) => {
                self.take_end(request.0, ended, signs).await?;
            }
            None => self.note_damage(id, offset, (HEAD_BYTES + bytes.len()) as u64),
        }
        Ok(())
    }

    /// Lets a decision wait for its end. No worker gives an id twice; where damage does, the later
    /// decision is stored at once, so that neither is dropped.
    pub(super) async fn hold(
        &mut self,
        segment: u64,
        offset: u64,
        payload: &[u8],
        read: &DecisionRead<'_>,
        context: Rc<DayContext>,
    ) -> Result<(), IngestError> {
        let tunnel = read.scheme == Scheme::Tunnel;
        let hash_map::Entry::Vacant(vacant) = self.held.entry(read.id.0) else {
            return self.store(read, &context, None).await;
        };
        let since = Instant::now();
        vacant.insert(Held { segment, offset, payload: payload.into(), context, tunnel, since });
        if let Some(source) = self.sources.get_mut(&segment) {
            source.held.insert(offset);
        }
        Ok(())
    }

    /// Equal contexts of several files become one. Those that no file and nothing that waits names any more go, but for
    /// the newest: each change of the policy or of a list makes one.
    pub(super) fn known_context(&mut self, context: Context) -> Rc<DayContext> {
        if let Some(known) = self.contexts.iter().rev().find(|known| *known.context == context) {
            return Rc::clone(known);
        }
        let newest = self.contexts.pop();
        self.contexts.retain(|known| Rc::strong_count(known) > 1);
        self.contexts.extend(newest);
        let context = Rc::new(DayContext::new(context));
        self.contexts.push(Rc::clone(&context));
        context
    }

    /// The context of a number; where damage took it, one that names nothing but, for the day's
    /// sake, keeps the zone last seen.
    pub(super) fn context_of(&mut self, id: u64, number: u16) -> Rc<DayContext> {
        let source = self.sources.get(&id);
        if let Some(context) = source.and_then(|source| source.contexts.get(&number)) {
            return Rc::clone(context);
        }
        let zone = self.contexts.last().map_or("UTC", |known| &known.context.zone).to_owned();
        let context = self.known_context(Context {
            policy_hash: String::new(),
            list_version: String::new(),
            categories: Vec::new(),
            levels: Vec::new(),
            locked: CategorySet::EMPTY,
            zone,
        });
        if let Some(source) = self.sources.get_mut(&id) {
            source.contexts.insert(number, Rc::clone(&context));
        }
        context
    }
}
