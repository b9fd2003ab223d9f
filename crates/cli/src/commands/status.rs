//! `tolstoy status`

use serde_json::json;
use tolstoy_env::Env;
use tolstoy_sync::{HttpTransport, LocalStatus, LogStatus, Relation, Remote, local_status, log_status};

use crate::access::{Remembered, token_in_environment};
use crate::commands::{Db, conflicts};
use crate::error::{Failure, Kind};
use crate::ui::{BOLD, DIM, Ui};
use crate::{args, facts};

pub(crate) fn run(args: &args::Status, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let db = Db::open_to_read(&args.db, env)?;
    let unread = |e: tolstoy_sync::Error| Failure::new(Kind::Storage, format!("{}: {e}", db.path.display()));
    let local = local_status(&db.store).map_err(unread)?;
    let remote = Remote::of(&db.store).map_err(unread)?;
    let hub = match &remote {
        None => Hub::None,
        Some(_) if args.offline => Hub::NotAsked,
        Some(remote) => ask(&db, remote, &args.access)?,
    };
    let waiting = db.store.waiting().map_err(|e| db.failure(&e))?;
    let status = Status { db: &db, local, remote: remote.as_ref(), hub, waiting };
    if args.output.json { ui.json(&status.json()) } else { status.show(ui) }
}

/// What is known of the log.
enum Hub {
    /// There is none.
    None,
    /// It was not to be asked.
    NotAsked,
    /// It could not tell.
    Failed(Failure),
    Log(LogStatus),
}

fn ask(db: &Db, remote: &Remote, said: &args::Access) -> Result<Hub, Failure> {
    let remembered = Remembered::of(&db.store, &remote.url).map_err(|e| db.failure(&e))?;
    let access = remembered.with(said).access(said, token_in_environment())?;
    let failure = |error: &tolstoy_sync::Error| Failure::sync(&db.path, remote, error);
    let mut transport = HttpTransport::with_access(remote.clone(), &access).map_err(|e| failure(&e.into()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::io("starting the network", &e))?;
    Ok(match runtime.block_on(log_status(&db.store, &mut transport)) {
        Ok(log) => Hub::Log(log),
        Err(error) => Hub::Failed(failure(&error)),
    })
}

struct Status<'s> {
    db: &'s Db,
    local: LocalStatus,
    remote: Option<&'s Remote>,
    hub: Hub,
    /// Entries of the journal.
    waiting: u64,
}

impl Status<'_> {
    /// The one word for programs.
    fn word(&self) -> &'static str {
        match &self.hub {
            Hub::None => "no-remote",
            Hub::NotAsked => "not-asked",
            Hub::Failed(failure) => failure.kind.word(),
            Hub::Log(LogStatus { relation, .. }) => match (relation, self.local.ahead) {
                (Relation::Ahead(0), 0) => "in-step",
                (Relation::Ahead(0), _) => "ahead",
                (Relation::Ahead(_), 0) => "behind",
                (Relation::Ahead(_), _) => "both",
                (Relation::Lost(_), _) => "restored",
                (Relation::Forked { .. }, _) => "forked",
                (Relation::OtherLife, _) => "reset",
            },
        }
    }

    /// What is so, and what to do about it.
    fn in_words(&self) -> Vec<String> {
        let name = self.db.path.display();
        let count = |n| facts::count(n, "transaction");
        let sync = format!("`tolstoy sync {name}`");
        let mut lines = Vec::new();
        if self.local.ahead > 0 && self.remote.is_some() {
            lines
                .push(format!("ahead: the log is not known to have {} of this store: {sync}", count(self.local.ahead)));
        }
        match &self.hub {
            Hub::None => lines.push(format!(
                "no remote: this store has never synced; `tolstoy sync {name} URL new` makes a log for it"
            )),
            Hub::NotAsked => lines.push("the hub was not asked".to_owned()),
            Hub::Failed(failure) => {
                lines.push(failure.message.clone());
                lines.extend(failure.hint.clone());
            }
            Hub::Log(LogStatus { relation, state }) => match relation {
                Relation::Ahead(0) if self.local.ahead == 0 => lines.push("in step with its log".to_owned()),
                Relation::Ahead(0) => {}
                Relation::Ahead(n) => {
                    lines.push(format!("behind: the log has {} that this store lacks: {sync}", count(*n)));
                }
                Relation::Lost(n) => lines.push(format!(
                    "the hub lost {}, as after a restore from a backup: {sync} gives them to it again",
                    count(*n)
                )),
                Relation::Forked { lost, others } => lines.push(format!(
                    "forked: the log lost up to {}, and has up to {} in their place: {sync} merges",
                    count(*lost),
                    count(*others)
                )),
                Relation::OtherLife if state.seq.0 == 0 => lines.push(format!(
                    "reset: the log was wiped; `tolstoy sync {name} --reseed` fills it again from this store"
                )),
                Relation::OtherLife => lines.push(format!(
                    "reset: the log was wiped and begun anew, with {}; `tolstoy sync {name} --adopt` joins it",
                    count(state.seq.0)
                )),
            },
        }
        if self.waiting > 0 {
            lines.push(conflicts::waiting(self.waiting, &self.db.path));
        }
        lines
    }

    fn show(&self, ui: &mut Ui) -> Result<(), Failure> {
        let device = self.db.store.device();
        let name = ui.paint(BOLD, self.db.path.display().to_string());
        ui.line(format!("{name}: {}, device {device}", facts::count(self.local.transactions, "transaction")))?;
        if let Some(remote) = self.remote {
            ui.line(format!("log {} at {}", remote.log, remote.url))?;
        }
        for line in self.in_words() {
            ui.line(line)?;
        }
        let chain = ui.paint(DIM, format!("chain {}", hex(&self.local.chain)));
        if self.remote.is_some() { ui.line(chain) } else { Ok(()) }
    }

    fn json(&self) -> serde_json::Value {
        let log = match &self.hub {
            Hub::Log(log) => Some(log),
            _ => None,
        };
        let behind = log.and_then(|log| match log.relation {
            Relation::Ahead(n) => Some(n),
            _ => None,
        });
        json!({
            "status": self.word(),
            "says": self.in_words(),
            "transactions": self.local.transactions,
            "device": self.db.store.device().to_string(),
            "url": self.remote.map(|remote| &remote.url),
            "log": self.remote.map(|remote| remote.log.to_string()),
            "ahead": self.local.ahead,
            "behind": behind,
            "waiting": self.waiting,
            "chain": hex(&self.local.chain),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
