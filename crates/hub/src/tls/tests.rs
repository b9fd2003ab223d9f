use tempfile::TempDir;

use super::*;

fn own(names: &[&str]) -> TlsOptions {
    TlsOptions::SelfSigned { names: names.iter().map(|name| (*name).to_owned()).collect() }
}

#[test]
fn its_own_certificate_is_made_once() {
    let room = TempDir::new().unwrap();
    let options = own(&["hub.example", "192.0.2.1"]);
    let first = Certificates::load(&options, room.path()).unwrap();
    let again = Certificates::load(&options, room.path()).unwrap();
    assert_eq!(first.fingerprint(), again.fingerprint());
    let current = first.current();
    let certificate = ParsedCertificate::try_from(&current.cert[0]).unwrap();
    for name in ["hub.example", "192.0.2.1", "localhost", "127.0.0.1", "::1"] {
        rustls::client::verify_server_name(&certificate, &name.try_into().unwrap()).unwrap();
    }
    let other = "other.example".try_into().unwrap();
    assert!(rustls::client::verify_server_name(&certificate, &other).is_err());
    #[cfg(unix)]
    for name in [SELF_SIGNED, SELF_SIGNED_KEY] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(room.path().join(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn files_are_read_again_and_kept_where_they_are_bad() {
    let (room, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    self_signed(room.path(), &[]).unwrap();
    self_signed(other.path(), &[]).unwrap();
    let (certificate, key) = (room.path().join(SELF_SIGNED), room.path().join(SELF_SIGNED_KEY));
    let options = TlsOptions::Files { certificate: certificate.clone(), key: key.clone() };
    let live = Certificates::load(&options, room.path()).unwrap();
    let first = live.fingerprint();
    fs::copy(other.path().join(SELF_SIGNED), &certificate).unwrap();
    assert!(matches!(live.reload(), Err(TlsError::Mismatch { .. })));
    assert_eq!(live.fingerprint(), first);
    fs::copy(other.path().join(SELF_SIGNED_KEY), &key).unwrap();
    live.reload().unwrap();
    assert_ne!(live.fingerprint(), first);
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let room = TempDir::new().unwrap();
    let (good, good_key) = self_signed(room.path(), &[]).unwrap();
    let write = |name: &str, text: &str| {
        let path = room.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let garbled = write("garbled.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let cut = write("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let locked =
        write("locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let missing = room.path().join("missing.pem");
    let why = |certificate: &Path, key: &Path| {
        let options = TlsOptions::Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let said = Certificates::load(&options, room.path()).unwrap_err().to_string();
        said.replace(&room.path().display().to_string(), "ROOM")
    };
    let said = [
        why(&missing, &good_key),
        why(&good_key, &good_key),
        why(&garbled, &good_key),
        why(&cut, &good_key),
        why(&good, &missing),
        why(&good, &good),
        why(&good, &locked),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    ROOM/missing.pem: No such file or directory (os error 2)
    ROOM/tls-key.pem: there is no certificate in it: PEM with BEGIN CERTIFICATE is needed
    ROOM/garbled.pem: its first certificate cannot be used: it is malformed
    ROOM/cut.pem: this is not whole PEM: an END line is missing
    ROOM/missing.pem: No such file or directory (os error 2)
    ROOM/tls-cert.pem: there is no private key in it: PEM with BEGIN PRIVATE KEY is needed, without a password
    ROOM/locked.pem: there is no private key in it: PEM with BEGIN PRIVATE KEY is needed, without a password
    ");
}
