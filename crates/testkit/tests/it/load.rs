//! A load on a hub whose database is on a disk of ours, and what must be found of it afterwards.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};
use tolstoy_hub::service::{
    Answer, Collector, GcFigures, GcStep, HeadOutcome, Policy, PushOutcome, PutOutcome, Service, SnapshotOutcome,
    SnapshotUpload, Upload as PushUpload,
};
use tolstoy_hub::storage::{SqliteStorage, Storage, StorageError, WriteJob, WriteTxn};
use tolstoy_hub::{OpenError, SqliteOptions};
use tolstoy_proto::v0::NewTransaction;
use tolstoy_proto::{
    BlobDigest, Chunk, ChunkId, End, Frame, Generation, LogId, LogState, Push, Transaction, TrnId, derive_trn,
};
use tolstoy_testkit::Dice;
use tolstoy_testkit::disk::Disk;
use tolstoy_testkit::world::env;
use uuid::Uuid;

pub(crate) fn log(n: u64) -> LogId {
    LogId(Uuid::from_u64_pair(11, n))
}

/// A hub without HTTP, whose database is on the disk.
pub(crate) struct DiskHub {
    pub(crate) service: Service,
    storage: Arc<SqliteStorage>,
}

impl DiskHub {
    /// Opens it. Its lock is a real file in the directory.
    pub(crate) fn open(disk: &Disk, directory: &Path, seed: u64) -> Result<Self, OpenError> {
        let vfs = Some(disk.vfs().to_owned());
        let options = SqliteOptions { readers: 1, checkpoint_pages: 24, vfs, ..SqliteOptions::default() };
        let storage = Arc::new(SqliteStorage::open(directory, &options)?);
        // Garbage is collected as soon as it is garbage.
        let policy = Policy { garbage_after: Duration::ZERO, ..Policy::default() };
        Ok(Self { service: Service::new(storage.clone(), env(seed, 50)).with_policy(policy), storage })
    }

    /// What `submit` submits is one batch: the writer waits until all of it is there.
    pub(crate) fn at_once<T>(&self, submit: impl FnOnce(&Service) -> T) -> T {
        let (entered, inside) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        self.storage.write(Box::new(Hold { entered, released: Some(released) }));
        // Where the writer cannot even begin, nothing has to be held.
        let _ = inside.recv();
        let submitted = submit(&self.service);
        drop(release);
        submitted
    }

    pub(crate) fn close(self) {
        self.storage.close();
    }
}

struct Hold {
    entered: mpsc::Sender<()>,
    released: Option<mpsc::Receiver<()>>,
}

impl WriteJob for Hold {
    fn run(&mut self, _: &mut dyn WriteTxn) -> Result<(), StorageError> {
        // A second run has nothing to wait for.
        let Some(released) = self.released.take() else { return Ok(()) };
        let _ = self.entered.send(());
        let _ = released.recv();
        Ok(())
    }

    fn done(self: Box<Self>, _: Result<(), StorageError>) {}
}

/// Transactions onto a state.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    pub(crate) frames: Vec<Frame>,
    pub(crate) after: LogState,
}

/// A push of transactions, each with chunks of these contents, onto this state.
pub(crate) fn push(onto: &LogState, transactions: &[Vec<Vec<u8>>]) -> Pushed {
    let mut frames = vec![Frame::Push(Push { generation: onto.generation, expect: vec![onto.head] })];
    let mut after = *onto;
    let mut sent = HashSet::new();
    for chunks in transactions {
        let ids: Vec<ChunkId> = chunks.iter().map(|bytes| ChunkId::of(bytes)).collect();
        let (id, parent) = (derive_trn(after.head, &ids), after.head);
        after = LogState { head: id, seq: after.seq.next(), chain: after.chain.extend(id, &ids), ..after };
        frames.push(Frame::Transaction(Transaction { id, seq: after.seq, parent, chunks: ids.clone() }));
        for (id, bytes) in ids.into_iter().zip(chunks) {
            if sent.insert(id) {
                frames.push(Frame::Chunk(Chunk { id, bytes: bytes.clone().into() }));
            }
        }
    }
    frames.push(Frame::End(End { count: transactions.len() as u64, chain: after.chain }));
    Pushed { frames, after }
}

