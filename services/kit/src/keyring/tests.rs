use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::secret::Secret;

fn place() -> Place<'static> {
    Place {
        table: "panel",
        column: "password_sealed",
        row: Uuid::from_u128(7),
        brand: Some(BrandId::from_uuid(Uuid::from_u128(1))),
    }
}

#[test]
fn secure_s17_a_sealed_value_opens_only_where_it_was_put() {
    let keyring = Keyring::ephemeral();
    let sealed = keyring.seal(&place(), b"panel password");
    assert_eq!(keyring.open(&place(), &sealed).unwrap().as_slice(), b"panel password");
    for elsewhere in [
        Place { row: Uuid::from_u128(8), ..place() },
        Place { table: "gateway", ..place() },
        Place { column: "user_sealed", ..place() },
        Place { brand: Some(BrandId::from_uuid(Uuid::from_u128(2))), ..place() },
        Place { brand: None, ..place() },
        // The same letters cut elsewhere must not read the same.
        Place { table: "panelp", column: "assword_sealed", ..place() },
    ] {
        assert_eq!(keyring.open(&elsewhere, &sealed), Err(SealError::NotAuthentic), "{elsewhere:?}");
    }
}

#[test]
fn secure_s17_any_changed_byte_is_noticed() {
    let keyring = Keyring::ephemeral();
    let sealed = keyring.seal(&place(), b"panel password");
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert!(keyring.open(&place(), &changed).is_err(), "byte {index}");
    }
    for length in 0..sealed.len() {
        assert!(keyring.open(&place(), &sealed[..length]).is_err(), "length {length}");
    }
    assert!(!sealed.windows(5).any(|window| window == b"panel"));
    assert_ne!(sealed, keyring.seal(&place(), b"panel password"), "equal values must not look equal");
}

#[test]
fn secure_s17_rotation_rewraps_and_the_old_key_can_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let old = Keyring::create_file(&path).unwrap();
    let sealed = old.seal(&place(), b"secret");
    let hash = old.keyed_hash("session", b"token");

    let file = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{}\n{file}", *Keyring::new_key_line())).unwrap();
    let both = Keyring::from_file(&path).unwrap();
    assert_ne!(both.current(), old.current());
    let rewrapped = both.rewrap(&place(), &sealed).unwrap().unwrap();
    assert_eq!(both.rewrap(&place(), &rewrapped), Ok(None));

    let without_old: Vec<_> = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with(&format!("key {}", old.current())))
        .map(str::to_owned)
        .collect();
    let new = Keyring::from_secret(&Secret::new(without_old.join("\n"))).unwrap();
    assert_eq!(new.open_text(&place(), &rewrapped).unwrap().expose(), "secret");
    assert_eq!(new.open(&place(), &sealed), Err(SealError::UnknownKey(old.current())));
    assert!(new.verify_hash("session", b"token", &hash), "hashes outlive the rotation");
}

#[test]
fn secure_s36_a_key_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    Keyring::create_file(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(Keyring::create_file(&path).is_err(), "an existing file is never replaced");
    for mode in [0o640, 0o604, 0o644, 0o660, 0o610] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let refused = Keyring::from_file(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    assert!(Keyring::from_file(&path).is_ok());
}

#[test]
fn key_lines_that_are_damaged_are_named_without_showing_them() {
    let line = Keyring::new_key_line();
    let other = Keyring::new_key_line();
    let id = other.split(' ').nth(1).unwrap();
    let key = line.split(' ').nth(2).unwrap();
    let pepper = format!("pepper {key}");
    for lines in [
        String::new(),
        line.to_string(),
        pepper.clone(),
        format!("key {id} {key}\n{pepper}"),
        format!("{}\n{}\n{pepper}", *line, *line),
        format!("{}\n{pepper}\n{pepper}", *line),
        format!("{}\n{pepper}\nfoo bar", *line),
        format!("{}x\n{pepper}", *line),
        format!("key {id} c2hvcnQ=\n{pepper}"),
    ] {
        let refused = Keyring::from_secret(&Secret::new(lines)).unwrap_err().to_string();
        assert!(!refused.contains(key), "{refused}");
    }
    assert!(Keyring::from_secret(&Secret::new(format!("# note\n\n{}\n{pepper}", *line))).is_ok());
}

#[test]
fn keyed_hashes_depend_on_purpose_data_and_pepper() {
    let keyring = Keyring::ephemeral();
    let hash = keyring.keyed_hash("session", b"token");
    assert!(keyring.verify_hash("session", b"token", &hash));
    assert!(!keyring.verify_hash("reset", b"token", &hash));
    assert!(!keyring.verify_hash("session", b"other", &hash));
    assert!(!keyring.verify_hash("session", b"token", &hash[..31]));
    assert!(!Keyring::ephemeral().verify_hash("session", b"token", &hash));
}

#[test]
fn secure_s17_a_signature_follows_the_rotation_of_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let old = Keyring::create_file(&path).unwrap();
    let (key, signed) = old.sign("link", b"data");
    assert!(old.verify("link", KeyId::from_bytes(key.to_bytes()), b"data", &signed));
    assert!(!old.verify("other", key, b"data", &signed));
    assert!(!old.verify("link", key, b"date", &signed));
    assert!(!old.verify("link", key, b"data", &signed[..31]));

    let file = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{}\n{file}", *Keyring::new_key_line())).unwrap();
    let both = Keyring::from_file(&path).unwrap();
    assert!(both.verify("link", key, b"data", &signed), "the old key still stands in the file");
    let (new, fresh) = both.sign("link", b"data");
    assert_ne!(new, key);
    assert!(!old.verify("link", new, b"data", &fresh));
    let gone: Vec<_> = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with(&format!("key {key}")))
        .map(str::to_owned)
        .collect();
    let alone = Keyring::from_secret(&Secret::new(gone.join("\n"))).unwrap();
    assert!(!alone.verify("link", key, b"data", &signed), "with its line, its signatures went");
    assert!(alone.verify("link", new, b"data", &fresh));
}

#[test]
fn derivation_follows_rfc_5869_for_one_block() {
    // Appendix A.1 of RFC 5869, first block: the same two steps with its salt and info.
    let ikm = [0x0b; 22];
    let salt: Vec<u8> = (0x00..=0x0c).collect();
    let info: Vec<u8> = (0xf0..=0xf9).collect();
    let extracted = derive::hmac(&salt, &[&ikm]);
    let block = derive::hmac(&extracted, &[&info, &[1]]);
    assert_eq!(hex::encode(block), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

#[test]
fn debug_shows_key_ids_only() {
    let shown = format!("{:?}", Keyring::ephemeral());
    assert!(shown.starts_with("Keyring { keys: [") && shown.len() < 60, "{shown}");
}
