//! Which processes there are, where they listen, and the one file of settings they share.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context;
use toml::{Table, Value};

use super::member::{Member, Role};
use super::servers::Servers;
use crate::services;
use crate::settings::SANDBOX;
use crate::up::entrance::Entrance;
use crate::up::sandbox;
use crate::up::state::{DataFolder, State};

/// Services that run twice.
const TWICE: [&str; 2] = ["billing", "provisioning"];

/// The processes of a cluster.
pub struct Layout {
    roles: Vec<Role>,
}

impl Layout {
    /// Takes free ports for all of them; the public one is given.
    ///
    /// # Errors
    /// No free port.
    pub fn plan(http: SocketAddr) -> anyhow::Result<Self> {
        // Held until all are found, so that none is found twice.
        let mut held = Vec::new();
        let mut free = || -> anyhow::Result<SocketAddr> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
            let address = listener.local_addr()?;
            held.push(listener);
            Ok(address)
        };
        let mut roles = vec![Role { what: SANDBOX.name, replica: None, grpc: None, health: None, http: None }];
        for what in services::ALL {
            let is_front = what == gateway::NAME;
            let replicas = if TWICE.contains(&what) { 2 } else { 1 };
            for replica in 1..=replicas {
                roles.push(Role {
                    what,
                    replica: (replicas > 1).then_some(replica),
                    grpc: if is_front { None } else { Some(free()?) },
                    health: Some(free()?),
                    http: is_front.then_some(http),
                });
            }
        }
        Ok(Self { roles })
    }

    /// The processes, not started yet.
    ///
    /// # Errors
    /// The folder of their logs cannot be made.
    pub fn members(&self, folder: &DataFolder, config: &Path) -> anyhow::Result<Vec<Member>> {
        let logs = folder.join("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        Ok(self.roles.iter().map(|role| Member::new(role.clone(), config.to_owned(), &logs)).collect())
    }

    /// Writes what all processes are told, over what the operator's own file says.
    ///
    /// # Errors
    /// The disk.
    pub fn write_settings(
        &self,
        folder: &DataFolder,
        entrance: Entrance,
        mut settings: Table,
        state: &State,
        servers: &Servers,
    ) -> anyhow::Result<PathBuf> {
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let mut wanted: Vec<(&str, Value)> = vec![
            ("process.keys_folder", path("keys").into()),
            ("process.keyring_file", path("keyring").into()),
            ("process.pre_stop_ms", 0.into()),
            ("process.directory", Value::Table(self.directory())),
            ("process.database.url", servers.admin_url().into()),
            ("process.database.password", state.database_password.as_str().into()),
            ("process.database.acquire_timeout_ms", 10_000.into()),
            ("process.broker.kind", "rabbitmq".into()),
            ("process.broker.url", servers.amqp_url().into()),
            ("process.cache.kind", "redis".into()),
            ("process.cache.url", servers.redis_url().into()),
            ("gateway.http.listen", entrance.address.to_string().into()),
        ];
        if let Some(state) = &state.sandbox {
            wanted.extend(sandbox::overrides(state, entrance));
            let own = settings.get(SANDBOX.name).cloned().map(Value::try_into).transpose()?;
            wanted.push((SANDBOX.name, Value::try_from(sandbox::config(state, folder, own))?));
        }
        for (key, value) in wanted {
            set(&mut settings, key, value);
        }
        folder.write_private("cluster.toml", &toml::to_string(&settings)?)?;
        Ok(folder.join("cluster.toml"))
    }

    fn directory(&self) -> Table {
        let mut directory = Table::new();
        for role in &self.roles {
            if let Some(grpc) = role.grpc {
                let addresses = directory.entry(role.what).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(addresses) = addresses {
                    addresses.push(grpc.to_string().into());
                }
            }
        }
        directory
    }
}

/// Sets `a.b.c`, making tables on the way.
fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            if !inner.is_table() {
                *inner = Value::Table(Table::new());
            }
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_a_place_and_two_have_two() {
        let layout = Layout::plan(([127, 0, 0, 1], 8080).into()).unwrap();
        let directory = layout.directory();
        for name in services::WITH_DATABASE {
            let places = directory[*name].as_array().unwrap().len();
            assert_eq!(places, if TWICE.contains(name) { 2 } else { 1 }, "{name}");
        }
        let mut ports: Vec<u16> =
            layout.roles.iter().flat_map(|role| [role.grpc, role.health]).flatten().map(|at| at.port()).collect();
        let count = ports.len();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), count, "a port was planned twice");
    }

    #[test]
    fn what_is_set_keeps_its_neighbours() {
        let mut table: Table = "[process]\nhealth = \"x\"\n[process.broker]\nkind = \"table\"".parse().unwrap();
        set(&mut table, "process.broker.kind", "rabbitmq".into());
        set(&mut table, "gateway.http.listen", "127.0.0.1:1".into());
        assert_eq!(table["process"]["health"].as_str(), Some("x"));
        assert_eq!(table["process"]["broker"]["kind"].as_str(), Some("rabbitmq"));
        assert_eq!(table["gateway"]["http"]["listen"].as_str(), Some("127.0.0.1:1"));
    }
}
