//! Making and replacing the key of a role.

use std::fs;
use std::path::Path;
use std::time::Duration;

use net::{IdentityError, TlsIdentity, keys};
use rcgen::{CertificateParams, KeyPair};

use crate::peers::{YEAR, parameters};

const NAMES: [&str; 6] = ["key.pem", "cert.pem", "next-key.pem", "next-cert.pem", "old-key.pem", "old-cert.pem"];

/// What a folder holds, by name.
fn contents(folder: &Path) -> Vec<Option<Vec<u8>>> {
    NAMES.iter().map(|name| fs::read(folder.join(name)).ok()).collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Writes a key, and a certificate of `parameters` for it.
fn write(folder: &Path, parameters: &CertificateParams, (key_name, certificate_name): (&str, &str)) {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    write_key(&folder.join(key_name), &key.serialize_pem());
    fs::write(folder.join(certificate_name), parameters.self_signed(&key).unwrap().pem()).unwrap();
}

fn write_key(path: &Path, pem: &str) {
    fs::write(path, pem).unwrap();
    set_mode(path, 0o600);
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn expired() -> CertificateParams {
    let mut expired = parameters();
    expired.not_after = rcgen::date_time_ymd(2021, 3, 4);
    expired
}

#[test]
fn a_key_is_made_for_its_owner_only_and_never_overwritten() {
    let outer = folder();
    let folder = outer.path().join("party0/keys");
    let made = keys::create(&folder, "party0", YEAR).unwrap();
    assert_eq!(mode(&folder.join("key.pem")), 0o600);
    assert_eq!(mode(&folder) & 0o077, 0);
    let read = TlsIdentity::read(&folder).unwrap();
    assert_eq!((read.pin(), read.validity()), (made.pin(), made.validity()));
    let lasts = made.validity().not_after.duration_since(std::time::SystemTime::now()).unwrap();
    assert!(lasts <= YEAR && lasts > YEAR - Duration::from_secs(3600), "{lasts:?}");
    assert!(made.validity().not_before < std::time::SystemTime::now());
    let shown = keys::show(&folder).unwrap();
    assert_eq!((shown.current, shown.validity, shown.next), (made.pin(), made.validity(), None));

    let before = contents(&folder);
    let error = keys::create(&folder, "party0", YEAR).unwrap_err();
    assert!(matches!(error, IdentityError::Exists { pin: Some(pin), .. } if pin == made.pin()), "{error}");
    assert!(
        error.to_string().contains(&made.pin().to_string()) && error.to_string().contains("keys rotate"),
        "{error}"
    );
    fs::remove_file(folder.join("cert.pem")).unwrap();
    let error = keys::create(&folder, "party0", YEAR).unwrap_err();
    assert!(matches!(error, IdentityError::Exists { pin: None, .. }), "{error}");
    assert!(error.to_string().contains("its certificate is missing"), "{error}");
    assert_eq!(contents(&folder)[0], before[0]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing half written is left");
}

#[test]
fn of_two_that_make_a_key_at_once_one_does() {
    let folder = folder();
    let made: Vec<_> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..4).map(|_| scope.spawn(|| keys::create(folder.path(), "a", YEAR))).collect();
        makers.into_iter().filter_map(|maker| maker.join().unwrap().ok()).collect()
    });
    assert_eq!(made.len(), 1);
    assert_eq!(TlsIdentity::read(folder.path()).unwrap().pin(), made[0].pin());
}

