//! Lists of logs and what they hold, for those who look after a hub.

use tolstoy_proto::LogId;

use super::Service;
use crate::storage::{LogCursor, LogFigures, StorageError, Totals, Usage};

/// Which logs are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogList {
    /// All, by the minute of their last upload, newest first; those after this place.
    Newest(Option<LogCursor>),
    /// Those with ids from the first to the last of these, both included, in their order.
    Between(LogId, LogId),
}

/// Some of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The logs.
    pub logs: Vec<LogFigures>,
    /// What lists the rest; none where this is all.
    pub rest: Option<LogList>,
}

impl LogList {
    /// The logs whose ids begin with this text, hyphens left out, in hexadecimal of either case; none where it is the
    /// beginning of no id.
    pub fn beginning_with(prefix: &str) -> Option<Self> {
        let digits: String = prefix.chars().filter(|c| *c != '-').collect();
        if digits.len() > 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let filled = |with: char| {
            let text: String = digits.chars().chain(std::iter::repeat(with)).take(32).collect();
            u128::from_str_radix(&text, 16).ok().map(|id| LogId::from_bytes(id.to_be_bytes()))
        };
        Some(Self::Between(filled('0')?, filled('f')?))
    }
}

impl Service {
    /// Living logs, at most `limit` of them. It costs what it lists, not what there is.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn logs(&self, list: LogList, limit: usize) -> Result<LogPage, StorageError> {
        let mut logs = self.read(|txn| match list {
            LogList::Newest(after) => txn.logs_by_age(after, limit.saturating_add(1)),
            LogList::Between(from, to) => txn.logs_by_id(from, to, limit.saturating_add(1)),
        })?;
        let more = logs.len() > limit;
        logs.truncate(limit);
        let rest = logs.last().filter(|_| more).map(|last| match list {
            LogList::Newest(_) => LogList::Newest(Some(last.cursor())),
            LogList::Between(_, to) => {
                let next = u128::from_be_bytes(*last.log.as_bytes()).saturating_add(1);
                LogList::Between(LogId::from_bytes(next.to_be_bytes()), to)
            }
        });
        Ok(LogPage { logs, rest })
    }

    /// What a log holds; none where it has no generation.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn usage(&self, log: LogId) -> Result<Option<Usage>, StorageError> {
        self.read(|txn| super::View::of(txn, log)?.life().map(|life| txn.usage(life)).transpose())
    }

    /// What there is in all.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn totals(&self) -> Result<Totals, StorageError> {
        self.read(|txn| txn.totals())
    }
}
