//! The tasks that Taskwarrior's replicas share, as a driver: itself a client of TaskChampion's sync protocol. `docs/tasks.md`,
//! Taskwarrior on a hub.

mod history;
mod replica;
mod seal;

use tolstoy_env::Env;
use tolstoy_proto::TrnId;
use tolstoy_proto::taskchampion::ClientId;
use tolstoy_tasks::driver::{Driver, DriverError, DriverErrorKind, Exchanged, Hashes, Listing, Offer, Trouble};

use self::history::{Maps, Operation, read_snapshot, read_version, write_snapshot, write_version};
use self::replica::{Edit, Replica};
use self::seal::Sealer;
use crate::blocking::Blocking;
use crate::remote::Remote;
use crate::transport::Access;
use crate::transport::http::{Added, Child};

pub use self::seal::EncryptionSecret;

/// Bytes of operations in one version, as Taskwarrior has it.
const MAX_VERSION: usize = 1_000_000;
/// How often the race for the next version is lost before it is left to another time.
const ROUNDS: u32 = 16;

/// What is wrong with what the hub has for a client: the source of a [`DriverError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskChampionError {
    /// It is encrypted with another secret, or was altered.
    #[error(
        "what the hub has for this client cannot be decrypted: the secret is not the one that it was encrypted with"
    )]
    Secret,
    /// It is not what Taskwarrior writes.
    #[error("the version {version} cannot be read: {why}")]
    Unreadable {
        /// Which version.
        version: TrnId,
        /// What is wrong.
        why: String,
    },
    /// What a client begins with is missing.
    #[error(
        "the hub has neither the beginning of this client's history nor a snapshot; a sync of a device that has all tasks sends one"
    )]
    NoBeginning,
    /// The hub contradicts itself.
    #[error("the hub wants another version to be the newest than the one that it gives")]
    Diverged,
    /// Others wrote each time.
    #[error("others wrote {ROUNDS} times in a row before this could; try again")]
    Contended,
    /// Something could not be encrypted or written out.
    #[error("{0}")]
    Failed(String),
}

/// The tasks of a client of TaskChampion's protocol. What it has pulled stays in memory: then a look at a hub where nothing is new is
/// one request.
#[derive(Debug)]
pub struct TaskChampionDriver {
    hub: Blocking,
    client: ClientId,
    sealer: Sealer,
    env: Env,
    replica: Option<Replica>,
}

impl TaskChampionDriver {
    /// The tasks of this client on the hub, or another server of the protocol, at this address. Works out the key, which takes a moment;
    /// nothing is sent yet.
    ///
    /// # Errors
    /// Where the TLS settings, or the system's network, cannot be used.
    pub fn new(
        url: String,
        client: ClientId,
        secret: &EncryptionSecret,
        access: &Access,
        env: Env,
    ) -> Result<Self, DriverError> {
        let hub = Blocking::new(Remote { url, log: client.log() }, access)?;
        Ok(Self { hub, client, sealer: Sealer::new(client, secret), env, replica: None })
    }

    /// The tasks as the hub has them now.
    fn pulled(&mut self) -> Result<&Replica, DriverError> {
        let is_new = self.replica.is_none();
        if is_new {
            self.replica = Some(self.beginning()?);
        }
        // A hub that was restored, or is another, does not know the version: then once more from the beginning.
        let mut is_there = self.advance()?;
        if !is_there && !is_new {
            self.replica = Some(self.beginning()?);
            is_there = self.advance()?;
        }
        match self.replica.take().filter(|_| is_there) {
            Some(replica) => Ok(self.replica.insert(replica)),
            None => Err(failed(TaskChampionError::NoBeginning)),
        }
    }

    /// The newest snapshot, or what there was before all versions.
    fn beginning(&mut self) -> Result<Replica, DriverError> {
        let (mut hub, client) = (self.hub.hub(), self.client);
        let snapshot = self.hub.run(async move {
            let snapshot = hub.newest_snapshot(client).await;
            (hub, snapshot)
        })?;
        let Some((version, sealed)) = snapshot else { return Ok(Replica::at(TrnId::ROOT, Maps::new())) };
        let maps = read_snapshot(&self.open(version, &sealed)?);
        let maps = maps.map_err(|why| failed(TaskChampionError::Unreadable { version, why }))?;
        Ok(Replica::at(version, maps))
    }

    /// Takes in all versions that follow; false where the hub does not know the one that the replica is at.
    fn advance(&mut self) -> Result<bool, DriverError> {
        loop {
            let (mut hub, client, base) = (self.hub.hub(), self.client, self.base());
            let child = self.hub.run(async move {
                let child = hub.child_version(client, base).await;
                (hub, child)
            })?;
            match child {
                Child::None => return Ok(true),
                Child::Gone => return Ok(false),
                Child::Version { id, segment } => {
                    let operations = read_version(&self.open(base, &segment)?);
                    let unreadable = |why| failed(TaskChampionError::Unreadable { version: id, why });
                    self.take_in(id, &operations.map_err(unreadable)?);
                }
            }
        }
    }

