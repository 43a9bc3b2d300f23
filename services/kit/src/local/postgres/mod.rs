//! A private PostgreSQL in a folder of its own.
//!
//! The folder holds the data (`data`), the administrator's password, the log, the last port and a lock. Root steps down to
//! `postgres` or `nobody`, because the server refuses to run as root.

mod binaries;
mod cluster;

use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use self::binaries::Binaries;
use super::account;
use super::error::LocalError;
use super::folder::Folder;
use super::leash::{Leash, LeashedCommand, Signal};
use super::ready::{free_port, until};

const READY_WITHIN: Duration = Duration::from_secs(60);
/// Recovery after a crash may read a lot of log before connections are let in.
const RECOVERED_WITHIN: Duration = Duration::from_secs(600);
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// How often another free port is tried when somebody else was faster.
const PORT_ATTEMPTS_MAX: u32 = 5;
/// Longest path of a unix socket, less the name PostgreSQL gives it.
const SOCKET_FOLDER_BYTES_MAX: usize = 107 - "/.s.PGSQL.65535".len();
const USER: &str = "postgres";

/// Where it lives, listens and how careful it is.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Folder for data, password and log; nobody else's.
    pub folder: PathBuf,
    /// Loopback port; without one the port of the last start is taken again when it is free, else any free port.
    pub port: Option<u16>,
    /// Whether commits wait for the disk. Off for tests only: a crash of the machine then loses the database.
    pub fsync: bool,
    /// Further settings as in postgresql.conf, for example `("shared_buffers", "256MB")`.
    pub settings: Vec<(String, String)>,
}

impl PostgresOptions {
    /// A durable server on a free port.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), port: None, fsync: true, settings: Vec::new() }
    }

    /// Sets one of the server's settings.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    leash: Leash,
    password: String,
    port: u16,
    socket: Option<PathBuf>,
    version: u32,
    _folder: Folder,
}

