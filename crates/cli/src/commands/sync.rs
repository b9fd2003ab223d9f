//! `tolstoy sync`

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value as Json, json};
use tolstoy_edn::Keyword;
use tolstoy_env::Env;
use tolstoy_proto::LogId;
use tolstoy_store::{Rebased, Schema, Stands};
use tolstoy_sync::{
    Access, HttpTransport, Keyring, NewLog, Offered, Options, OtherLife, Outcome, PassReport, Progress as Step, Remote,
    SyncReport,
};
use uuid::Uuid;

use crate::access::{Remembered, token_in_environment};
use crate::commands::{Db, conflicts, log};
use crate::error::{Failure, Kind};
use crate::progress::Progress;
use crate::ui::{BOLD, DIM, Ui, WARN, visible};
use crate::{args, facts, keys};

pub(crate) fn run(args: &args::Sync, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let target = Target::parse(args.url.as_deref(), args.log.as_deref())?;
    let mut db = match &target.url {
        Some(_) if target.log.is_some() => Db::open_or_create(&args.db, env, ui, args.output.json)?,
        _ => Db::open(&args.db, env)?,
    };
    if let Some(format) = args.format {
        let new_log = match format {
            args::LogFormat::Native => NewLog::Native,
            args::LogFormat::Original => NewLog::Original,
        };
        new_log.remember(&mut db.store).map_err(|e| Failure::new(Kind::Storage, e.to_string()))?;
    }
    let other_life = match (args.adopt, args.reseed) {
        (true, _) => OtherLife::Adopt,
        (_, true) => OtherLife::Reseed,
        _ => OtherLife::Stop,
    };
    let said = Said { access: &args.access, key_file: args.key_file.as_deref(), other_life, theirs: &args.theirs };
    with(&mut db, &target, said, env, args.output.json, ui)
}

/// What to sync with, as far as it was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    url: Option<String>,
    log: Option<Log>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Log {
    New,
    Named(LogId),
}

impl Target {
    /// Reads an address and a log's name.
    pub(crate) fn parse(url: Option<&str>, log: Option<&str>) -> Result<Self, Failure> {
        let url = url
            .map(|url| tolstoy_sync::normalize_url(url).map_err(|e| Failure::new(Kind::Usage, e.to_string())))
            .transpose()?;
        let log = match log {
            None => None,
            Some("new") => Some(Log::New),
            Some(text) => Some(Log::Named(LogId(Uuid::try_parse(text).map_err(|_| {
                Failure::new(Kind::Usage, format!("{text:?} is no UUID, and logs are named by UUIDs"))
                    .hint("`new` in its place makes a log, and prints its name for your other devices")
            })?))),
        };
        Ok(Self { url, log })
    }

    /// Whether it says all that a new file needs.
    pub(crate) const fn names_log(&self) -> bool {
        matches!((&self.url, self.log), (Some(_), Some(Log::Named(_))))
    }

    /// Whether a new log is asked for.
    pub(crate) const fn is_new(&self) -> bool {
        matches!(self.log, Some(Log::New))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.log {
            Some(Log::Named(log)) => write!(f, "the log {log}")?,
            Some(Log::New) => f.write_str("a new log")?,
            None => f.write_str("its log")?,
        }
        self.url.as_ref().map_or(Ok(()), |url| write!(f, " at {url}"))
    }
}

/// What was said of how to sync.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) access: &'a args::Access,
    pub(crate) key_file: Option<&'a Path>,
    pub(crate) other_life: OtherLife,
    /// Attributes whose definition in the log stands where the store has another.
    pub(crate) theirs: &'a [Keyword],
}

/// Syncs a store, and prints what happened.
pub(crate) fn with(
    db: &mut Db,
    target: &Target,
    said: Said<'_>,
    env: &Env,
    json: bool,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let plan = Plan::of(db, target, &said, token_in_environment(), env)?;
    plan.begin(db)?;
    let report = carry_out(db, &plan, &said, env, ui)?;
    plan.end(db)?;
    let remote = &plan.remote;
    if target.log == Some(Log::New) && !json {
        let key = if plan.key_file.is_some() { " --key-file FILE" } else { "" };
        ui.note(format!("new log; on another device: tolstoy sync DB {} {}{key}", remote.url, remote.log));
    }
    let schema = db.store.schema().clone();
    let waiting = db.store.waiting().map_err(|e| db.failure(&e))?;
    if json {
        return ui.json(&Report::new(&schema, remote, &report, waiting));
    }
    show(&schema, remote, &report, ui)?;
    if waiting > 0 && report.passes.iter().filter_map(|p| p.rebased.as_ref()).any(makes_wait) {
        ui.line(conflicts::waiting(waiting, &db.path))?;
    }
    Ok(())
}

