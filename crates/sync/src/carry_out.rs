//! Carrying out what the engine decides, on a store and a transport.
//!
//! A [`Place`] is a transaction of main with its id and chain digest in the log. What the store *knows* to be in the log
//! has its place noted; `synced` is the newest of these. A stream may show that more of it is there (the answer to a push
//! was lost) or less (the hub was restored): [`compare`](Session::compare) finds the **root**, the newest transaction that
//! both have, by recomputing the places that follow.
//!
//! Requests take time, and another process may write to the store meanwhile. So nothing that was read before a request is
//! trusted after it: each step on the store is one pass, and every pass begins by checking, inside its transaction, that
//! the place it builds on is still noted as it was looked at, and that each further transaction it counts as synced is still
//! the one with that origin at that number ([`note_places`]). If main up to the root is the same by its chain digest,
//! whatever else happened does no harm: a rebase takes in local changes that were added, and a place is noted only for what
//! was pushed.

mod offer;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tolstoy_proto::{ErrorBody, ErrorKind, Generation, LogState, Pushed, TrnId};
use tolstoy_store::{Entid, Pass, Store, Timeline, Transaction};
use uuid::Uuid;

use crate::engine::{Action, Arrived, Engine, Event, Local, OtherLife, Stop};
use crate::error::{Error, Result};
use crate::format::Format;
use crate::format::sealed::BadSeal;
use crate::key::{KeyNumber, Keyring};
use crate::options::{Options, Progress};
use crate::outgoing::{self, Outgoing, Place};
use crate::report::SyncReport;
use crate::spool::{Filled, Spool};
use crate::transport::{Answer, Begin, Transport, TransportError};

/// Syncs the store with the log that the transport leads to: afterwards both have what either had.
///
/// # Errors
/// See [`crate::ErrorKind`]. Passes that were complete before the error stay; the store and the log are each whole.
pub async fn sync<T: Transport>(store: &mut Store, transport: &mut T, options: &Options) -> Result<SyncReport> {
    store.refresh()?;
    let sealed = check_keys(store, options.keys.as_deref())?;
    let format = known_format(store, options)?;
    let mut session = Session {
        store,
        transport,
        options,
        engine: Engine::new(options.max_conflicts, options.other_life, options.makes_snapshots),
        format,
        sealed,
        sent: 0,
        looked: false,
        forgotten: false,
        stream: None,
        broken: None,
    };
    let mut event = Event::Begin(session.local()?);
    loop {
        event = match session.engine.step(event) {
            Action::Pull(begin) => session.pull(begin).await?,
            Action::Push { after } => session.push(after).await?,
            Action::Settle { root } => session.settle(root)?,
            Action::Apply { root } => match (session.apply(root)?, session.broken.take()) {
                // Nothing of it was taken in, and the log itself was not asked for yet.
                (Event::Unusable, _) => Event::Unusable,
                (_, Some(broken)) => return Err(broken.into()),
                (applied, None) => applied,
            },
            Action::Forget => session.forget()?,
            Action::Offer { at } => session.offer(at).await,
            Action::Wait(pause) => session.wait(pause).await?,
            Action::Stop(stop) => return Err(stopped(stop)),
            Action::Finish => return Ok(session.engine.into_report()),
        };
    }
}

/// Does as [`sync()`] does, on a runtime of its own, and returns when it is done. Not to be called where a tokio runtime runs
/// already.
///
/// # Errors
/// As for [`sync()`].
pub fn sync_blocking<T: Transport>(store: &mut Store, transport: &mut T, options: &Options) -> Result<SyncReport> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| TransportError::Unreachable(format!("the network cannot be used: {e}")))?;
    runtime.block_on(sync(store, transport, options))
}

/// What the log is written in, if that is known before anything of it arrives.
fn known_format(store: &Store, options: &Options) -> Result<Option<Format>> {
    match &options.keys {
        Some(keys) => Ok(Some(Format::Sealed(Arc::clone(keys)))),
        None => Format::noted(store),
    }
}

