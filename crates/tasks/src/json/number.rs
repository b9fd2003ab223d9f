//! Numbers, to the last digit.

use std::fmt;

/// The longest text of a number.
const MAX_LENGTH: usize = 1000;
/// The largest exponent, either way.
const MAX_EXPONENT: i64 = 100_000;
/// No double needs more significant digits than that to be told from all others.
const DIGITS_OF_A_DOUBLE: usize = 17;
/// Digits of the whole part of a number that is written without exponent, at most.
const LONGEST_INTEGER: i64 = 21;

/// A JSON number, as it was written. Two are equal exactly if their canonical forms are.
#[derive(Debug, Clone)]
pub struct Number(Box<str>);

/// A decimal number: 0.DIGITS times ten to the power of `point`. The digits neither begin nor end with 0; none is zero.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    point: i64,
}

impl Number {
    /// Reads a number in JSON's grammar; `None` for anything else, and for what is beyond the limits of `docs/tasks.md`.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() <= MAX_LENGTH).then_some(())?;
        let decimal = Decimal::parse(text)?;
        (decimal.point.abs() <= MAX_EXPONENT).then(|| Self(text.into()))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The nearest double, which may be infinite.
    pub fn as_f64(&self) -> f64 {
        // Every number of JSON's grammar is one of Rust's.
        self.0.parse().unwrap_or(0.0)
    }

    /// The canonical form.
    pub fn canonical(&self) -> String {
        let double = self.as_f64();
        let Some(exact) = Decimal::parse(&self.0) else { return self.0.to_string() };
        let Some(nearest) = Decimal::parse(&shortest(double)).filter(|_| double.is_finite()) else {
            return exact.to_string();
        };
        let is_long = exact.digits.len() > DIGITS_OF_A_DOUBLE;
        // One that would be written as an integer is one, or its canonical form would be read as another number.
        let is_integer = !self.0.contains(['.', 'e', 'E']) || is_long && exact.is_laid_out_as_integer();
        let vanishes = exact.digits.is_empty() != nearest.digits.is_empty();
        let differs = if is_integer { exact != integer_of(double) } else { is_long };
        if vanishes || differs { exact.to_string() } else { nearest.to_string() }
    }
}

/// The fewest digits that tell a double from all others; of several with as few, the nearest, and of two as near the even.
fn shortest(double: f64) -> String {
    let short = format!("{double:e}");
    let digits = short.bytes().take_while(|b| *b != b'e').filter(u8::is_ascii_digit).count();
    // The formatter keeps to the fewest digits, but not to the even of two; rounding to as many does.
    let even = format!("{double:.*e}", digits.saturating_sub(1));
    if even.parse() == Ok(double) { even } else { short }
}

/// The exact value of a double that is an integer.
fn integer_of(double: f64) -> Decimal {
    Decimal::parse(&format!("{double:.0}")).unwrap_or(Decimal { negative: false, digits: String::new(), point: 0 })
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                is_digits(digits).then_some(())?;
                (mantissa, exponent.parse::<i64>().ok()?)
            }
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => {
                is_digits(fraction).then_some(())?;
                (whole, fraction)
            }
            None => (mantissa, ""),
        };
        (is_digits(whole) && (whole == "0" || !whole.starts_with('0'))).then_some(())?;

        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, point: 0 });
        }
        let leading = i64::try_from(all.len() - significant.len()).ok()?;
        let point = i64::try_from(whole.len()).ok()?.checked_sub(leading)?.checked_add(exponent)?;
        Some(Self { negative, digits, point })
    }

    /// Whether its text has neither fraction nor exponent.
    fn is_laid_out_as_integer(&self) -> bool {
        i64::try_from(self.digits.len()).is_ok_and(|count| count <= self.point) && self.point <= LONGEST_INTEGER
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The layout of ECMAScript's `Number::toString`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { negative, digits, point } = self;
        let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        if *negative {
            f.write_str("-")?;
        }
        let zeros = |n: i64| "0".repeat(usize::try_from(n).unwrap_or(0));
        let split = |at: i64| digits.split_at_checked(usize::try_from(at).unwrap_or(0)).unwrap_or((digits, ""));
        match *point {
            _ if digits.is_empty() => f.write_str("0"),
            n if self.is_laid_out_as_integer() => write!(f, "{digits}{}", zeros(n - count)),
            n if 0 < n && n <= LONGEST_INTEGER => {
                let (whole, fraction) = split(n);
                write!(f, "{whole}.{fraction}")
            }
            n if -6 < n && n <= 0 => write!(f, "0.{}{digits}", zeros(-n)),
            n => {
                let (first, rest) = split(1);
                let dot = if rest.is_empty() { "" } else { "." };
                write!(f, "{first}{dot}{rest}e{:+}", n - 1)
            }
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.canonical() == other.canonical()
    }
}

impl Eq for Number {}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self(number.to_string().into())
    }
}