/// Whether the merge may have made an entry of the journal that waits.
fn makes_wait(rebased: &Rebased) -> bool {
    !rebased.displaced.is_empty() || rebased.overwritten.iter().any(|o| o.stands != Stands::Local)
}

/// How a store is to be synced: with which log, let in by what, with which keys.
pub(crate) struct Plan {
    pub(crate) remote: Remote,
    pub(crate) access: Access,
    /// What the store synced with before.
    known: Option<Remote>,
    remembered: Remembered,
    wanted: Remembered,
    key_file: Option<PathBuf>,
    keys: Option<Arc<Keyring>>,
}

impl Plan {
    /// Puts together what is said and what the store remembers. `token` is for who says nothing of tokens.
    pub(crate) fn of(
        db: &Db,
        target: &Target,
        said: &Said<'_>,
        token: Option<OsString>,
        env: &Env,
    ) -> Result<Self, Failure> {
        let known = Remote::of(&db.store).map_err(|e| Failure::new(Kind::Storage, e.to_string()))?;
        let remote = choose(db, target, known.as_ref(), env)?;
        let remembered = Remembered::of(&db.store, &remote.url).map_err(|e| db.failure(&e))?;
        let wanted = remembered.clone().with(said.access);
        let access = wanted.access(said.access, token)?;
        let key_file = keys::file(&db.store, said.key_file).map_err(|e| db.failure(&e))?;
        let keys = match &key_file {
            Some(path) => Some(keys::keyring(remote.log, &keys::read(path)?.1)?),
            None => None,
        };
        Ok(Self { remote, access, known, remembered, wanted, key_file, keys })
    }

    /// To be called before the sync. A log is remembered before anything is sent to it: where the answer is lost, the next sync
    /// goes on with it. Another address of the same log counts only once a hub has answered there.
    pub(crate) fn begin(&self, db: &mut Db) -> Result<(), Failure> {
        if self.is_known_log() { Ok(()) } else { self.remember(db) }
    }

    /// To be called after a sync that succeeded.
    pub(crate) fn end(&self, db: &mut Db) -> Result<(), Failure> {
        if self.is_known_log() { self.remember(db) } else { Ok(()) }
    }

    pub(crate) fn transport(&self, db: &Db) -> Result<HttpTransport, Failure> {
        HttpTransport::with_access(self.remote.clone(), &self.access).map_err(|e| self.failure(db, &e.into()))
    }

    pub(crate) fn options(&self, db: &Db, said: &Said<'_>, env: &Env) -> Result<Options, Failure> {
        let mut options = Options::on_tokio(env.clone());
        options.other_life = said.other_life;
        options.theirs = said.theirs.to_vec();
        options.keys.clone_from(&self.keys);
        options.new_log = NewLog::of(&db.store).map_err(|e| self.failure(db, &e))?;
        // Beside the store, where there is as much room as it needs; a store in memory has no beside.
        options.spool_dir = db.path.exists().then(|| match db.path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => Path::new(".").to_owned(),
        });
        Ok(options)
    }

    pub(crate) fn failure(&self, db: &Db, error: &tolstoy_sync::Error) -> Failure {
        Failure::sync(&db.path, &self.remote, error)
    }

    fn is_known_log(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.log == self.remote.log)
    }

    fn remember(&self, db: &mut Db) -> Result<(), Failure> {
        if self.known.as_ref() != Some(&self.remote) {
            self.remote.remember(&mut db.store).map_err(|e| self.failure(db, &e))?;
        }
        if self.wanted != self.remembered {
            self.wanted.remember(&mut db.store).map_err(|e| db.failure(&e))?;
        }
        match &self.key_file {
            Some(path) => keys::remember(&mut db.store, path).map_err(|e| db.failure(&e)),
            None => Ok(()),
        }
    }
}

