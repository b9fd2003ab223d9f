//! What it takes to be let in by a hub, and to know that it is the right one.

use std::fmt;
use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, ClientBuilder};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};
use tolstoy_proto::Fingerprint;

use crate::transport::TransportError;

/// What a client shows a hub, and which hub it believes.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The token that it shows with each request.
    pub token: Option<BearerToken>,
    /// The hub that it believes.
    pub trust: Trust,
}

/// A token as the hub gave it out. `Debug` does not show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BearerToken(HeaderValue);

/// A text that is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no token: a token is one word of letters, digits and signs, as `tolstoy token create` prints it")]
pub struct BadToken;

impl BearerToken {
    /// The token in this text; space around it is none of it. Hubs of other makers may give out other forms than ours, so
    /// any word is taken that RFC 6750 takes.
    ///
    /// # Errors
    /// Where it is no single word.
    pub fn parse(text: &str) -> Result<Self, BadToken> {
        let text = text.trim();
        let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
        if text.is_empty() || !is_word {
            return Err(BadToken);
        }
        let mut value = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| BadToken)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

/// Which certificates a client believes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those that lead to an authority which this system knows.
    #[default]
    System,
    /// Those that lead to one of these, in PEM, and no others. [`Trust::roots`] looks whether there are any.
    Roots(Vec<u8>),
    /// The one with this fingerprint, whatever names and dates are in it.
    Fingerprint(Fingerprint),
}

/// A text without certificates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no certificate in it: PEM with BEGIN CERTIFICATE is needed")]
pub struct NoCertificates;

impl Trust {
    /// To believe what leads to one of these certificates, in PEM.
    ///
    /// # Errors
    /// Where there are none.
    pub fn roots(pem: Vec<u8>) -> Result<Self, NoCertificates> {
        certificates(&pem)?;
        Ok(Self::Roots(pem))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, NoCertificates> {
    Certificate::from_pem_bundle(pem).ok().filter(|all| !all.is_empty()).ok_or(NoCertificates)
}

impl Access {
    /// The client that shows and believes this.
    pub(super) fn apply(&self, client: ClientBuilder) -> Result<ClientBuilder, TransportError> {
        let client = match &self.trust {
            Trust::System => client,
            Trust::Roots(pem) => {
                client.tls_certs_only(certificates(pem).map_err(|e| TransportError::Untrusted(e.to_string()))?)
            }
            Trust::Fingerprint(fingerprint) => client.tls_backend_preconfigured(pinned(*fingerprint)?),
        };
        let headers = self.token.iter().map(|token| (AUTHORIZATION, token.0.clone())).collect::<HeaderMap>();
        Ok(client.default_headers(headers))
    }
}

fn pinned(fingerprint: Fingerprint) -> Result<ClientConfig, TransportError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Pinned { fingerprint, provider: provider.clone() });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| TransportError::Untrusted(e.to_string()))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Believes one certificate. That the other side has its key too is checked as always.
#[derive(Debug)]
struct Pinned {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

/// The certificate is another one.
#[derive(Debug)]
struct OtherCertificate(Fingerprint);

impl fmt::Display for OtherCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its certificate has the fingerprint {}, not the one that is trusted", self.0)
    }
}

impl std::error::Error for OtherCertificate {}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint::of(end_entity);
        if shown == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        let other = OtherError(Arc::new(OtherCertificate(shown)));
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What is wrong with the other side's certificate, where that is why there is no connection.
pub(super) fn untrusted(e: &reqwest::Error) -> Option<String> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(e);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref() {
            return Some(match why {
                CertificateError::Other(other) => other.0.to_string(),
                CertificateError::UnknownIssuer => "nobody who is known here vouches for its certificate".to_owned(),
                why => why.to_string(),
            });
        }
        // An I/O error leaves out what it was made of when it names its source.
        next = match error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref()) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_word_that_does_not_show_itself() {
        let token = BearerToken::parse(" tol_abc_def\n").unwrap();
        assert_eq!(token.0, "Bearer tol_abc_def");
        let access = Access { token: Some(token), trust: Trust::System };
        assert!(!format!("{access:?}").contains("abc"), "{access:?}");
        for bad in ["", " ", "two words", "line\nline", "ümlaut", "a\0b"] {
            assert_eq!(BearerToken::parse(bad), Err(BadToken), "{bad:?}");
        }
    }
}
