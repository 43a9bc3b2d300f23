//! Where this machine keeps PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::error::{LocalError, at};

const VERSION_MIN: u32 = 15;

/// The programs of one installed version.
#[derive(Debug)]
pub(super) struct Binaries {
    pub initdb: PathBuf,
    pub postgres: PathBuf,
    /// Major version.
    pub version: u32,
}

impl Binaries {
    /// The folder in `OTTERY_PG_BIN`, else the newest of PATH and /usr/lib/postgresql; when the data folder was made by
    /// some version, that one.
    pub fn find(data_version: Option<u32>) -> Result<Self, LocalError> {
        if let Some(folder) = std::env::var_os("OTTERY_PG_BIN").filter(|folder| !folder.is_empty()) {
            let found = Self::inside(Path::new(&folder))?.ok_or_else(|| LocalError::Missing {
                program: "PostgreSQL",
                searched: format!("OTTERY_PG_BIN={}", Path::new(&folder).display()),
                way_out: "name a folder that holds initdb and postgres",
            })?;
            return found.fit_for(data_version);
        }
        let mut found = Vec::new();
        for folder in candidates() {
            found.extend(Self::inside(&folder)?);
        }
        found.sort_by_key(|binaries| binaries.version);
        if let Some(wanted) = data_version
            && let Some(position) = found.iter().position(|binaries| binaries.version == wanted)
        {
            return Ok(found.swap_remove(position));
        }
        let newest = found.pop().ok_or_else(|| LocalError::Missing {
            program: "PostgreSQL",
            searched: "OTTERY_PG_BIN, PATH, /usr/lib/postgresql/*/bin".to_owned(),
            way_out: "install PostgreSQL 15 or newer (`make setup` does), or use an existing server with --database-url",
        })?;
        newest.fit_for(data_version)
    }

    fn inside(folder: &Path) -> Result<Option<Self>, LocalError> {
        let (initdb, postgres) = (folder.join("initdb"), folder.join("postgres"));
        if !initdb.is_file() || !postgres.is_file() {
            return Ok(None);
        }
        let output = Command::new(&postgres)
            .arg("--version")
            .output()
            .map_err(at(format!("ask {} for its version", postgres.display())))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = parse_version(&text).ok_or_else(|| {
            LocalError::Version(format!("{} names no version: '{}'", postgres.display(), text.trim()))
        })?;
        Ok(Some(Self { initdb, postgres, version }))
    }

    fn fit_for(self, data_version: Option<u32>) -> Result<Self, LocalError> {
        if self.version < VERSION_MIN {
            return Err(LocalError::Version(format!(
                "{} is PostgreSQL {}, {VERSION_MIN} or newer is needed: install it, or name its folder in OTTERY_PG_BIN",
                self.postgres.display(),
                self.version,
            )));
        }
        match data_version {
            Some(data) if data != self.version => Err(LocalError::Version(format!(
                "the data was written by PostgreSQL {data}, but only {} is installed: install {data} or name its folder \
                 in OTTERY_PG_BIN, then upgrade with pg_upgrade or a dump",
                self.version,
            ))),
            _ => Ok(self),
        }
    }
}

fn candidates() -> Vec<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&paths).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    folders
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` is 15.
fn parse_version(text: &str) -> Option<u32> {
    let number = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_the_server_says() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta2"), Some(18));
        assert_eq!(parse_version("nonsense"), None);
    }

    #[test]
    fn data_of_another_version_is_not_touched() {
        let binaries = Binaries { initdb: "initdb".into(), postgres: "postgres".into(), version: 17 };
        let refused = binaries.fit_for(Some(15)).unwrap_err().to_string();
        assert!(refused.contains("PostgreSQL 15") && refused.contains("OTTERY_PG_BIN"), "{refused}");
    }
}
