//! The content coding of bodies: zstd where both ends take it.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tolstoy_proto::ErrorKind;
use tolstoy_proto::coding::{self, CodingError, Compressor, ZSTD};

use super::error::ApiError;
use crate::storage::StorageError;

/// Bodies of fewer bytes are sent as they are, where the asker takes that.
const SHORT: usize = 1024;

/// The fastest level: a stream is coded as fast as it is read, and many are coded at once.
const LEVEL: i32 = 1;

/// What the hub takes in bodies: told with answers, so that clients need not try.
pub(super) const TAKES: (HeaderName, HeaderValue) = (header::ACCEPT_ENCODING, HeaderValue::from_static(ZSTD));

/// How an answer's body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is.
    Identity,
    /// As zstd where it is not short.
    Zstd,
    /// As zstd, since the asker takes nothing else.
    OnlyZstd,
}

impl Coding {
    /// What `Accept-Encoding` allows, and prefers.
    ///
    /// # Errors
    /// Where it allows neither: 406.
    pub(super) fn accepted(headers: &HeaderMap) -> Result<Self, ApiError> {
        if !headers.contains_key(header::ACCEPT_ENCODING) {
            return Ok(Self::Identity);
        }
        let weight = |wanted: &str| {
            let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
            values
                .flat_map(|value| value.split(','))
                .filter_map(|item| super::stream::weight_of(item, wanted))
                .reduce(f32::max)
        };
        let others = weight("*");
        let zstd = weight(ZSTD).or(others).unwrap_or(0.0);
        match weight("identity").or(others.filter(|others| *others == 0.0)) {
            Some(0.0) if zstd > 0.0 => Ok(Self::OnlyZstd),
            Some(0.0) => Err(ApiError::new(
                StatusCode::NOT_ACCEPTABLE,
                ErrorKind::NotAcceptable,
                "Accept-Encoding allows neither zstd nor identity: the hub knows no other coding",
            )),
            Some(identity) if identity > zstd => Ok(Self::Identity),
            _ if zstd > 0.0 => Ok(Self::Zstd),
            _ => Ok(Self::Identity),
        }
    }

    /// What codes a body that begins with so many bytes, and may be longer.
    pub(super) fn coder(self, begins: usize, whole: bool) -> Result<Option<Coder>, StorageError> {
        match self {
            Self::Identity => Ok(None),
            Self::Zstd if whole && begins < SHORT => Ok(None),
            Self::Zstd | Self::OnlyZstd => {
                let compressor = Compressor::new(LEVEL).map_err(failed)?;
                Ok(Some(Coder { compressor: Some(compressor) }))
            }
        }
    }

    /// The whole body as zstd; none where it is better sent as it is.
    pub(super) fn whole(self, bytes: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        if self == Self::Identity || (self == Self::Zstd && bytes.len() < SHORT) {
            return Ok(None);
        }
        let coded = coding::compress(bytes, LEVEL).map_err(failed)?;
        Ok((self == Self::OnlyZstd || coded.len() < bytes.len()).then_some(coded))
    }
}

/// Codes a body page by page.
#[derive(Debug)]
pub(super) struct Coder {
    /// None when the last page was coded.
    compressor: Option<Compressor>,
}

impl Coder {
    /// Appends a page to `out`, coded so that the asker can read all of it.
    pub(super) fn page(&mut self, page: &[u8], is_last: bool, out: &mut Vec<u8>) -> Result<(), StorageError> {
        let result = match self.compressor.take() {
            Some(compressor) if is_last => compressor.end(page, out),
            Some(mut compressor) => {
                let result = compressor.add(page, out);
                self.compressor = Some(compressor);
                result
            }
            None => Err(std::io::Error::other("the body has ended")),
        };
        result.map_err(failed)
    }
}

fn failed(error: std::io::Error) -> StorageError {
    StorageError::Failed(format!("an answer could not be compressed: {error}"))
}