    fn base(&self) -> TrnId {
        self.replica.as_ref().map_or(TrnId::ROOT, Replica::base)
    }

    fn take_in(&mut self, version: TrnId, operations: &[Operation]) {
        if let Some(replica) = &mut self.replica {
            replica.advance(version, operations);
        }
    }

    fn open(&self, version: TrnId, sealed: &[u8]) -> Result<Vec<u8>, DriverError> {
        self.sealer.open(version, sealed).map_err(|_| failed(TaskChampionError::Secret))
    }

    fn seal(&self, version: TrnId, plain: Result<Vec<u8>, String>) -> Result<Vec<u8>, DriverError> {
        let sealed = plain.and_then(|plain| self.sealer.seal(&self.env, version, &plain));
        sealed.map_err(|why| failed(TaskChampionError::Failed(why)))
    }

    /// Adds the edits; false where somebody else added a version before.
    fn push(&mut self, edits: Vec<Edit>, troubles: &mut Vec<Trouble>) -> Result<bool, DriverError> {
        let mut is_wanted = false;
        for operations in batches(edits) {
            match self.add(operations)? {
                Some(wants_snapshot) => is_wanted |= wants_snapshot,
                None => return Ok(false),
            }
        }
        if is_wanted && let Err(error) = self.send_snapshot() {
            // The edits are there; whoever writes next is asked again.
            let place = self.hub.remote().url.clone();
            troubles.push(Trouble { place, why: format!("the snapshot that it asked for was not taken: {error}") });
        }
        Ok(true)
    }

    /// Adds a version: whether the hub asks for a snapshot. None where somebody else added one before.
    fn add(&mut self, operations: Vec<Operation>) -> Result<Option<bool>, DriverError> {
        let base = self.base();
        let segment = self.seal(base, write_version(operations.clone()))?;
        let (mut hub, client) = (self.hub.hub(), self.client);
        let added = self.hub.run(async move {
            let added = hub.add_version(client, base, segment).await;
            (hub, added)
        })?;
        match added {
            Added::Version { id, wants_snapshot } => {
                self.take_in(id, &operations);
                Ok(Some(wants_snapshot))
            }
            Added::Conflict { newest } => {
                let now = self.pulled()?.base();
                // It may have gone on since; it may not be where we were.
                if now == base && newest != base { Err(failed(TaskChampionError::Diverged)) } else { Ok(None) }
            }
        }
    }

    fn send_snapshot(&mut self) -> Result<(), DriverError> {
        let Some(replica) = &self.replica else { return Ok(()) };
        let (version, snapshot) = (replica.base(), write_snapshot(replica.maps()));
        let snapshot = self.seal(version, snapshot)?;
        let (mut hub, client) = (self.hub.hub(), self.client);
        self.hub.run(async move {
            let added = hub.add_snapshot(client, version, snapshot).await;
            (hub, added)
        })
    }
}

impl Driver for TaskChampionDriver {
    fn hashes(&mut self) -> Result<Hashes, DriverError> {
        Ok(self.pulled()?.hashes())
    }

    fn exchange(&mut self, offers: &[Offer]) -> Result<Exchanged, DriverError> {
        let mut troubles = Vec::new();
        for round in 0..ROUNDS {
            // Whoever lost the race has pulled.
            let replica = match &self.replica {
                Some(replica) if round > 0 => replica,
                _ => self.pulled()?,
            };
            let (answers, edits) = replica.plan(offers);
            if self.push(edits, &mut troubles)? {
                return Ok(Exchanged { answers, troubles });
            }
        }
        Err(failed(TaskChampionError::Contended))
    }

    /// Only to look, so nothing is written.
    fn list(&mut self) -> Result<Listing, DriverError> {
        let replica = self.pulled()?;
        Ok(Listing { tasks: replica.tasks(), troubles: replica.troubles() })
    }
}

/// The edits in as few versions as they fit in, those of one task in one.
fn batches(edits: Vec<Edit>) -> Vec<Vec<Operation>> {
    let (mut batches, mut bytes) = (Vec::<Vec<Operation>>::new(), 0);
    for edit in edits {
        let more = edit.iter().map(Operation::bytes).sum::<usize>();
        match batches.last_mut().filter(|_| bytes + more <= MAX_VERSION) {
            Some(batch) => {
                batch.extend(edit);
                bytes += more;
            }
            None => {
                batches.push(edit);
                bytes = more;
            }
        }
    }
    batches
}

fn failed(error: TaskChampionError) -> DriverError {
    let kind = match &error {
        TaskChampionError::Secret => DriverErrorKind::Refused,
        TaskChampionError::Contended => DriverErrorKind::Unavailable,
        _ => DriverErrorKind::Failed,
    };
    DriverError::new(kind, error.to_string()).because(error)
}
