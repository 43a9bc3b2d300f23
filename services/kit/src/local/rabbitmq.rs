//! A private RabbitMQ: own node name, cookie, ports and name server, no plugins, one folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::LocalError;
use super::folder::Folder;
use super::leash::{Leash, LeashedCommand, Signal};
use super::ready::{answers, free_port, until};

/// Starting takes about eleven seconds on two idle cores, and these are seldom idle.
const READY_WITHIN: Duration = Duration::from_secs(120);
const STOP_WITHIN: Duration = Duration::from_secs(30);
const USER: &str = "ottery";

/// Where it lives and listens.
#[derive(Clone, Debug)]
pub struct RabbitMqOptions {
    /// Folder for messages, settings and logs; nobody else's.
    pub folder: PathBuf,
    /// Loopback port for AMQP; a free one is taken when none is given.
    pub port: Option<u16>,
}

impl RabbitMqOptions {
    /// A free port.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), port: None }
    }
}

/// A running RabbitMQ and the Erlang name server that only it uses.
#[derive(Debug)]
pub struct RabbitMq {
    broker: Leash,
    names: Leash,
    url: String,
    port: u16,
    _folder: Folder,
}

impl RabbitMq {
    /// Starts it and waits until it speaks AMQP.
    pub async fn start(options: RabbitMqOptions) -> Result<Self, LocalError> {
        let program = binary()?;
        let epmd = epmd()?;
        let folder = Folder::claim(&options.folder, "RabbitMQ", None)?;
        let password = folder.secret("password")?;
        let log = folder.log("server.log")?;
        let port = match options.port {
            Some(port) => port,
            None => free_port()?,
        };
        let (names_port, distribution_port) = (free_port()?, free_port()?);

        // Started here rather than by RabbitMQ, which would leave it running for ever.
        let mut names = LeashedCommand::new(epmd)
            .args(["-address", "127.0.0.1", "-port", &names_port.to_string()])
            .log(&log)
            .stops_on(Signal::Terminate, Duration::from_secs(2))
            .spawn()?;
        // NAMES_REQ; the answer begins with the name server's own port.
        let named = u32::from(names_port).to_be_bytes();
        until(&mut names, &log, Duration::from_secs(20), async || answers(names_port, &[0, 1, b'n'], &named).await)
            .await?;

        let home = folder.subfolder("home", None)?;
        let data = folder.subfolder("data", None)?;
        let cookie = folder.secret("cookie")?;
        let cookie_file = folder.private_file("home/.erlang.cookie", &cookie, None)?;
        // Erlang insists that nobody else can read or write it.
        debug_assert!(cookie_file.starts_with(&home));
        let plugins = folder.private_file("enabled_plugins", "[].\n", None)?;
        let settings = folder.private_file("rabbitmq.conf", &settings(&password), None)?;
        let mut broker = LeashedCommand::new(program)
            .env("HOME", &home)
            // Becomes the Erlang machine instead of staying a shell around it.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("NOTIFY_SOCKET", "")
            .env("ERL_EPMD_PORT", names_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_NODENAME", format!("ottery{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", distribution_port.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
            .env("RABBITMQ_MNESIA_BASE", &data)
            .env("RABBITMQ_LOG_BASE", folder.path())
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
            .env("RABBITMQ_CONFIG_FILE", settings)
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", folder.join("advanced.config"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", folder.join("generated"))
            .folder(folder.path())
            .log(&log)
            .stops_on(Signal::Terminate, STOP_WITHIN)
            .spawn()?;
        // It answers a client's greeting with a method frame (type 1, channel 0), and only once it has booted.
        until(&mut broker, &log, READY_WITHIN, async || answers(port, b"AMQP\x00\x00\x09\x01", &[1, 0, 0]).await)
            .await?;
        Ok(Self { broker, names, url: format!("amqp://{USER}:{password}@127.0.0.1:{port}/%2f"), port, _folder: folder })
    }

    /// `amqp://user:password@127.0.0.1:port/%2f`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The loopback port for AMQP.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The broker's process, to look after it.
    pub fn leash(&mut self) -> &mut Leash {
        &mut self.broker
    }

    /// Stops the broker in order, then its name server.
    pub async fn stop(self) -> Result<(), LocalError> {
        self.broker.stop().await?;
        self.names.stop().await.map(drop)
    }
}

fn settings(password: &str) -> String {
    format!(
        "default_user = {USER}\n\
         default_pass = {password}\n\
         log.console = true\n\
         log.console.level = warning\n\
         disk_free_limit.absolute = 64MB\n\
         vm_memory_high_watermark.absolute = 1GB\n"
    )
}

fn in_path(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Debian's `/usr/sbin/rabbitmq-server` changes to the system's own user and folders; the script behind it does not.
fn binary() -> Result<PathBuf, LocalError> {
    let plain = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if plain.is_file() {
        return Ok(plain.to_owned());
    }
    in_path("rabbitmq-server").ok_or(LocalError::Missing {
        program: "rabbitmq-server",
        searched: format!("{}, PATH", plain.display()),
        way_out: "install the package rabbitmq-server (`make setup` does)",
    })
}

fn epmd() -> Result<PathBuf, LocalError> {
    in_path("epmd").or_else(|| Some(PathBuf::from("/usr/bin/epmd")).filter(|path| path.is_file())).ok_or(
        LocalError::Missing {
            program: "epmd",
            searched: "PATH".to_owned(),
            way_out: "install the package erlang-base (it comes with rabbitmq-server)",
        },
    )
}
