//! The snapshot that a hub asks for: made when everything is synced, and given to it.

use tolstoy_store::Entid;

use super::{Session, unexpected};
use crate::engine::Event;
use crate::error::Result;
use crate::format::Format;
use crate::options::Progress;
use crate::outgoing::Place;
use crate::report::Offered;
use crate::snapshot::{self, Blob};
use crate::transport::{Answer, Transport};

/// The note of how many transactions the snapshot had that the hub refused last.
const REFUSED: &str = "snapshot_refused";

impl<T: Transport> Session<'_, T> {
    /// Makes a snapshot and gives it to the hub. What goes wrong is reported, and nothing else.
    pub(super) async fn offer(&mut self, at: Entid) -> Event {
        let offered = match self.was_refused_lately(at) {
            // Such logs have no payloads to put into one.
            _ if self.format() == Format::Original => return Event::Offered,
            Ok(true) => return Event::Offered,
            Ok(false) => self.try_to_offer(at).await,
            Err(error) => Err(error),
        };
        let offered = offered.unwrap_or_else(|error| Offered::Failed(error.to_string()));
        self.engine.report_mut().snapshot_offered = Some(offered);
        Event::Offered
    }

    async fn try_to_offer(&mut self, at: Entid) -> Result<Offered> {
        let (place, snapshot) = self.make_snapshot(at)?;
        let (transactions, bytes) = (self.format().seq(self.store, at)?.0, snapshot.bytes());
        self.count_sent(usize::try_from(bytes).unwrap_or(usize::MAX));
        let answer = self.transport.put_snapshot(place.id, snapshot).await?;
        let refused_at = matches!(answer, Answer::Refused(_)).then(|| transactions.to_be_bytes());
        self.store.pass(|pass| pass.set_note(REFUSED, refused_at.as_ref().map(|at| at.as_slice())))?;
        match answer {
            Answer::Stored => Ok(Offered::Kept { transactions, bytes }),
            other => Err(unexpected(other)),
        }
    }

    /// A snapshot that the hub refused (it is too long, or the log is full) is not made again with each push, but when the
    /// log is a quarter longer.
    fn was_refused_lately(&self, at: Entid) -> Result<bool> {
        let noted = self.store.note(REFUSED)?.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        let now = self.format().seq(self.store, at)?.0;
        Ok(noted.is_some_and(|refused| now < refused.saturating_add(refused / 4)))
    }

    fn make_snapshot(&self, at: Entid) -> Result<(Place, Blob)> {
        let (place, dir) = (self.place(at)?, self.options.spool_dir.as_deref());
        let of = self.format().seq(self.store, at)?.0;
        let told = |done| self.options.tell(Progress::Packed { done, of });
        Ok((place, snapshot::make(self.store, &self.format(), &place, dir, told)?))
    }
}