fn choose(db: &Db, target: &Target, known: Option<&Remote>, env: &Env) -> Result<Remote, Failure> {
    let name = db.path.display();
    let log = match (target.log, known) {
        (Some(Log::Named(log)), _) => log,
        (Some(Log::New), _) => LogId(env.uuid().map_err(|e| Failure::new(Kind::Storage, e.to_string()))?),
        (None, Some(known)) => known.log,
        (None, None) => {
            return Err(Failure::new(
                Kind::NoRemote,
                format!("{name} has not synced yet, so it needs a URL and a log"),
            )
            .hint(format!(
                "`tolstoy sync {name} http://127.0.0.1:7410 new` makes a log; give its UUID on other devices"
            )));
        }
    };
    if let Some(known) = known
        && known.log != log
        && db.store.last_positioned().map_err(|e| db.failure(&e))?.is_some()
    {
        let message = format!("{name} holds the history of the log {}, and can sync with no other", known.log);
        let hint = match target.log {
            Some(Log::New) => "begin the new log with a new file".to_owned(),
            _ => format!("to have the log {log} on this device, sync it into a new file"),
        };
        return Err(Failure::new(Kind::OtherLog, message).hint(hint));
    }
    let url = match (&target.url, known) {
        (Some(url), _) => url.clone(),
        (None, Some(known)) => known.url.clone(),
        (None, None) => return Err(Failure::new(Kind::NoRemote, "sync needs the address of a hub")),
    };
    Ok(Remote { url, log })
}

fn carry_out(db: &mut Db, plan: &Plan, said: &Said<'_>, env: &Env, ui: &Ui) -> Result<SyncReport, Failure> {
    let mut transport = plan.transport(db)?;
    let mut options = plan.options(db, said, env)?;
    let progress = Progress::begin(ui);
    let bar = progress.clone();
    options.told = Some(Arc::new(move |step| match step {
        Step::Received(n) => bar.tell("receiving transactions", n, None),
        Step::Snapshot { received, of } => bar.tell("receiving a snapshot, bytes", received, Some(of)),
        Step::Packed { done, of } => bar.tell("making a snapshot, transactions", done, Some(of)),
        Step::Applied { done, of } => bar.tell("applying transactions", done, Some(of)),
        Step::Sent { done, of } => bar.tell("sending transactions", done, Some(of)),
    }));
    let result = tolstoy_sync::sync_blocking(&mut db.store, &mut transport, &options);
    progress.end();
    result.map_err(|e| plan.failure(db, &e))
}

fn show(schema: &Schema, remote: &Remote, report: &SyncReport, ui: &mut Ui) -> Result<(), Failure> {
    for pass in &report.passes {
        let (name, text) = in_words(pass);
        let name = ui.paint(BOLD, name);
        ui.line(format!("{name}: {text}"))?;
        if let Some(rebased) = &pass.rebased {
            details(schema, rebased, ui)?;
        }
    }
    for (n, what) in [
        (report.acknowledged, "had arrived already: the answer to an earlier sync was lost"),
        (report.resupplied, "had been lost by the hub, and were given to it again"),
    ] {
        if n > 0 {
            ui.line(format!("{} {what}", facts::count(n, "transaction")))?;
        }
    }
    match report.other_life {
        Some(OtherLife::Adopt) => ui.line("the log's new life was adopted; what it lacked was re-applied on top")?,
        Some(OtherLife::Reseed) => ui.line("the log was wiped, and has this store's whole history again")?,
        Some(OtherLife::Stop) | None => {}
    }
    snapshots(report, ui)?;
    let size = report.bytes_sent + report.bytes_received;
    let trips = facts::count(u64::from(report.round_trips), "round trip");
    let text = ui.paint(DIM, format!("log {} at {}, {trips}, {size} bytes", remote.log, remote.url));
    ui.line(text)
}

/// What became of snapshots.
fn snapshots(report: &SyncReport, ui: &mut Ui) -> Result<(), Failure> {
    let mut warn = |what: &str, why: &str| {
        let text = ui.paint(WARN, format!("{what}: {}", visible(why)));
        ui.line(text)
    };
    if let Some(why) = &report.snapshot_unusable {
        warn("all of the log was read, since its snapshot was of no use", why)?;
    }
    match &report.snapshot_offered {
        Some(Offered::Kept { transactions, bytes }) => {
            let count = facts::count(*transactions, "transaction");
            ui.line(format!("made a snapshot of {count} for new devices, {bytes} bytes"))
        }
        Some(Offered::Failed(why)) => warn("the hub asked for a snapshot for new devices, and did not get one", why),
        None => Ok(()),
    }
}

/// What came from the log, and how.
fn came(pass: &PassReport) -> String {
    let count = |n| facts::count(n, "transaction");
    match pass.from_snapshot {
        0 => format!("{} came from the log", count(pass.received)),
        some => format!("from a snapshot of {}, and {} more", count(some), pass.received.saturating_sub(some)),
    }
}