impl Postgres {
    /// Creates the database cluster when the folder is empty, starts the server and waits until it takes connections.
    pub async fn start(options: PostgresOptions) -> Result<Self, LocalError> {
        let account = account::step_down("PostgreSQL")?;
        let folder = Folder::claim(&options.folder, "PostgreSQL", account.as_ref())?;
        let data = folder.join("data");
        let binaries = Binaries::find(cluster::version(&data)?)?;
        let password = folder.secret("password")?;
        let log = folder.log("server.log")?;
        if cluster::version(&data)?.is_none() {
            cluster::create(&binaries, &folder, account.as_ref(), USER, &password, options.fsync).await?;
        }
        let unclean = cluster::recover(&data, &log).await?;
        let socket_folder = folder.subfolder("socket", account.as_ref())?;
        let socket = (socket_folder.as_os_str().len() <= SOCKET_FOLDER_BYTES_MAX).then_some(socket_folder);
        let ready_within = if unclean { RECOVERED_WITHIN } else { READY_WITHIN };

        let mut attempt = 0;
        loop {
            attempt += 1;
            let port = match options.port {
                Some(port) => port,
                None if attempt == 1 => cluster::last_port(&folder).map_or_else(free_port, Ok)?,
                None => free_port()?,
            };
            let log_begins = std::fs::metadata(&log).map_or(0, |log| log.len());
            let mut leash = LeashedCommand::new(&binaries.postgres)
                .arg("-D")
                .arg(&data)
                .args(arguments(&options, port, socket.as_ref()))
                .folder(&data)
                .log(&log)
                .account(account.as_ref())
                .stops_on(Signal::Interrupt, STOP_WITHIN)
                .spawn()?;
            let connect = connect_options(port, &password);
            match until(&mut leash, &log, ready_within, async || ping(&connect).await).await {
                Ok(()) => {
                    folder.private_file("port", &port.to_string(), None)?;
                    return Ok(Self { leash, password, port, socket, version: binaries.version, _folder: folder });
                }
                Err(LocalError::Exited { .. })
                    if attempt < PORT_ATTEMPTS_MAX
                        && cluster::may_try_again(&log, log_begins, options.port.is_none()) =>
                {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where administrators connect: `postgres://postgres:password@127.0.0.1:port/postgres`.
    pub fn admin_url(&self) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// The same over the unix socket, which is faster; none when the folder's path is too long for one.
    pub fn socket_url(&self) -> Option<String> {
        let socket = self.socket.as_ref()?;
        let mut url = url::Url::parse(&format!("postgres://{USER}:{}@localhost:{}/postgres", self.password, self.port))
            .expect("made of a password in hexadecimal and a number");
        url.query_pairs_mut().append_pair("host", &socket.to_string_lossy());
        Some(url.into())
    }

    /// Where programs of this machine connect: the unix socket where there is one.
    pub fn local_url(&self) -> String {
        self.socket_url().unwrap_or_else(|| self.admin_url())
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The major version, for example 15.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The process, to look after it.
    pub fn leash(&mut self) -> &mut Leash {
        &mut self.leash
    }

    /// Stops it without waiting for clients: their open transactions are rolled back.
    pub async fn stop(self) -> Result<(), LocalError> {
        self.leash.stop().await.map(drop)
    }
}

fn arguments(options: &PostgresOptions, port: u16, socket: Option<&PathBuf>) -> Vec<String> {
    let mut settings = vec![
        ("listen_addresses".to_owned(), "127.0.0.1".to_owned()),
        ("port".to_owned(), port.to_string()),
        ("unix_socket_directories".to_owned(), socket.map(|path| path.display().to_string()).unwrap_or_default()),
        ("unix_socket_permissions".to_owned(), "0700".to_owned()),
        ("logging_collector".to_owned(), "off".to_owned()),
        ("log_destination".to_owned(), "stderr".to_owned()),
        ("timezone".to_owned(), "UTC".to_owned()),
    ];
    if !options.fsync {
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            settings.push((name.to_owned(), "off".to_owned()));
        }
    }
    settings.extend(options.settings.iter().cloned());
    settings.into_iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]).collect()
}

fn connect_options(port: u16, password: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(USER)
        .password(password)
        .database("postgres")
        .disable_statement_logging()
}

async fn ping(options: &PgConnectOptions) -> bool {
    match PgConnection::connect_with(options).await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn options(folder: &Path) -> PostgresOptions {
        PostgresOptions { fsync: false, ..PostgresOptions::new(folder) }.setting("shared_buffers", "16MB")
    }

    /// Below /var/tmp, which every user can enter, as the folders below /tmp of some systems cannot.
    fn scratch() -> tempfile::TempDir {
        let folder = tempfile::Builder::new().prefix("ottery-kit-").tempdir_in("/var/tmp").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    async fn count(server: &Postgres, url: &str) -> i64 {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let count = sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(&mut connection).await.unwrap();
        assert!(server.version() >= 15);
        count
    }

    #[tokio::test]
    async fn data_survives_a_stop_and_a_kill_and_a_second_copy_is_refused() {
        let folder = scratch();
        let home = folder.path().join("pg");
        let server = Postgres::start(options(&home)).await.unwrap();
        let mut connection = PgConnection::connect(&server.admin_url()).await.unwrap();
        sqlx::query("CREATE TABLE kept AS SELECT 1 AS one").execute(&mut connection).await.unwrap();
        let encoding: String = sqlx::query_scalar("SHOW data_checksums").fetch_one(&mut connection).await.unwrap();
        assert_eq!(encoding, "on");

        let refused = Postgres::start(options(&home)).await.unwrap_err();
        assert!(matches!(refused, LocalError::Locked { .. }), "{refused}");
        server.stop().await.unwrap();

        let mut server = Postgres::start(options(&home)).await.unwrap();
        assert_eq!(count(&server, &server.admin_url()).await, 1);
        if let Some(url) = server.socket_url() {
            assert_eq!(count(&server, &url).await, 1);
        }
        // The postmaster is killed: its lock file stays behind, naming a process that is gone.
        let pid = server.leash().pid().unwrap().to_string();
        std::process::Command::new("/bin/sh").args(["-c", "kill -s KILL \"$1\"", "sh", &pid]).status().unwrap();
        server.leash().wait().await.unwrap();
        drop(server);
        assert!(home.join("data/postmaster.pid").exists());

        let server = Postgres::start(options(&home)).await.unwrap();
        assert_eq!(count(&server, &server.admin_url()).await, 1);
        server.stop().await.unwrap();

        // A lock file that names a living process which is no PostgreSQL, as after a restart of a container.
        std::fs::write(home.join("data/postmaster.pid"), format!("{}\n{}\n", std::process::id(), home.display()))
            .unwrap();
        let server = Postgres::start(options(&home)).await.unwrap();
        assert_eq!(count(&server, &server.admin_url()).await, 1);
        server.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_folder_out_of_reach_is_refused_with_a_way_out() {
        if !account::is_root() {
            return;
        }
        let folder = scratch();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let refused = Postgres::start(options(&folder.path().join("pg"))).await.unwrap_err();
        assert!(matches!(refused, LocalError::CannotEnter { .. }), "{refused}");
        assert!(refused.to_string().contains("/var/lib/ottery"));
    }

    #[tokio::test]
    async fn a_setting_that_does_not_exist_is_reported_in_the_servers_words() {
        let folder = scratch();
        let broken = options(folder.path()).setting("no_such_setting", "1");
        let error = Postgres::start(broken).await.unwrap_err().to_string();
        assert!(error.contains("no_such_setting"), "{error}");
    }
}
