//! Which user a server runs as: ours, or an unprivileged one when we are root.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::{LocalError, at};

/// An unprivileged user of this machine.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// Whether this process runs as root.
pub(super) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The user to step down to: none when this process is already unprivileged.
pub(super) fn step_down(program: &'static str) -> Result<Option<Account>, LocalError> {
    if !is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(at("read /etc/passwd"))?;
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| lookup(&users, name))
        .map(Some)
        .ok_or(LocalError::NoAccount { program })
}

fn lookup(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { name: name.to_owned(), uid, gid })
    })
}

/// Gives a file or folder to the account.
pub(super) fn give(path: &Path, account: Option<&Account>) -> Result<(), LocalError> {
    let Some(account) = account else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid)).map_err(at(format!(
        "give {} to user '{}'",
        path.display(),
        account.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_from_the_system_table() {
        let users = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:admin,,,:/var/lib/postgresql:/bin/bash\n";
        let account = lookup(users, "postgres").expect("listed");
        assert_eq!((account.uid, account.gid), (101, 104));
        assert!(lookup(users, "nobody").is_none());
    }
}
