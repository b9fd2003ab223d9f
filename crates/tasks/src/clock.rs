//! Stamps: when and where a property got its value.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;
use tolstoy_edn::Instant;
use tolstoy_env::{Env, NoEntropy};

use crate::json::Json;

/// 0000-01-01T00:00:00Z.
pub(crate) const FIRST: Instant = Instant::from_micros(-62_167_219_200_000_000);
/// The last microsecond of the year 9999.
pub(crate) const LAST: Instant = Instant::from_micros(253_402_300_799_999_999);

/// What names a device in stamps: 1 to 36 characters of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device(Box<str>);

/// A text that names no device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a device's name is 1 to 36 characters of a-z, 0-9 and -, and more than a - alone")]
pub struct NoDevice;

impl Device {
    /// A new name, of eight characters.
    ///
    /// # Errors
    /// Where the source of randomness fails.
    pub fn mint(env: &Env) -> Result<Self, NoEntropy> {
        let id = crate::TaskId::mint(env)?;
        Ok(Self(id.as_str().chars().take(8).collect()))
    }

    /// A client that has no clocks.
    fn none() -> Self {
        Self("-".into())
    }

    /// Whether it is a client that has no clocks.
    pub(crate) fn is_none(&self) -> bool {
        &*self.0 == "-"
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Device {
    type Err = NoDevice;

    fn from_str(text: &str) -> Result<Self, NoDevice> {
        let fits = matches!(text.len(), 1..=36) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if fits && text != "-" { Ok(Self(text.into())) } else { Err(NoDevice) }
    }
}

/// Whoever edits: the device, and the time it believes it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The device.
    pub device: Device,
    /// The time now.
    pub now: Instant,
}

/// A hybrid logical clock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Clock {
    pub(crate) instant: Instant,
    pub(crate) counter: u32,
    pub(crate) device: Device,
}

/// The value's sum: what tells whether a value is the one that was stamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sum {
    Removed,
    Of([u8; 4]),
}

/// When and where a property got which value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    pub(crate) clock: Clock,
    pub(crate) sum: Sum,
}

/// When and where a tag was put on or taken off.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TagStamp {
    pub(crate) clock: Clock,
    pub(crate) on: bool,
}

/// The newest stamp is the last there can be: nothing can be stamped as newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("its clock stands at the end of the year 9999, so nothing can be newer: make a new task instead")]
pub(crate) struct EndOfTime;

impl Clock {
    /// What a client without clocks writes at this time.
    pub(crate) fn foreign(instant: Instant) -> Self {
        Self { instant: instant.clamp(FIRST, LAST), counter: 0, device: Device::none() }
    }

    /// The clock of an edit at this time, by someone who knows `self`.
    pub(crate) fn next(&self, now: Instant, device: &Device) -> Result<Self, EndOfTime> {
        let now = now.clamp(FIRST, LAST);
        let (instant, counter) = if now > self.instant {
            (now, 0)
        } else if let Some(counter) = self.counter.checked_add(1) {
            (self.instant, counter)
        } else if self.instant < LAST {
            (Instant::from_micros(self.instant.as_micros() + 1), 0)
        } else {
            return Err(EndOfTime);
        };
        Ok(Self { instant, counter, device: device.clone() })
    }

    /// The clock of an edit by a client without clocks that knew `self`.
    pub(crate) fn next_foreign(&self, updated_at: Instant) -> Result<Self, EndOfTime> {
        self.next(updated_at, &Device::none())
    }

    fn parse(text: &str) -> Option<(Self, &str)> {
        let mut parts = text.splitn(4, '/');
        let written = parts.next()?;
        let instant = Instant::parse_rfc3339(written).filter(|i| (FIRST..=LAST).contains(i))?;
        let counter: u32 = parts.next()?.parse().ok()?;
        let device = parts.next()?;
        let device = if device == "-" { Device::none() } else { device.parse().ok()? };
        let clock = Self { instant, counter, device };
        let rest = parts.next()?;
        // One stamp has one text.
        (text.strip_suffix(rest)?.strip_suffix('/')? == clock.to_string()).then_some((clock, rest))
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.instant, self.counter, self.device.0)
    }
}

impl Sum {
    /// The sum of a value, or of none.
    pub(crate) fn of(value: Option<&Json>) -> Self {
        let Some(value) = value else { return Self::Removed };
        let digest = Sha256::digest(value.canonical().as_bytes());
        digest.first_chunk().map_or(Self::Removed, |first| Self::Of(*first))
    }
}

impl Stamp {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (clock, sum) = Clock::parse(text)?;
        let sum = match sum {
            "-" => Sum::Removed,
            hex => {
                let fits = hex.len() == 8 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                Sum::Of(u32::from_str_radix(hex, 16).ok().filter(|_| fits)?.to_be_bytes())
            }
        };
        Some(Self { clock, sum })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sum {
            Sum::Removed => write!(f, "{}/-", self.clock),
            Sum::Of(bytes) => write!(f, "{}/{:08x}", self.clock, u32::from_be_bytes(bytes)),
        }
    }
}

impl TagStamp {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (clock, on) = Clock::parse(text)?;
        match on {
            "+" => Some(Self { clock, on: true }),
            "-" => Some(Self { clock, on: false }),
            _ => None,
        }
    }
}

impl fmt::Display for TagStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.clock, if self.on { '+' } else { '-' })
    }
}
