//! Durations and sizes as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time: a whole number and a unit, such as `90d`, `30s` or `250ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Period(pub(crate) Duration);

/// The units of a [`Period`] in milliseconds, the longest first.
const PERIODS: [(&str, u64); 6] =
    [("w", 7 * 86_400_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// No longer period is taken: so the instants that are computed from one exist.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let millis = quantity(text, &PERIODS)
            .ok_or("a duration is a whole number and a unit, such as 90d, 12h, 5m, 30s or 250ms")?;
        let period = Duration::from_millis(millis);
        if period > LONGEST {
            Err("a duration of at most a hundred years is taken".to_owned())
        } else {
            Ok(Self(period))
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Zero is best said in a unit that people know.
        if self.0.is_zero() {
            return f.write_str("0s");
        }
        write_quantity(f, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &PERIODS)
    }
}

/// A number of bytes: a whole number and a unit, such as `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

/// The units of a [`Size`] in bytes, the largest first.
const SIZES: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Size {
    /// The number where this machine's memory is counted; the largest there is where it does not fit.
    pub(crate) fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl From<usize> for Size {
    fn from(bytes: usize) -> Self {
        Self(bytes as u64)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = quantity(text, &SIZES);
        Ok(Self(bytes.ok_or("a size is a whole number and a unit (B, KiB, MiB, GiB or TiB), such as 64MiB")?))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_quantity(f, self.0, &SIZES)
    }
}

/// Reads a whole number and a unit.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, times) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*times)
}

/// Writes the amount in the first unit that it is a whole number of.
fn write_quantity(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)]) -> fmt::Result {
    let whole = units.iter().find(|(_, times)| amount >= *times && amount.is_multiple_of(*times));
    match whole.or(units.last()) {
        Some((unit, times)) => write!(f, "{}{unit}", amount / times),
        None => write!(f, "{amount}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn they_read_as_they_are_written() {
        for (text, millis) in [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("12h", 43_200_000), ("0s", 0)] {
            let period: Period = text.parse().unwrap();
            assert_eq!((period.0, period.to_string().as_str()), (Duration::from_millis(millis), text));
        }
        assert_eq!("90d".parse::<Period>().unwrap().0, Duration::from_hours(90 * 24));
        for (text, bytes) in [("0B", 0), ("512B", 512), ("64MiB", 64 << 20), ("3TiB", 3 << 40)] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, text));
        }
        assert_eq!("1024KiB".parse::<Size>().unwrap().to_string(), "1MiB");
        assert_eq!("7d".parse::<Period>().unwrap().to_string(), "1w");
    }

    #[test]
    fn others_are_refused() {
        for bad in ["", "5", "s", "-5s", "5 s", "5S", "1h30m", "1.5h", "5sec", "99999999999999999999s", "6000w", "٣s"]
        {
            bad.parse::<Period>().unwrap_err();
        }
        for bad in ["", "64", "MiB", "-1B", "64MB", "64M", "64 MiB", "64mib", "18446744073709551615KiB", "½B"] {
            bad.parse::<Size>().unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn each_comes_back(millis in 0u64..3_000_000_000_000, bytes: u64) {
            let period = Period(Duration::from_millis(millis));
            prop_assert_eq!(period.to_string().parse(), Ok(period));
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
    }
}