/// A pass: its name, and what it did.
fn in_words(pass: &PassReport) -> (&'static str, String) {
    let count = |n| facts::count(n, "transaction");
    match pass.outcome {
        Outcome::NoChanges => ("no changes", "this store and the log were the same already".to_owned()),
        Outcome::LocalFastForward => ("local fast-forward", came(pass)),
        Outcome::RemoteFastForward => ("remote fast-forward", format!("{} went to the log", count(pass.sent))),
        Outcome::Merge { .. } => {
            let mut text = came(pass);
            if let Some(rebased) = &pass.rebased {
                let displaced = rebased.displaced.len() as u64;
                let parts = [
                    (rebased.reapplied, "re-applied on top"),
                    (rebased.empty, "with nothing to change there"),
                    (rebased.known, "there already"),
                    (displaced, "displaced"),
                    (rebased.carried, "displaced earlier"),
                ];
                let parts: Vec<_> =
                    parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
                if !parts.is_empty() {
                    text.push_str(&format!("; of this store's own, {}", parts.join(", ")));
                }
            }
            ("merge", text)
        }
    }
}

fn details(schema: &Schema, rebased: &Rebased, ui: &mut Ui) -> Result<(), Failure> {
    if let Some(device) = rebased.new_device {
        ui.line(format!("  this file is a copy, or was put back from a backup: it is device {device} from now on"))?;
    }
    for change in &rebased.displaced {
        let text =
            format!("  displaced ({}): transaction {}: {}", change.reason.word(), change.tx, visible(&change.detail));
        let text = ui.paint(WARN, text);
        ui.line(text)?;
    }
    for o in &rebased.overwritten {
        let text = ui.paint(WARN, format!("  both changed {}", log::overwritten(schema, o)));
        ui.line(text)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Report<'r> {
    url: &'r str,
    log: String,
    passes: Vec<Json>,
    round_trips: u32,
    bytes_sent: u64,
    bytes_received: u64,
    resupplied: u64,
    acknowledged: u64,
    other_life: Option<&'static str>,
    snapshot_unusable: Option<&'r str>,
    snapshot_offered: Option<Json>,
    waiting: u64,
}

impl<'r> Report<'r> {
    fn new(schema: &Schema, remote: &'r Remote, report: &'r SyncReport, waiting: u64) -> Self {
        Self {
            url: &remote.url,
            log: remote.log.to_string(),
            passes: report.passes.iter().map(|p| pass(schema, p)).collect(),
            round_trips: report.round_trips,
            bytes_sent: report.bytes_sent,
            bytes_received: report.bytes_received,
            resupplied: report.resupplied,
            acknowledged: report.acknowledged,
            other_life: report.other_life.and_then(|other_life| match other_life {
                OtherLife::Adopt => Some("adopted"),
                OtherLife::Reseed => Some("reseeded"),
                OtherLife::Stop => None,
            }),
            snapshot_unusable: report.snapshot_unusable.as_deref(),
            snapshot_offered: report.snapshot_offered.as_ref().map(|offered| match offered {
                Offered::Kept { transactions, bytes } => json!({"transactions": transactions, "bytes": bytes}),
                Offered::Failed(why) => json!({"failed": why}),
            }),
            waiting,
        }
    }
}

fn pass(schema: &Schema, pass: &PassReport) -> Json {
    let (outcome, follow_up) = match pass.outcome {
        Outcome::NoChanges => ("NoChanges", None),
        Outcome::LocalFastForward => ("LocalFastForward", None),
        Outcome::RemoteFastForward => ("RemoteFastForward", None),
        Outcome::Merge { follow_up } => ("Merge", Some(follow_up)),
    };
    json!({
        "outcome": outcome,
        "follow_up": follow_up,
        "received": pass.received,
        "from_snapshot": pass.from_snapshot,
        "sent": pass.sent,
        "rebased": pass.rebased.as_ref().map(|r| self::rebased(schema, r)),
    })
}

fn rebased(schema: &Schema, r: &Rebased) -> Json {
    let displaced = |d: &tolstoy_store::DisplacedChange| json!({"tx": d.tx.get(), "origin": d.origin.to_string(), "reason": d.reason.word(), "detail": d.detail});
    json!({
        "applied": r.applied,
        "applied_datoms": r.applied_datoms,
        "side": r.side.map(|t| t.0),
        "reapplied": r.reapplied,
        "empty": r.empty,
        "known": r.known,
        "carried": r.carried,
        "new_device": r.new_device.map(|device| device.to_string()),
        "displaced": r.displaced.iter().map(displaced).collect::<Vec<_>>(),
        "renamed": r.renamed.iter().map(|(from, to)| json!([from.get(), to.get()])).collect::<Vec<_>>(),
        "overwritten": r.overwritten.iter().map(|o| log::overwrite(schema, o)).collect::<Vec<_>>(),
    })
}