/// A log, as its clients know it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Each state it had, with when it was asked for and when it was acknowledged, in operations of the disk.
    states: Vec<(LogState, usize, usize)>,
    uploads: Vec<Upload>,
    snapshots: Vec<Kept>,
}

/// Something uploaded that was acknowledged.
#[derive(Debug, Clone)]
struct Upload {
    what: Uploaded,
    generation: Option<Generation>,
    acknowledged: usize,
    /// When HEAD was asked to move: from then on it is committed, or garbage.
    settled: usize,
}

/// A snapshot that was acknowledged.
#[derive(Debug, Clone)]
struct Kept {
    trn: TrnId,
    bytes: u64,
    acknowledged: usize,
    /// When another was sent.
    replaced: usize,
}

#[derive(Debug, Clone)]
enum Uploaded {
    Chunk(ChunkId, Bytes),
    /// A transaction that is pending, and its parent.
    Pending(TrnId, NewTransaction),
}

impl Told {
    fn now(&self) -> LogState {
        self.states.last().map_or(LogState::EMPTY, |(state, _, _)| *state)
    }

    /// The newest snapshot is there, unless its log was deleted; and none is there in part.
    fn check_snapshots(&self, service: &Service, log: LogId, at: usize) -> Result<(), String> {
        let listed = service.snapshots(log).map_err(|error| error.to_string())?.snapshots;
        for snapshot in &listed {
            let (_, found) = service.snapshot(log, snapshot.id).map_err(|error| error.to_string())?;
            let Some((id, found)) = found else { return Err(format!("log {log} lists a snapshot that is not there")) };
            let (mut hash, mut bytes) = (Sha256::new(), 0);
            for place in 0.. {
                let piece = service.piece(id, place).map_err(|error| error.to_string())?.unwrap_or_default();
                if piece.is_empty() {
                    break;
                }
                hash.update(&piece);
                bytes += piece.len() as u64;
            }
            if found.digest != BlobDigest(hash.finalize().into()) || found.bytes != bytes {
                return Err(format!("a snapshot of log {log} is there in part: {bytes} of {found:?}"));
            }
        }
        let newest = self.snapshots.iter().find(|kept| (kept.acknowledged..kept.replaced).contains(&at));
        let Some(Kept { trn, bytes, acknowledged, .. }) = newest else { return Ok(()) };
        // One of a life that has ended is gone with it.
        let ends = |(state, asked, _): &(LogState, usize, usize)| {
            state.generation.is_none() && (*acknowledged..=at).contains(asked)
        };
        let is_listed = listed.iter().any(|found| found.id == *trn && found.bytes == *bytes);
        if is_listed || self.states.iter().any(ends) {
            return Ok(());
        }
        Err(format!("the snapshot at {trn} of log {log} was acknowledged and is lost: {listed:?}"))
    }
}

impl Upload {
    fn must_be_there(&self, at: usize, generation: Option<Generation>) -> bool {
        (self.acknowledged..self.settled).contains(&at) && self.generation == generation && generation.is_some()
    }
}

/// What all clients know, and did.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) logs: BTreeMap<LogId, Told>,
    dice: Dice,
    made: u64,
}

impl Story {
    pub(crate) fn new(seed: u64, logs: u64) -> Self {
        let begin = || Told { states: vec![(LogState::EMPTY, 0, 0)], uploads: Vec::new(), snapshots: Vec::new() };
        Self { logs: (1..=logs).map(|n| (log(n), begin())).collect(), dice: Dice::new(seed, 78), made: 0 }
    }

