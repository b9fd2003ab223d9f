//! TLS: where the certificate comes from, and how it is renewed while the hub serves.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tolstoy_proto::Fingerprint;

use crate::auth::give_to_owner_of;

/// The self-signed certificate and its key, in the data directory.
const SELF_SIGNED: &str = "tls-cert.pem";
const SELF_SIGNED_KEY: &str = "tls-key.pem";

/// Where a hub's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsOptions {
    /// From files, in PEM.
    Files {
        /// The certificate, and those that lead from it to one that clients know.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Made by the hub for itself, once, and kept in the data directory. Clients know it by its fingerprint.
    SelfSigned {
        /// The names and addresses that it is for, where it is made now; those of loopback are added.
        names: Vec<String>,
    },
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{}: {why}", .path.display())]
    Bad {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The certificate and the key are each fine, but not of each other.
    #[error("the key in {} is not that of the certificate in {}", .key.display(), .certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// No certificate could be made for these names.
    #[error("no certificate can be made: {0}")]
    Make(String),
}

/// A hub's certificate, which may be replaced while it serves.
#[derive(Debug)]
pub(crate) struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads the certificate, or makes it.
    pub(crate) fn load(options: &TlsOptions, directory: &Path) -> Result<Arc<Self>, TlsError> {
        let (certificate, key) = match options {
            TlsOptions::Files { certificate, key } => (certificate.clone(), key.clone()),
            TlsOptions::SelfSigned { names } => self_signed(directory, names)?,
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = RwLock::new(Arc::new(read(&certificate, &key, &provider)?));
        let this = Self { certificate, key, provider, current };
        if let TlsOptions::SelfSigned { names } = options {
            this.warn_of_names(names);
        }
        Ok(Arc::new(this))
    }

    /// Reads the files again. Where that fails the certificate stays the one it was.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let new = Arc::new(read(&self.certificate, &self.key, &self.provider)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// The fingerprint of the certificate that is shown now.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        // There is one in every file that was read.
        Fingerprint::of(self.current().cert.first().map_or(&[], |certificate| certificate.as_ref()))
    }

    /// How to answer a handshake.
    pub(crate) fn server(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| TlsError::Make(error.to_string()))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn current(&self) -> Arc<CertifiedKey> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A certificate that was made earlier may lack names that are asked for now.
    fn warn_of_names(&self, names: &[String]) {
        let current = self.current();
        let Some(certificate) = current.cert.first().and_then(|der| ParsedCertificate::try_from(der).ok()) else {
            return;
        };
        for name in names {
            let covered = ServerName::try_from(name.as_str())
                .is_ok_and(|name| rustls::client::verify_server_name(&certificate, &name).is_ok());
            if !covered {
                tracing::warn!(
                    name,
                    file = %self.certificate.display(),
                    "the certificate was made without this name: clients that know its fingerprint do not mind; delete the \
                     file to have another made"
                );
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

fn read(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let bad = |path: &Path, why: String| TlsError::Bad { path: path.to_owned(), why };
    let text = |path: &Path| fs::read(path).map_err(|source| TlsError::Io { path: path.to_owned(), source });
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(certificate, no_pem(&error)))?;
    let Some(first) = chain.first() else {
        return Err(bad(certificate, "there is no certificate in it: PEM with BEGIN CERTIFICATE is needed".to_owned()));
    };
    ParsedCertificate::try_from(first).map_err(|error| {
        let why = match error {
            rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding) => "it is malformed".to_owned(),
            error => error.to_string(),
        };
        bad(certificate, format!("its first certificate cannot be used: {why}"))
    })?;
    let private = PrivateKeyDer::from_pem_slice(&text(key)?).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => bad(
            key,
            "there is no private key in it: PEM with BEGIN PRIVATE KEY is needed, without a password".to_owned(),
        ),
        error => bad(key, no_pem(&error)),
    })?;
    let signer = provider
        .key_provider
        .load_private_key(private)
        .map_err(|error| bad(key, format!("this kind of private key cannot be used: {error}")))?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(_) => Err(TlsError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() }),
    }
}

/// What is wrong with a text that should be PEM. Nothing of the text is repeated.
fn no_pem(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error as E;
    match error {
        E::MissingSectionEnd { .. } => "this is not whole PEM: an END line is missing".to_owned(),
        E::IllegalSectionStart { .. } => "this is not PEM: a BEGIN line is malformed".to_owned(),
        E::Base64Decode(_) => "this is not PEM: what stands between BEGIN and END is not base64".to_owned(),
        error => format!("this is not PEM: {error}"),
    }
}

/// The hub's own certificate; it is made where it is not there yet.
fn self_signed(directory: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key) = (directory.join(SELF_SIGNED), directory.join(SELF_SIGNED_KEY));
    if certificate.exists() {
        return Ok((certificate, key));
    }
    let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    all.extend(names.iter().filter(|name| !all.contains(name)).cloned().collect::<Vec<_>>());
    let failed = |error: rcgen::Error| TlsError::Make(error.to_string());
    let pair = rcgen::KeyPair::generate().map_err(failed)?;
    let mut params = rcgen::CertificateParams::new(all).map_err(failed)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "a Tolstoy hub");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    // It is known by its fingerprint, and no date makes it better or worse.
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(4096, 1, 1));
    let signed = params.self_signed(&pair).map_err(failed)?;
    // The certificate last: where it is there, the key is too.
    keep(directory, &key, &pair.serialize_pem())?;
    keep(directory, &certificate, &signed.pem())?;
    Ok((certificate, key))
}

/// Writes a file that only the directory's owner can read.
fn keep(directory: &Path, path: &Path, text: &str) -> Result<(), TlsError> {
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".tls-").tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        give_to_owner_of(directory, file.as_file())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        fs::File::open(directory)?.sync_all()
    };
    write().map_err(|source: io::Error| TlsError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