struct Session<'s, T> {
    store: &'s mut Store,
    transport: &'s mut T,
    options: &'s Options,
    engine: Engine,
    /// What the log is written in, once that is known.
    format: Option<Format>,
    /// The newest key that the log was seen to be sealed with.
    sealed: Option<KeyNumber>,
    /// Transactions pushed so far.
    sent: u64,
    /// Whether a pull told the log's generation since the sync began.
    looked: bool,
    /// Whether what the store notes of the log is of a life of it that ended. It is replaced by the pass that takes the new life
    /// in, and stays where none does.
    forgotten: bool,
    /// What arrived last and was not dealt with yet.
    stream: Option<Stream>,
    /// What cut it for good: the sync takes in what is whole, and ends with this.
    broken: Option<TransportError>,
}

fn stopped(stop: Stop) -> Error {
    match stop {
        Stop::Contended(rounds) => Error::Contended { rounds },
        Stop::Generation(state) => Error::Generation { state: Box::new(state) },
        Stop::NothingToAdopt(_) => Error::NothingToAdopt,
        Stop::NotEmpty(state) => Error::NotEmpty { transactions: state.seq.0 },
    }
}

/// A stream that arrived whole.
struct Stream {
    spool: Spool,
    /// The log's state.
    state: LogState,
    /// How many of its first transactions the store has too.
    same: u64,
}

/// The newest key that the store has seen the log sealed with, if the keys given fit what it knows.
fn check_keys(store: &Store, keys: Option<&Keyring>) -> Result<Option<KeyNumber>> {
    let noted = store.note("sealed")?;
    match (keys, &noted) {
        (None, Some(_)) => {
            Err(Error::Key("the log that this store syncs with is encrypted, and no key was given".into()))
        }
        (Some(_), None) if store.last_positioned()?.is_some() => Err(Error::Key(
            "the log that this store syncs with is not encrypted; encryption is chosen when a log begins".into(),
        )),
        _ => Ok(noted.and_then(|bytes| bytes.try_into().ok()).map(|bytes| KeyNumber(u16::from_be_bytes(bytes)))),
    }
}