    /// Bytes that were never before.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        self.made += 1;
        let mut bytes = vec![0; len.max(8)];
        self.dice.fill(&mut bytes);
        bytes[..8].copy_from_slice(&self.made.to_be_bytes());
        bytes
    }

    fn any_log(&mut self) -> LogId {
        let n = self.dice.index(self.logs.len());
        *self.logs.keys().nth(n).unwrap()
    }

    /// One to many transactions: mostly small, seldom large, seldom very many.
    fn transactions(&mut self) -> Vec<Vec<Vec<u8>>> {
        match self.dice.below(14) {
            0 => vec![vec![self.bytes(90_000)]],
            1 => vec![vec![self.bytes(10_000), self.bytes(30)], vec![self.bytes(5_000)]],
            2 => (0..150).map(|_| vec![self.bytes(20)]).collect(),
            3 => vec![vec![]],
            _ => (0..self.dice.between(1, 3)).map(|_| vec![self.bytes(100)]).collect(),
        }
    }

    fn learn(&mut self, log: LogId, state: LogState, asked: usize, disk: &Disk) {
        let told = self.logs.get_mut(&log).unwrap();
        if (told.now().head, told.now().generation) != (state.head, state.generation) {
            told.uploads.iter_mut().for_each(|upload| upload.settled = upload.settled.min(asked));
        }
        told.states.push((state, asked, disk.operations()));
    }

    /// Does one thing, or several at once, and waits for the answers. Everything must succeed.
    pub(crate) fn step(&mut self, hub: &DiskHub, disk: &Disk) {
        match self.dice.below(15) {
            0 | 1 => self.upload(hub, disk),
            2 => self.delete(hub, disk),
            3 => self.read(hub),
            4 => collect(&hub.service),
            5 | 6 => self.snapshot(hub, disk),
            _ => self.pushes(hub, disk),
        }
    }

    /// Several clients push to several logs at once; some twice, one behind the other.
    fn pushes(&mut self, hub: &DiskHub, disk: &Disk) {
        let asked = disk.operations();
        let mut pushes = Vec::new();
        let mut states: BTreeMap<LogId, LogState> = BTreeMap::new();
        for _ in 0..self.dice.between(1, 5) {
            let log = self.any_log();
            let onto = *states.entry(log).or_insert_with(|| self.logs[&log].now());
            if onto.generation.is_none() && onto.head != TrnId::ROOT {
                continue; // It learns the generation from the first answer.
            }
            let push = push(&onto, &self.transactions());
            states.insert(log, push.after);
            pushes.push((log, push));
        }
        let answers: Vec<(LogId, Pushed, Answer<PushOutcome>)> = hub.at_once(|service| {
            let submit = |(log, pushed): (LogId, Pushed)| {
                let upload = PushUpload::from_frames(pushed.frames.clone()).unwrap();
                (log, pushed, service.push(log, upload))
            };
            pushes.into_iter().map(submit).collect()
        });
        for (log, pushed, answer) in answers {
            let PushOutcome::Done(state, _) = answer.wait().unwrap() else { panic!("{log}: the push is not done") };
            assert_eq!((state.head, state.seq, state.chain), (pushed.after.head, pushed.after.seq, pushed.after.chain));
            self.learn(log, state, asked, disk);
        }
    }

    /// The 0.1 way: chunks, transactions of which one is abandoned, then HEAD; or HEAD never moves.
    fn upload(&mut self, hub: &DiskHub, disk: &Disk) {
        let log = self.any_log();
        let service = &hub.service;
        let len = self.dice.pick(&[40, 700, 20_000]).copied().unwrap_or(40);
        let bytes = Bytes::from(self.bytes(len));
        let chunk = ChunkId::of(&bytes);
        let asked = disk.operations();
        assert_eq!(service.v0_put_chunk(log, chunk, bytes.clone()).wait(), Ok(PutOutcome::Done));
        self.learn(log, service.info(log).unwrap(), asked, disk);
        self.uploaded(log, Uploaded::Chunk(chunk, bytes), disk);
        let mut parent = self.logs[&log].now().head;
        let count = self.dice.between(1, 3);
        for _ in 0..count {
            let id = derive_trn(parent, &[chunk]);
            let new = NewTransaction { parent, chunks: vec![chunk] };
            assert_eq!(service.v0_put_transaction(log, id, new.clone()).wait(), Ok(PutOutcome::Done));
            self.uploaded(log, Uploaded::Pending(id, new), disk);
            parent = id;
        }
        if self.dice.chance(600) {
            let asked = disk.operations();
            assert_eq!(service.v0_put_head(log, parent).wait(), Ok(HeadOutcome::Done));
            self.learn(log, service.info(log).unwrap(), asked, disk);
        }
    }

    fn uploaded(&mut self, log: LogId, what: Uploaded, disk: &Disk) {
        let told = self.logs.get_mut(&log).unwrap();
        let generation = told.now().generation;
        told.uploads.push(Upload { what, generation, acknowledged: disk.operations(), settled: usize::MAX });
    }

    /// A snapshot of what is there now, sometimes so long that it goes in in several jobs.
    fn snapshot(&mut self, hub: &DiskHub, disk: &Disk) {
        let log = self.any_log();
        let trn = self.logs[&log].now().head;
        let len = self.dice.pick(&[100, 40_000, 400_000]).copied().unwrap_or(100);
        if trn == TrnId::ROOT {
            return;
        }
        let asked = disk.operations();
        let mut upload = SnapshotUpload::new(None).unwrap();
        upload.take(&self.bytes(len)).unwrap();
        let kept = hub.service.keep_snapshot(log, trn, upload).unwrap();
        assert!(matches!(kept, SnapshotOutcome::Done(_)), "{kept:?}");
        let told = self.logs.get_mut(&log).unwrap();
        told.snapshots.iter_mut().for_each(|kept| kept.replaced = kept.replaced.min(asked));
        told.snapshots.push(Kept { trn, bytes: len as u64, acknowledged: disk.operations(), replaced: usize::MAX });
    }

    fn delete(&mut self, hub: &DiskHub, disk: &Disk) {
        let log = self.any_log();
        let asked = disk.operations();
        assert_eq!(hub.service.delete(log).wait(), Ok(()));
        self.learn(log, hub.service.info(log).unwrap(), asked, disk);
    }

    fn read(&mut self, hub: &DiskHub) {
        let log = self.any_log();
        assert_eq!(walk(&hub.service, log), Ok(self.logs[&log].now()));
    }

    /// Checks what is there when the disk was cut after so many operations: of each log a state between the last
    /// acknowledged and the last asked for, whole; and every acknowledged upload.
    pub(crate) fn check(&self, service: &Service, at: usize) -> Result<(), String> {
        for (log, told) in &self.logs {
            let found = walk(service, *log)?;
            let acknowledged = told.states.iter().rposition(|(_, _, done)| *done <= at).unwrap_or(0);
            let asked = told.states.iter().rposition(|(_, asked, _)| *asked <= at).unwrap_or(0);
            let may_be = &told.states[acknowledged..=asked.max(acknowledged)];
            if !may_be.iter().any(|(state, _, _)| *state == found) {
                return Err(format!("log {log} has {found:?}, which is none of {may_be:?}"));
            }
            for upload in told.uploads.iter().filter(|upload| upload.must_be_there(at, found.generation)) {
                check_upload(service, *log, &upload.what)?;
            }
            told.check_snapshots(service, *log, at)?;
        }
        Ok(())
    }

    /// Pushes to each log once more, and collects the garbage: life goes on.
    pub(crate) fn go_on(&mut self, service: &Service, disk: &Disk) -> Result<(), String> {
        for log in self.logs.keys().copied().collect::<Vec<_>>() {
            let asked = disk.operations();
            let now = service.info(log).map_err(|error| error.to_string())?;
            let next = push(&now, &[vec![self.bytes(100)], vec![self.bytes(9_000)]]);
            let upload = PushUpload::from_frames(next.frames).map_err(|error| error.to_string())?;
            match service.push(log, upload).wait() {
                Ok(PushOutcome::Done(state, _)) if state.chain == next.after.chain => {
                    self.learn(log, state, asked, disk);
                }
                other => return Err(format!("log {log} takes nothing more: {other:?}")),
            }
        }
        collect(service);
        Ok(())
    }

    /// What clients know who saw the disk cut at this moment, and found this: times begin anew.
    pub(crate) fn after_cut(&self, service: &Service, at: usize, seed: u64) -> Result<Self, String> {
        let mut logs = BTreeMap::new();
        for (log, told) in &self.logs {
            let found = service.info(*log).map_err(|error| error.to_string())?;
            let kept = told.uploads.iter().filter(|upload| upload.must_be_there(at, found.generation));
            let uploads =
                kept.map(|upload| Upload { acknowledged: 0, settled: usize::MAX, ..upload.clone() }).collect();
            logs.insert(*log, Told { states: vec![(found, 0, 0)], uploads, snapshots: Vec::new() });
        }
        Ok(Self { logs, dice: Dice::new(seed, 79), made: u64::MAX / 2 })
    }
}

