//! Numbers beyond 64 bits, kept as their digits: they can be stored, compared and written, not computed with.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::name::visible;

/// Why a token that begins like a number is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NumberFault {
    /// `1/2`.
    #[error("ratios are not EDN; write a decimal such as 0.5M, or a float")]
    Ratio,
    /// `007`.
    #[error("a number cannot begin with a zero that another digit follows")]
    LeadingZero,
    /// `.5`.
    #[error("a digit must stand before the point")]
    NoInteger,
    /// `1.`.
    #[error("a digit must follow the point")]
    NoFraction,
    /// `1e`.
    #[error("a digit must follow the exponent's `e`")]
    NoExponent,
    /// `1e999`.
    #[error("it is too large for a 64-bit float; write it with M for an exact decimal, or ##Inf")]
    TooLarge,
    /// `1.5N`.
    #[error("only an integer can end in N")]
    FractionalInteger,
    /// `1abc`, `0x1F`.
    #[error("`{}` cannot follow a number directly", visible(.0.encode_utf8(&mut [0; 4])))]
    Junk(char),
}

/// An integer of any size, in EDN marked with `N`. Ordered as numbers are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BigInteger(Arc<str>);

impl BigInteger {
    /// The integer of those decimal digits, with an optional sign and without the `N`; `None` if the text is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = split_sign(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = match digits.trim_start_matches('0') {
            "" => return Some(Self(Arc::from("0"))),
            digits => digits,
        };
        Some(Self(if negative { format!("-{digits}").into() } else { digits.into() }))
    }

    /// The decimal digits, after `-` where the number is negative; no leading zeros, no `N`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number, if it fits.
    pub fn to_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }
}

impl PartialOrd for BigInteger {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BigInteger {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a_negative, a) = split_sign(&self.0);
        let (b_negative, b) = split_sign(&other.0);
        let magnitude = || a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        match (a_negative, b_negative) {
            (false, false) => magnitude(),
            (true, true) => magnitude().reverse(),
            (a_negative, b_negative) => b_negative.cmp(&a_negative),
        }
    }
}

impl fmt::Display for BigInteger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}N", self.0)
    }
}

/// An exact decimal, in EDN marked with `M`. The number of fraction digits is part of the value, as in Clojure: `1.0M`
/// and `1.00M` differ. The order is that of the text: total, and not the numeric one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(Arc<str>);

impl Decimal {
    /// The decimal so written, without the `M`: an optional sign, an integer part, an optional fraction, an optional
    /// exponent. `None` if the text is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match Shape::of(text) {
            Ok(Shape { suffix: None, mantissa, exponent, .. }) => Some(Self::canonical(mantissa, exponent)),
            _ => None,
        }
    }

    /// `-` only before what is not zero, the exponent as `E` with `-` or no sign and without leading zeros; no exponent
    /// where it is zero.
    fn canonical(mantissa: &str, exponent: Option<&str>) -> Self {
        let (negative, mantissa) = split_sign(mantissa);
        let sign = if negative && mantissa.bytes().any(|b| matches!(b, b'1'..=b'9')) { "-" } else { "" };
        let (exponent_negative, exponent) = split_sign(exponent.unwrap_or_default());
        let exponent_sign = if exponent_negative { "-" } else { "" };
        Self(match exponent.trim_start_matches('0') {
            "" => format!("{sign}{mantissa}").into(),
            exponent => format!("{sign}{mantissa}E{exponent_sign}{exponent}").into(),
        })
    }

    /// The digits: `-12.50`, `1E30`; no `M`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}M", self.0)
    }
}

/// What a number's token says.
pub(crate) enum Number {
    Integer(i64),
    Big(BigInteger),
    Float(f64),
    Decimal(Decimal),
}

pub(crate) fn parse_number(token: &str) -> Result<Number, NumberFault> {
    let shape = Shape::of(token)?;
    match shape.suffix {
        Some('N') if shape.is_integer() => {
            BigInteger::parse(shape.mantissa).map(Number::Big).ok_or(NumberFault::NoInteger)
        }
        Some('N') => Err(NumberFault::FractionalInteger),
        Some(_) => Ok(Number::Decimal(Decimal::canonical(shape.mantissa, shape.exponent))),
        None if shape.is_integer() => match shape.mantissa.parse() {
            Ok(number) => Ok(Number::Integer(number)),
            Err(_) => BigInteger::parse(shape.mantissa).map(Number::Big).ok_or(NumberFault::NoInteger),
        },
        None => match token.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Number::Float(number)),
            _ => Err(NumberFault::TooLarge),
        },
    }
}

/// The parts of a number's token, each of them checked.
struct Shape<'t> {
    /// Sign, integer part, fraction.
    mantissa: &'t str,
    has_fraction: bool,
    /// The exponent with its sign, without the `e`.
    exponent: Option<&'t str>,
    /// `N` or `M`.
    suffix: Option<char>,
}

impl<'t> Shape<'t> {
    fn of(token: &'t str) -> Result<Self, NumberFault> {
        let unsigned = split_sign(token).1;
        let integer = digit_count(unsigned);
        if integer == 0 {
            return Err(NumberFault::NoInteger);
        }
        if integer > 1 && unsigned.starts_with('0') {
            return Err(NumberFault::LeadingZero);
        }
        let mut rest = &unsigned[integer..];
        let has_fraction = rest.starts_with('.');
        if let Some(fraction) = rest.strip_prefix('.') {
            let digits = digit_count(fraction);
            if digits == 0 {
                return Err(NumberFault::NoFraction);
            }
            rest = &fraction[digits..];
        }
        let mantissa = &token[..token.len() - rest.len()];
        let mut exponent = None;
        if let Some(power) = rest.strip_prefix(['e', 'E']) {
            let unsigned = split_sign(power).1;
            let digits = digit_count(unsigned);
            if digits == 0 {
                return Err(NumberFault::NoExponent);
            }
            rest = &unsigned[digits..];
            exponent = Some(&power[..power.len() - rest.len()]);
        }
        let suffix = rest.chars().next();
        match (suffix, rest.len()) {
            (None, _) | (Some('N' | 'M'), 1) => Ok(Self { mantissa, has_fraction, exponent, suffix }),
            (Some('/'), _) => Err(NumberFault::Ratio),
            (Some('N' | 'M'), _) => Err(NumberFault::Junk(rest.chars().nth(1).unwrap_or_default())),
            (Some(junk), _) => Err(NumberFault::Junk(junk)),
        }
    }

    fn is_integer(&self) -> bool {
        !self.has_fraction && self.exponent.is_none()
    }
}

fn digit_count(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Whether a `-` leads, and the text after the sign.
fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}