impl<T: Transport> Session<'_, T> {
    fn local(&self) -> Result<Local> {
        let (basis, root) = (self.store.basis(), self.format().root().tx);
        if self.forgotten {
            return Ok(Local { basis, synced: root, generation: None });
        }
        let synced = self.store.last_positioned()?.unwrap_or(root);
        Ok(Local { basis, synced, generation: known_generation(self.store)? })
    }

    async fn wait(&self, at_most: Duration) -> Result<Event> {
        let micros = self.options.env.below(u64::try_from(at_most.as_micros()).unwrap_or(u64::MAX))?;
        (self.options.sleep)(Duration::from_micros(micros)).await;
        Ok(Event::Waited)
    }

    /// Forgets all that the log was in the life that ended.
    fn forget(&mut self) -> Result<Event> {
        self.stream = None;
        // A new life may be written in another format. What is filled again goes on in its own: the original's numbers and
        // instants do not fit a native log.
        self.format = match (&self.options.keys, self.options.other_life) {
            (Some(keys), _) => Some(Format::Sealed(Arc::clone(keys))),
            (None, OtherLife::Adopt) => None,
            (None, _) => Some(self.format()),
        };
        self.forgotten = true;
        Ok(Event::Forgotten(self.local()?))
    }

    async fn pull(&mut self, begin: Begin) -> Result<Event> {
        let begin = if self.options.takes_snapshots { begin } else { Begin::Transactions };
        let have = outgoing::have(self.store, &self.format(), self.local()?.synced)?;
        let from: Vec<TrnId> = have.iter().map(|p| p.id).collect();
        match self.ask_for(&from, begin).await? {
            Answer::Stream(body) => self.receive(body, begin, &have, false).await,
            other => Err(unexpected(other)),
        }
    }

    async fn push(&mut self, after: Entid) -> Result<Event> {
        let after = self.place(after)?;
        let Local { generation, basis, .. } = self.local()?;
        let format = self.format();
        if self.sent == 0 {
            format.check_sayable(self.store, after.tx)?;
        }
        let Outgoing { ahead, body, places } = outgoing::outgoing(self.store, &format, after, generation)?;
        if !ahead.is_empty() && !self.looked {
            // A chunk on its own says nothing of the generation, so look first whether the log is still the same.
            self.looked = true;
            return self.pull(Begin::Transactions).await;
        }
        for (id, bytes) in ahead {
            let mut waits = 0;
            let answer = loop {
                self.count_sent(bytes.len());
                let answer = self.transport.put_chunk(&id, bytes.clone()).await?;
                if !self.waited(&answer, &mut waits).await {
                    break answer;
                }
            };
            match answer {
                Answer::Stored => {}
                other => return Err(unexpected(other)),
            }
        }
        let mut waits = 0;
        let answer = loop {
            self.count_sent(body.len());
            let answer = self.transport.push(body.clone()).await?;
            if !self.waited(&answer, &mut waits).await {
                break answer;
            }
        };
        match answer {
            Answer::Accepted(Pushed { state, snapshot: wanted }) => {
                self.acknowledge(after, &places, &state)?;
                self.format = Some(format);
                let sent = places.len() as u64;
                self.sent += sent;
                let left = u64::try_from(basis.get() - after.tx.get()).unwrap_or(0).saturating_sub(sent);
                self.options.tell(Progress::Sent { done: self.sent, of: self.sent + left });
                Ok(Event::Pushed { sent, local: self.local()?, wanted })
            }
            Answer::Conflict(body) => {
                let have = outgoing::have(self.store, &format, after.tx)?;
                self.receive(body, Begin::Transactions, &have, true).await
            }
            Answer::Generation(state) => Ok(Event::OtherGeneration(state)),
            other => Err(unexpected(other)),
        }
    }

    /// Pulls, and again where the hub says when.
    async fn ask_for(&mut self, from: &[TrnId], begin: Begin) -> Result<Answer<T::Body>, TransportError> {
        let mut waits = 0;
        loop {
            self.engine.report_mut().round_trips += 1;
            let answer = self.transport.pull(from, begin).await?;
            if !self.waited(&answer, &mut waits).await {
                return Ok(answer);
            }
        }
    }

    /// Pauses where the hub asks for a pause, and not too often or for too long; says whether it did.
    async fn waited(&self, answer: &Answer<T::Body>, waits: &mut u32) -> bool {
        let Options { max_waits, max_wait, .. } = self.options;
        match answer {
            Answer::Later { after, .. } if *waits < *max_waits && after <= max_wait => {
                *waits += 1;
                (self.options.sleep)(*after).await;
                true
            }
            _ => false,
        }
    }

    fn count_sent(&mut self, bytes: usize) {
        let report = self.engine.report_mut();
        report.round_trips += 1;
        report.bytes_sent += bytes as u64;
    }

    /// What the log is written in; as long as it is not known, what a log that is still empty is begun in.
    fn format(&self) -> Format {
        self.format.clone().unwrap_or_else(|| self.options.new_log.into())
    }

    /// The place of a transaction that is in the log.
    fn place(&self, tx: Entid) -> Result<Place> {
        self.known_place(tx)?.ok_or_else(raced)
    }

    /// The place of a transaction that is known to be in the log.
    fn known_place(&self, tx: Entid) -> Result<Option<Place>> {
        let format = self.format();
        if self.forgotten && tx != format.root().tx {
            return Ok(None);
        }
        Place::of(self.store, &format, tx)
    }

    /// Notes that the log has what was pushed.
    fn acknowledge(&mut self, after: Place, places: &[(Place, Uuid)], state: &LogState) -> Result<()> {
        let last = places.last().map_or(after, |(place, _)| *place);
        if state.head != last.id || state.chain != last.chain {
            return Err(TransportError::Protocol("it accepted a push and has another HEAD".to_owned()).into());
        }
        if self.local()?.generation.is_some_and(|known| state.generation != Some(known)) {
            return Err(Error::Generation { state: Box::new(*state) });
        }
        let newest = self.options.keys.as_deref().and_then(|keys| keys.ids().last()).map(|(number, _)| number);
        self.sealed = self.sealed.max(newest);
        let (sealed, format) = (self.sealed, self.format());
        self.store.pass(|pass| {
            note_places(pass, &format, after, places)?;
            note_sealed(pass, sealed)?;
            note_generation(pass, state.generation)
        })?;
        self.forgotten = false;
        Ok(())
    }

    /// Spools a stream and compares it with what the store has. Of a stream that is cut for good, what arrived whole is
    /// taken in before the sync ends, so that a bad link gets further each time.
    async fn receive(&mut self, body: T::Body, begin: Begin, have: &[Place], conflict: bool) -> Result<Event> {
        let mut spool = Spool::new(self.options.spool_dir.as_deref(), self.options.most(), self.format.clone());
        self.broken = self.fill(&mut spool, body, begin, have).await?;
        self.format = spool.format().cloned();
        self.engine.report_mut().bytes_received += spool.bytes();
        if let Some(broken) = self.broken.take_if(|_| !spool.is_begun()) {
            return Err(broken.into());
        }
        let (stream, arrived) = self.compare(spool, have, conflict)?;
        if let Some(broken) = self.broken.take_if(|_| arrived.incoming == 0) {
            return Err(broken.into());
        }
        self.stream = Some(stream);
        Ok(Event::Arrived(arrived))
    }

    /// Spools a stream, asking for the rest where it is cut. Gives what cut it for good, if something did.
    async fn fill(
        &mut self,
        spool: &mut Spool,
        mut body: T::Body,
        mut begin: Begin,
        have: &[Place],
    ) -> Result<Option<TransportError>> {
        let mut cuts = 0;
        loop {
            let before = (spool.count(), spool.is_begun());
            let is_cut_in_snapshot = match spool.fill(&mut body, begin, |step| self.options.tell(step)).await? {
                Filled::Whole => return Ok(None),
                Filled::NoSnapshot(why) => {
                    self.engine.report_mut().snapshot_unusable = Some(why);
                    (begin, cuts) = (Begin::Transactions, 0);
                    false
                }
                Filled::Cut { in_snapshot } => {
                    cuts = if (spool.count(), spool.is_begun()) == before { cuts + 1 } else { 0 };
                    in_snapshot
                }
            };
            if cuts > self.options.max_cuts && is_cut_in_snapshot {
                // A link that never carries all of it may carry the log, bit by bit.
                let why = "the connection broke each time before all of it was here".to_owned();
                self.engine.report_mut().snapshot_unusable = Some(why);
                (begin, cuts) = (Begin::Transactions, 0);
            }
            if cuts > self.options.max_cuts {
                return Ok(Some(TransportError::Broken("the answer was cut, again and again".to_owned())));
            }
            let (from, begin) = match spool.is_begun() {
                true => (vec![spool.last()], Begin::Transactions),
                false => (have.iter().map(|p| p.id).collect(), begin),
            };
            body = match self.ask_for(&from, begin).await {
                Ok(Answer::Stream(body)) => body,
                Ok(other) => return Err(unexpected(other)),
                Err(e @ (TransportError::Protocol(_) | TransportError::Untrusted(_))) => return Err(e.into()),
                Err(e) => return Ok(Some(e)),
            };
        }
    }

    /// Finds the root: where what arrived parts from what the store has.
    fn compare(&self, mut spool: Spool, have: &[Place], conflict: bool) -> Result<(Stream, Arrived)> {
        let start = *spool.start().ok_or_else(|| TransportError::Protocol("the stream has no start".to_owned()))?;
        let format = self.format();
        let own = have.iter().copied().chain([format.root()]).find(|p| p.id == start.from);
        let from = own.ok_or_else(|| TransportError::Protocol("it starts where nobody asked it to".to_owned()))?;
        if start.from_chain != from.chain || start.from_seq != format.seq(self.store, from.tx)? {
            return Err(Error::Damaged("the log's history is not the one that this store has of it".to_owned()));
        }
        let (total, mut same, mut root) = (spool.count(), 0, from);
        // A snapshot is asked for by a store that has nothing in common with it.
        let in_snapshot = spool.snapshot().map_or(0, |snapshot| snapshot.told.seq.0);
        if in_snapshot == 0 {
            for spooled in spool.read()? {
                let id = spooled?.id;
                let Some(ours) = self.next_place(&root)?.filter(|ours| ours.id == id) else { break };
                same += 1;
                root = ours;
            }
        }
        let incoming = in_snapshot.saturating_add(total - same);
        let arrived = Arrived { state: start.state, root: root.tx, incoming, conflict };
        Ok((Stream { spool, state: start.state, same }, arrived))
    }

    /// Where the store's own next transaction stands, or would stand, in the log.
    fn next_place(&self, at: &Place) -> Result<Option<Place>> {
        let Some(next) = self.next(at)? else { return Ok(None) };
        match self.known_place(next.tx)? {
            Some(known) => Ok(Some(known)),
            None => Ok(Some(self.format().mint(self.store, at, &next)?.place)),
        }
    }

    fn mint_next(&self, at: &Place) -> Result<Option<(Place, Uuid)>> {
        let Some(next) = self.next(at)? else { return Ok(None) };
        Ok(Some((self.format().mint(self.store, at, &next)?.place, next.origin.id)))
    }

    /// The store's transaction after a place.
    fn next(&self, at: &Place) -> Result<Option<Transaction>> {
        Ok(self.store.transactions(Timeline::MAIN, at.tx, 1)?.pop())
    }

    /// The newest place up to `root` that was known before, and the further ones up to it, which turned out to be in
    /// the log too.
    fn places_up_to(&self, root: Entid) -> Result<(Place, Vec<(Place, Uuid)>)> {
        let base = self.place(self.local()?.synced.min(root))?;
        let mut further: Vec<(Place, Uuid)> = Vec::new();
        let mut at = base;
        while at.tx < root {
            let next = self.mint_next(&at)?.ok_or_else(raced)?;
            at = next.0;
            further.push(next);
        }
        Ok((base, further))
    }

    /// Notes that the log has exactly the store's transactions up to `root`.
    fn settle(&mut self, root: Entid) -> Result<Event> {
        let stream = self.stream.take().ok_or_else(raced)?;
        let (base, further) = self.places_up_to(root)?;
        self.sealed = self.sealed.max(stream.spool.key());
        let (sealed, format) = (self.sealed, self.format());
        self.store.pass(|pass| {
            note_places(pass, &format, base, &further)?;
            note_sealed(pass, sealed)?;
            note_generation(pass, stream.state.generation)
        })?;
        self.forgotten = false;
        Ok(Event::Settled(self.local()?))
    }

    /// Rebases the store onto what arrived. Where that began with a snapshot which proves to be of no use, nothing is done.
    fn apply(&mut self, root: Entid) -> Result<Event> {
        let Stream { mut spool, state, same } = self.stream.take().ok_or_else(raced)?;
        let (base, further) = self.places_up_to(root)?;
        self.format().check_sayable(self.store, root)?;
        let (options, format, snapshot) = (self.options, self.format(), spool.snapshot().cloned());
        let from_snapshot = snapshot.as_ref().map_or(0, |snapshot| snapshot.told.seq.0);
        let of = from_snapshot.saturating_add(spool.count() - same);
        // Whatever goes wrong while this says so is the snapshot's.
        let in_snapshot = Cell::new(snapshot.is_some());
        let newest = Cell::new(self.sealed);
        let result = self.store.pass(|pass| {
            note_places(pass, &format, base, &further)?;
            if snapshot.is_some() && pass.basis() != Entid::TX0 {
                return Err(raced());
            }
            let first = snapshot.map(|snapshot| snapshot.transactions(&format, &newest, options.most())).transpose()?;
            let rest = spool.read()?.skip(usize::try_from(same).unwrap_or(usize::MAX));
            let rest = rest.map(|spooled| {
                in_snapshot.set(false);
                let spooled = spooled?;
                if let Some(number) = spooled.key.filter(|key| newest.get() > Some(*key)) {
                    return Err(BadSeal::OldKey { number }.into());
                }
                newest.set(newest.get().max(spooled.key));
                format.decode(&spooled)
            });
            let incoming = (1..).zip(first.into_iter().flatten().chain(rest)).map(|(done, item)| {
                if done % TELL_EVERY == 0 {
                    options.tell(Progress::Applied { done, of });
                }
                item
            });
            let rebased = pass.rebase(root, &options.theirs, incoming)?;
            note_sealed(pass, newest.get())?;
            note_generation(pass, state.generation)?;
            Ok::<_, Error>(rebased)
        });
        match result {
            Ok(rebased) => {
                (self.sealed, self.forgotten) = (newest.get(), false);
                Ok(Event::Applied { rebased, from_snapshot, local: self.local()? })
            }
            Err(error) if in_snapshot.get() && error.is_of_what_came_in() => {
                self.engine.report_mut().snapshot_unusable = Some(error.to_string());
                // Nor does it say what the log is written in.
                self.format = known_format(self.store, self.options)?;
                Ok(Event::Unusable)
            }
            Err(error) => Err(error),
        }
    }
}