/// Collects what garbage there is.
pub(crate) fn collect(service: &Service) {
    let mut collector = Collector::new(service.clone(), Arc::new(Mutex::new(GcFigures::default())));
    while collector.step().unwrap() == GcStep::More {}
}

fn check_upload(service: &Service, log: LogId, what: &Uploaded) -> Result<(), String> {
    match what {
        Uploaded::Chunk(id, bytes) => {
            if service.v0_chunk(log, id) != Ok(Some(bytes.clone())) {
                return Err(format!("chunk {id} of log {log} was acknowledged and is lost"));
            }
        }
        Uploaded::Pending(id, new) => {
            // Another under its id is refused where it is here, pending or committed.
            let other = NewTransaction { parent: new.parent, chunks: Vec::new() };
            let again = service.v0_put_transaction(log, *id, other).wait().map_err(|error| error.to_string())?;
            if !matches!(&again, PutOutcome::Conflict(why) if why.contains("other content")) {
                return Err(format!("transaction {id} of log {log} was acknowledged and is lost: {again:?}"));
            }
        }
    }
    Ok(())
}

/// Pulls a log and checks that it is whole: one chain with its digests, each chunk there under its id. Gives its state.
pub(crate) fn walk(service: &Service, log: LogId) -> Result<LogState, String> {
    let wrong = |what: &str| Err(format!("log {log}: {what}"));
    let frames = service.pull(log, &[]).map_err(|e| e.to_string())?.frames().map_err(|e| e.to_string())?;
    let (Some(Frame::Start(start)), Some(Frame::End(end))) = (frames.first(), frames.last()) else {
        return wrong("the stream is no stream");
    };
    let mut tip = LogState { generation: start.state.generation, ..LogState::EMPTY };
    let (mut named, mut sent) = (HashSet::new(), HashSet::new());
    for frame in &frames[1..frames.len() - 1] {
        match frame {
            Frame::Transaction(trn) => {
                if (trn.parent, trn.seq) != (tip.head, tip.seq.next()) {
                    return wrong("its transactions are no chain");
                }
                let chain = tip.chain.extend(trn.id, &trn.chunks);
                tip = LogState { head: trn.id, seq: trn.seq, chain, ..tip };
                named.extend(trn.chunks.iter().copied());
            }
            Frame::Chunk(chunk) if chunk.id.matches(&chunk.bytes) => {
                sent.insert(chunk.id);
            }
            _ => return wrong("a chunk is not what its id says"),
        }
    }
    if named != sent {
        return wrong("chunks are missing");
    }
    if (tip, end.chain) != (start.state, tip.chain) {
        return wrong("its chain digest is not that of its transactions");
    }
    Ok(tip)
}

/// SQLite's own look at the file.
pub(crate) fn check_database(disk: &Disk, directory: &Path) -> Result<(), String> {
    check_file(disk, &directory.join("hub.db"))
}

/// The same, of any file.
pub(crate) fn check_file(disk: &Disk, path: &Path) -> Result<(), String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let check = || {
        let connection = Connection::open_with_flags_and_vfs(path, flags, disk.vfs())?;
        connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
    };
    match check() {
        Ok(ok) if ok == "ok" => Ok(()),
        Ok(wrong) => Err(format!("the database is damaged: {wrong}")),
        Err(error) => Err(format!("the database cannot be checked: {error}")),
    }
}