#[test]
fn a_certificate_that_peers_would_not_take_is_not_made() {
    let folder = folder();
    let long = "x".repeat(65);
    let names = [("", YEAR), (long.as_str(), YEAR), ("a\nb", YEAR), ("a", Duration::ZERO), ("a", Duration::MAX)];
    for (name, valid) in names {
        let error = keys::create(folder.path(), name, valid).unwrap_err();
        assert!(matches!(error, IdentityError::Unusable { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    keys::create(folder.path(), "Krankenhaus Süd, party 0", 99 * YEAR).unwrap();
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folder = folder();
    keys::create(folder.path(), "a", YEAR).unwrap();
    let key = folder.path().join("key.pem");
    for bad in [0o644, 0o640, 0o604, 0o620] {
        set_mode(&key, bad);
        let error = TlsIdentity::read(folder.path()).unwrap_err();
        assert!(matches!(error, IdentityError::Exposed { mode, .. } if mode == bad), "{error}");
        assert!(error.to_string().contains(&format!("mode {bad:04o}")) && error.to_string().contains("chmod 600"));
    }
    for good in [0o600, 0o400] {
        set_mode(&key, good);
        TlsIdentity::read(folder.path()).unwrap();
    }
}

#[test]
fn what_cannot_be_used_is_named_with_its_file() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let error = || TlsIdentity::read(folder.path()).unwrap_err();
    let says = |file: &str, part: &str| {
        let message = error().to_string();
        assert!(message.contains(&path(file).display().to_string()) && message.contains(part), "{message}");
        assert!(!message.contains("PRIVATE"), "{message}");
    };
    says("key.pem", "no such file");
    keys::create(folder.path(), "a", YEAR).unwrap();
    let (key, certificate) = (fs::read_to_string(path("key.pem")).unwrap(), fs::read(path("cert.pem")).unwrap());

    fs::remove_file(path("cert.pem")).unwrap();
    says("cert.pem", "no such file");
    fs::write(path("cert.pem"), &certificate[..certificate.len() / 2]).unwrap();
    says("cert.pem", "not a certificate in PEM");
    // a certificate of no certificate
    fs::write(path("cert.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    says("cert.pem", "cannot be read");

    fs::write(path("cert.pem"), &certificate).unwrap();
    write_key(&path("key.pem"), &key[..key.len() / 2]);
    says("key.pem", "not a private key in PEM");
    write_key(&path("key.pem"), &KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem());
    says("key.pem", "not an Ed25519 key");
    write_key(&path("key.pem"), &KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem());
    assert!(matches!(error(), IdentityError::OtherKey { .. }));
    says("cert.pem", "not of the key in");

    write(folder.path(), &expired(), ("key.pem", "cert.pem"));
    says("cert.pem", "expired on 2021-03-04");
    let shown = keys::show(folder.path()).unwrap();
    assert!(shown.validity.not_after < std::time::SystemTime::now());
    let mut future = parameters();
    future.not_before = rcgen::date_time_ymd(3021, 3, 4);
    write(folder.path(), &future, ("key.pem", "cert.pem"));
    says("cert.pem", "not valid before 3021-03-04");
    let mut other = parameters();
    other.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
    write(folder.path(), &other, ("key.pem", "cert.pem"));
    assert!(matches!(error(), IdentityError::Refused { .. }));

    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    fs::write(path("cert.pem"), parameters().self_signed(&key).unwrap().pem()).unwrap();
    says("cert.pem", "not for an Ed25519 key");
}

#[test]
fn a_key_is_replaced_in_two_steps() {
    let folder = folder();
    let old = keys::create(folder.path(), "a", YEAR).unwrap().pin();
    assert!(matches!(keys::activate(folder.path()), Err(IdentityError::NoNext { .. })));
    let first = contents(folder.path());
    let next = keys::prepare(folder.path(), "a", YEAR).unwrap();
    assert_ne!(old, next);
    assert_eq!(mode(&folder.path().join("next-key.pem")), 0o600);
    assert_eq!(TlsIdentity::read(folder.path()).unwrap().pin(), old, "nothing changes yet");
    assert_eq!(keys::show(folder.path()).unwrap().next.unwrap().0, next);

    let prepared = contents(folder.path());
    let error = keys::prepare(folder.path(), "a", YEAR).unwrap_err();
    assert!(matches!(error, IdentityError::Exists { pin: Some(pin), .. } if pin == next), "{error}");
    assert!(error.to_string().contains(&next.to_string()) && error.to_string().contains("activate"), "{error}");
    assert_eq!(contents(folder.path()), prepared);

    assert_eq!(keys::activate(folder.path()).unwrap(), (old, next));
    assert_eq!(TlsIdentity::read(folder.path()).unwrap().pin(), next);
    assert_eq!(keys::show(folder.path()).unwrap().next, None);
    let after = contents(folder.path());
    assert_eq!(after[..4], [prepared[2].clone(), prepared[3].clone(), None, None]);
    assert_eq!(after[4..], first[..2], "the old pair is kept");
    for key in ["key.pem", "old-key.pem"] {
        assert_eq!(mode(&folder.path().join(key)), 0o600);
    }
    assert!(matches!(keys::activate(folder.path()), Err(IdentityError::NoNext { .. })));
    // and again, over the old pair of before
    let third = keys::prepare(folder.path(), "a", YEAR).unwrap();
    assert_eq!(keys::activate(folder.path()).unwrap(), (next, third));
}

#[test]
fn an_interrupted_activation_is_finished_by_the_next() {
    // after how many of its steps it is interrupted
    for steps in 0..=3 {
        let folder = folder();
        let path = |name: &str| folder.path().join(name);
        let old = keys::create(folder.path(), "a", YEAR).unwrap().pin();
        let next = keys::prepare(folder.path(), "a", YEAR).unwrap();
        let all: [&dyn Fn(); 3] = [
            &|| assert!(fs::copy(path("key.pem"), path("old-key.pem")).is_ok()),
            &|| assert!(fs::copy(path("cert.pem"), path("old-cert.pem")).is_ok()),
            &|| fs::rename(path("next-key.pem"), path("key.pem")).unwrap(),
        ];
        all[..steps].iter().for_each(|step| step());
        // but for the moment between the two renames a key is in place
        assert_eq!(TlsIdentity::read(folder.path()).map(|identity| identity.pin()).ok(), (steps < 3).then_some(old));
        assert_eq!(keys::activate(folder.path()).unwrap(), (old, next), "{steps}");
        assert_eq!(TlsIdentity::read(folder.path()).unwrap().pin(), next);
        assert_eq!(contents(folder.path())[2..4], [None, None]);
    }
}

#[test]
fn an_activation_that_fails_in_the_middle_leaves_a_key_in_place() {
    let folder = folder();
    let old = keys::create(folder.path(), "a", YEAR).unwrap().pin();
    let next = keys::prepare(folder.path(), "a", YEAR).unwrap();
    // its second step cannot be done
    fs::create_dir(folder.path().join("old-cert.pem")).unwrap();
    let error = keys::activate(folder.path()).unwrap_err();
    assert!(error.to_string().contains("old-cert.pem"), "{error}");
    assert_eq!(TlsIdentity::read(folder.path()).unwrap().pin(), old);
    fs::remove_dir(folder.path().join("old-cert.pem")).unwrap();
    assert_eq!(keys::activate(folder.path()).unwrap(), (old, next));
}

#[test]
fn a_next_key_that_cannot_be_used_is_not_put_in_place() {
    let folder = folder();
    keys::create(folder.path(), "a", YEAR).unwrap();
    write(folder.path(), &expired(), ("next-key.pem", "next-cert.pem"));
    let before = contents(folder.path());
    assert!(matches!(keys::activate(folder.path()), Err(IdentityError::Refused { .. })));
    fs::remove_file(folder.path().join("next-key.pem")).unwrap();
    assert!(matches!(keys::activate(folder.path()), Err(IdentityError::Refused { .. })));
    write(folder.path(), &parameters(), ("next-key.pem", "next-cert.pem"));
    fs::remove_file(folder.path().join("next-key.pem")).unwrap();
    assert!(matches!(keys::activate(folder.path()), Err(IdentityError::OtherKey { .. })), "it is of another key");
    assert_eq!(contents(folder.path())[..2], before[..2]);
}

#[test]
fn an_expired_key_can_be_replaced_and_its_certificate_alone_is_shown() {
    let folder = folder();
    write(folder.path(), &expired(), ("key.pem", "cert.pem"));
    let old = keys::show(folder.path()).unwrap().current;
    let next = keys::prepare(folder.path(), "a", YEAR).unwrap();
    assert_eq!(keys::activate(folder.path()).unwrap(), (old, next));
    fs::remove_file(folder.path().join("key.pem")).unwrap();
    assert_eq!(keys::show(folder.path()).unwrap().current, next);
}

#[test]
fn a_key_is_not_printed() {
    let folder = folder();
    let identity = keys::create(folder.path(), "a", YEAR).unwrap();
    assert_eq!(format!("{identity:?}"), format!("TlsIdentity({})", identity.pin()));
    assert_eq!(format!("{:?}", identity.clone()), format!("{identity:?}"));
}