/// Whether the body that was sent is zstd.
///
/// # Errors
/// Where it is in a coding that is not known here: 415, with the one that is.
pub(super) fn is_zstd(headers: &HeaderMap) -> Result<bool, ApiError> {
    let values: Vec<&str> =
        headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?").trim()).collect();
    match *values {
        [] | [""] => Ok(false),
        [known] if known.eq_ignore_ascii_case("identity") => Ok(false),
        [known] if known.eq_ignore_ascii_case(ZSTD) => Ok(true),
        _ => {
            let (name, value) = TAKES;
            let shown: String = values.join(", ").chars().take(80).collect();
            Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ErrorKind::UnsupportedMediaType,
                format!("the content coding {shown:?} is not known here: send zstd, or none"),
            )
            .with_header(name, value))
        }
    }
}

impl From<CodingError> for ApiError {
    fn from(error: CodingError) -> Self {
        match error {
            CodingError::TooLong(limit) => Self::too_large(limit),
            other => Self::bad_request(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn an_answer_is_coded_where_that_is_asked_for() {
        let coding = |values: &[&'static str]| Coding::accepted(&headers(header::ACCEPT_ENCODING, values)).ok();
        for identity in [
            &[][..],
            &[""],
            &["gzip, br"],
            &["zstd;q=0"],
            &["zstd;q=0, *"],
            &["identity"],
            &["identity, zstd;q=0.5"],
            &["zstd;q=x"],
            &["zstdx"],
            &["gzip;q=1, *;q=0, identity;q=0.1"],
        ] {
            assert_eq!(coding(identity), Some(Coding::Identity), "{identity:?}");
        }
        for zstd in [
            &["zstd"][..],
            &["gzip, deflate, br, zstd"],
            &["ZSTD ; q=0.1"],
            &["*"],
            &["gzip", "zstd"],
            &["identity;q=0.5, zstd"],
            &["identity, zstd"],
        ] {
            assert_eq!(coding(zstd), Some(Coding::Zstd), "{zstd:?}");
        }
        for only in [&["zstd, identity;q=0"][..], &["zstd;q=0.1, *;q=0"], &["*, identity;q=0"]] {
            assert_eq!(coding(only), Some(Coding::OnlyZstd), "{only:?}");
        }
        for none in [&["identity;q=0"][..], &["*;q=0"], &["gzip, identity;q=0"], &["zstd;q=0, identity;q=0.000"]] {
            assert_eq!(coding(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_body_says_its_one_coding() {
        let zstd = |values: &[&'static str]| is_zstd(&headers(header::CONTENT_ENCODING, values)).ok();
        for identity in [&[][..], &[""], &["identity"], &["Identity"]] {
            assert_eq!(zstd(identity), Some(false), "{identity:?}");
        }
        assert_eq!(zstd(&["zstd"]), Some(true));
        assert_eq!(zstd(&[" ZSTD"]), Some(true));
        for unknown in [&["gzip"][..], &["zstd, zstd"], &["zstd", "gzip"], &["zstd;q=1"], &["identity", "zstd"]] {
            assert_eq!(zstd(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn a_whole_body_is_coded_where_that_makes_it_shorter() {
        let short = Coding::Zstd.whole(&[0; SHORT - 1]).unwrap();
        assert_eq!(short, None);
        assert!(Coding::Zstd.whole(&[0; SHORT]).unwrap().is_some_and(|coded| coded.len() < SHORT));
        assert!(Coding::OnlyZstd.whole(b"x").unwrap().is_some());
        let noise: Vec<u8> = (0..500_u64).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).collect();
        let coded = coding::compress(&noise, 1).unwrap();
        assert!(Coding::Zstd.whole(&coded).unwrap().is_none());
        assert!(Coding::OnlyZstd.whole(&coded).unwrap().is_some());
        assert_eq!(Coding::Identity.whole(&[0; 5000]).unwrap(), None);
    }
}
