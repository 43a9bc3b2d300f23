//! Settings of identity; `config.default.toml` says what each means.

use serde::{Deserialize, Serialize};

/// Settings of identity.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Memory of one password hash, in KiB.
    pub password_memory_kib: u32,
    /// Passes over that memory.
    pub password_passes: u32,
    /// Lanes.
    pub password_lanes: u32,
    /// Hashes that may wait.
    pub password_queue: usize,
    /// Tries from one address in a minute.
    pub tries_per_address_per_minute: u32,
    /// Tries to sign in from everywhere in a minute.
    pub tries_per_minute: u32,
    /// New accounts from one address in an hour.
    pub sign_ups_per_address_per_hour: u32,
    /// Mails of one kind to one mailbox in an hour.
    pub mails_per_account_per_hour: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_complete() {
        let config: Config = toml::from_str(crate::DEFAULTS).unwrap();
        assert_eq!((config.password_memory_kib, config.password_passes, config.password_lanes), (65_536, 3, 1));
    }
}
