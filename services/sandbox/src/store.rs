//! Keys and JSON values, in memory or behind a journal file that survives a killed process.
//!
//! The journal is a text file of JSON lines. A line is one change: a list of `[key, value]` pairs, `null` meaning
//! "removed", applied all or not at all. A line cut short by a crash is the last one and is dropped on the next start.
//! When dead lines outnumber living keys the file is rewritten beside itself and renamed into place.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Lines a journal may hold before it is worth rewriting at all.
const COMPACT_MIN_LINES: usize = 4096;

/// One atomic change.
#[derive(Debug, Default)]
pub struct Change(Vec<(String, Value)>);

impl Change {
    /// Adds or replaces a value.
    pub fn put(&mut self, key: impl Into<String>, value: &impl Serialize) -> &mut Self {
        let value = serde_json::to_value(value).expect("sandbox state is plain data");
        self.0.push((key.into(), value));
        self
    }

    /// Removes a value.
    pub fn delete(&mut self, key: impl Into<String>) -> &mut Self {
        self.0.push((key.into(), Value::Null));
        self
    }
}

/// What went wrong with the journal file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be opened, read or written.
    #[error("sandbox journal {path}: {source}; check that the folder exists and is writable")]
    Io {
        /// The journal.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A line in the middle is not a change.
    #[error("sandbox journal {path}: line {line} is damaged; move the file away to start with an empty sandbox")]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// 1-based.
        line: usize,
    },
}

#[derive(Debug)]
struct Journal {
    path: PathBuf,
    file: File,
    lines: usize,
    live: BTreeMap<String, Value>,
}

/// The sandbox's memory.
#[derive(Debug, Default)]
pub struct Store(Option<Mutex<Journal>>);

impl Store {
    /// Nothing is kept over a restart.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(None)
    }

    /// Opens or creates the journal at `path` and replays it.
    ///
    /// # Errors
    /// When the file cannot be used, or is damaged anywhere but in its last line.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let io_error = |source| StoreError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(io_error)?;
        }
        let mut live = BTreeMap::new();
        let mut lines = 0;
        let mut good_bytes: u64 = 0;
        if path.exists() {
            let mut reader = BufReader::new(File::open(path).map_err(io_error)?);
            let mut line = Vec::new();
            loop {
                line.clear();
                let read = reader.read_until(b'\n', &mut line).map_err(io_error)?;
                if read == 0 {
                    break;
                }
                let change: Option<Vec<(String, Value)>> =
                    line.ends_with(b"\n").then(|| serde_json::from_slice(&line).ok()).flatten();
                let Some(change) = change else {
                    let rest = reader.fill_buf().map_err(io_error)?;
                    if rest.is_empty() {
                        break;
                    }
                    return Err(StoreError::Damaged { path: path.to_owned(), line: lines + 1 });
                };
                apply(&mut live, change);
                lines += 1;
                good_bytes += read as u64;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(io_error)?;
        file.set_len(good_bytes).map_err(io_error)?;
        Ok(Self(Some(Mutex::new(Journal { path: path.to_owned(), file, lines, live }))))
    }

    /// Everything below `prefix`, in key order; values of another shape are skipped.
    #[must_use]
    pub fn load<T: DeserializeOwned>(&self, prefix: &str) -> Vec<(String, T)> {
        let Some(journal) = &self.0 else { return Vec::new() };
        let journal = journal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        journal
            .live
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter_map(|(key, value)| {
                let parsed = serde_json::from_value(value.clone()).ok()?;
                Some((key[prefix.len()..].to_owned(), parsed))
            })
            .collect()
    }

    /// One value.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let journal = self.0.as_ref()?.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        journal.live.get(key).and_then(|value| serde_json::from_value(value.clone()).ok())
    }

    /// Writes a change through to the operating system before returning.
    pub fn commit(&self, change: Change) {
        let Some(journal) = &self.0 else { return };
        if change.0.is_empty() {
            return;
        }
        let mut journal = journal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut line = serde_json::to_vec(&change.0).expect("sandbox state is plain data");
        line.push(b'\n');
        if let Err(error) = journal.file.write_all(&line) {
            tracing::error!(path = %journal.path.display(), %error, "sandbox journal not written; state is in memory only");
            return;
        }
        journal.lines += 1;
        apply(&mut journal.live, change.0);
        if journal.lines > COMPACT_MIN_LINES
            && journal.lines > 3 * journal.live.len()
            && let Err(error) = journal.compact()
        {
            tracing::warn!(path = %journal.path.display(), %error, "sandbox journal not compacted; tried again later");
        }
    }
}

impl Journal {
    fn compact(&mut self) -> io::Result<()> {
        let fresh = self.path.with_extension("compacting");
        let mut writer = BufWriter::new(File::create(&fresh)?);
        for entry in &self.live {
            serde_json::to_writer(&mut writer, &[entry])?;
            writer.write_all(b"\n")?;
        }
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.lines = self.live.len();
        Ok(())
    }
}

fn apply(live: &mut BTreeMap<String, Value>, change: Vec<(String, Value)>) {
    for (key, value) in change {
        if value.is_null() {
            live.remove(&key);
        } else {
            live.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &Store, key: &str, value: i64) {
        let mut change = Change::default();
        change.put(key, &value);
        store.commit(change);
    }

    #[test]
    fn a_line_cut_by_a_crash_is_dropped_and_writing_goes_on() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("sandbox.journal");
        put(&Store::open(&path).expect("opens"), "a", 1);
        let mut file = OpenOptions::new().append(true).open(&path).expect("opens");
        file.write_all(b"[[\"b\",2").expect("writes");
        let store = Store::open(&path).expect("opens");
        assert_eq!(store.get::<i64>("b"), None);
        put(&store, "c", 3);
        let store = Store::open(&path).expect("opens");
        assert_eq!(store.get::<i64>("a"), Some(1));
        assert_eq!(store.get::<i64>("c"), Some(3));
    }

    #[test]
    fn compaction_keeps_the_last_value_of_every_key() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("sandbox.journal");
        let store = Store::open(&path).expect("opens");
        for round in 0..6000 {
            put(&store, if round % 2 == 0 { "even" } else { "odd" }, round);
        }
        drop(store);
        let lines = fs::read_to_string(&path).expect("reads").lines().count();
        assert!(lines < 5000, "{lines} lines were kept");
        let store = Store::open(&path).expect("opens");
        assert_eq!(store.load::<i64>(""), vec![("even".into(), 5998), ("odd".into(), 5999)]);
    }
}
