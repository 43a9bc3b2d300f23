//! The key file: a few lines of text, readable by its owner only.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Key, Keyring, Keys, derive};
use crate::secret::{Secret, random_bytes};

const INTRODUCTION: &str = "\
# Keys of this Ottery installation. Without this file no stored password or credential can be read again:
# keep a copy apart from the database's backups.
# `key` lines: the first one seals, all of them open. To rotate, put a new line on top.
# The `pepper` line keys the hashes of tokens and must never change.
";

/// Why the keys could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file is missing or unreadable.
    #[error("cannot read the key file {path}; set the setting to an existing file or let setup create one")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file could not be created.
    #[error("cannot write the key file {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others than the owner may read the file.
    #[error("the key file {path} can be read by others (mode {mode:03o}); run: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A line is not understood; the line itself is not shown.
    #[error(
        "line {line} of the keys is not understood: expected `key <id> <base64 of 32 bytes>` or `pepper <base64 of 32 bytes>`"
    )]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// A key's id is not the one that belongs to it.
    #[error("line {line} of the keys is damaged: the id does not belong to the key")]
    Damaged {
        /// Counted from 1.
        line: usize,
    },
    /// A line is there twice, or one that must be there is missing.
    #[error("the keys need at least one `key` line, each only once, and exactly one `pepper` line")]
    Incomplete,
}

impl Keyring {
    /// Reads a key file; refuses one that its group or others may read.
    ///
    /// # Errors
    /// When the file is missing, exposed or not understood.
    pub fn from_file(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Read { path: path.to_owned(), source };
        // The mode is asked of the opened file, so that nobody swaps it in between.
        let mut file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text)
    }

    /// Reads the lines of a key file given as a secret setting, for platforms that mount no private files.
    ///
    /// # Errors
    /// When the lines are not understood.
    pub fn from_secret(lines: &Secret) -> Result<Self, KeyFileError> {
        Self::parse(lines.expose())
    }

    /// Writes a new key file with a fresh key and pepper, mode 600; an existing file is never touched.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn create_file(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Write { path: path.to_owned(), source };
        let pepper = Zeroizing::new(STANDARD.encode(random_bytes::<32>()));
        let text = Zeroizing::new(format!("{INTRODUCTION}{}\npepper {}\n", *Self::new_key_line(), *pepper));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Self::parse(&text)
    }

    /// A fresh `key` line to put on top of a key file when rotating.
    #[must_use]
    pub fn new_key_line() -> Zeroizing<String> {
        let key = random_bytes::<32>();
        Zeroizing::new(format!("key {} {}", derive::key_id(&key), *Zeroizing::new(STANDARD.encode(key))))
    }

    /// A keyring of fresh keys that are kept nowhere: for tests, and for work on copies that may open nothing real.
    #[must_use]
    pub fn ephemeral() -> Self {
        let bytes = random_bytes::<32>();
        let key = Key { id: derive::key_id(&bytes), bytes };
        Self(Arc::new(Keys { keys: vec![key], pepper: random_bytes::<32>() }))
    }

    fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut keys: Vec<Key> = Vec::new();
        let mut pepper = None;
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            let words: Vec<&str> = text.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["key", id, key] => {
                    let bytes = decode(key, line)?;
                    let key = Key { id: derive::key_id(&bytes), bytes };
                    if key.id.to_string() != *id {
                        return Err(KeyFileError::Damaged { line });
                    }
                    if keys.iter().any(|known| known.id == key.id) {
                        return Err(KeyFileError::Incomplete);
                    }
                    keys.push(key);
                }
                ["pepper", bytes] => {
                    if pepper.replace(decode(bytes, line)?).is_some() {
                        return Err(KeyFileError::Incomplete);
                    }
                }
                _ => return Err(KeyFileError::Line { line }),
            }
        }
        match pepper {
            Some(pepper) if !keys.is_empty() => Ok(Self(Arc::new(Keys { keys, pepper }))),
            _ => Err(KeyFileError::Incomplete),
        }
    }
}

fn decode(text: &str, line: usize) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| KeyFileError::Line { line })?);
    let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| KeyFileError::Line { line })?;
    Ok(Zeroizing::new(bytes))
}