/// Applied transactions between two words about it.
const TELL_EVERY: u64 = 256;

/// Notes that the log has the store's transactions up to `base` and the further ones, and none above. Another process may
/// have synced the store meanwhile: then the places are not the ones that were looked at, and the pass fails.
fn note_places(pass: &mut Pass<'_, '_>, format: &Format, base: Place, further: &[(Place, Uuid)]) -> Result<()> {
    if base != format.root() && pass.position(base.tx)? != Some(base.position()) {
        return Err(raced());
    }
    format.note(pass)?;
    // In a log of the original's the bootstrap has a place too, which is none in a native one.
    pass.forget_positions(if base == format.root() { Entid::TX0.plus(-1) } else { base.tx })?;
    for (place, origin) in further {
        if pass.by_origin(*origin)? != Some(place.tx) {
            return Err(raced());
        }
        pass.set_position(place.tx, place.position())?;
    }
    Ok(())
}

fn note_sealed(pass: &mut Pass<'_, '_>, newest: Option<KeyNumber>) -> Result<()> {
    match newest {
        Some(number) => Ok(pass.set_note("sealed", Some(&number.0.to_be_bytes()))?),
        None => Ok(()),
    }
}

fn note_generation(pass: &mut Pass<'_, '_>, generation: Option<Generation>) -> Result<()> {
    let bytes = generation.map(|g| [&g.id.as_bytes()[..], &g.number.to_be_bytes()].concat());
    Ok(pass.set_note("generation", bytes.as_deref())?)
}

pub(crate) fn known_generation(store: &Store) -> Result<Option<Generation>> {
    let Some(bytes) = store.note("generation")? else { return Ok(None) };
    let noted = bytes.split_first_chunk::<16>().and_then(|(id, number)| {
        Some(Generation { id: Uuid::from_bytes(*id), number: u64::from_be_bytes(number.try_into().ok()?) })
    });
    noted.map(Some).ok_or_else(|| Error::Damaged("the store's note of the log's generation is unreadable".to_owned()))
}

fn raced() -> Error {
    let message = "another process synced the store at the same time; try again";
    tolstoy_store::Error::new(tolstoy_store::ErrorKind::Busy, message).into()
}

fn unexpected<B>(answer: Answer<B>) -> Error {
    match answer {
        Answer::Generation(state) => Error::Generation { state: Box::new(state) },
        Answer::Refused(body) | Answer::Later { body, .. } => Error::Refused(Box::new(body)),
        Answer::Missing(chunks) => {
            let message = format!("it lacks {} chunks that were sent to it", chunks.len());
            Error::Refused(Box::new(ErrorBody::new(ErrorKind::MissingChunks, message)))
        }
        Answer::Stream(_) | Answer::Conflict(_) | Answer::Accepted(_) | Answer::Stored => {
            TransportError::Protocol("its answer is to another question".to_owned()).into()
        }
    }
}
