//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::up::state::Topology;

/// Billing and subscriber management for streaming operators.
#[derive(Debug, Parser)]
#[command(name = "ottery", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// Configuration file (TOML, one table per service); also OTTERY_CONFIG.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in this process, with a private PostgreSQL and a demo brand.
    Up(UpOptions),
    /// Run the distributed topology on this machine: every service a process of its own over private PostgreSQL,
    /// RabbitMQ and Redis, with a demo brand.
    Cluster(ClusterOptions),
    /// Run one service (`billing`), all of them (`all`), or the simulated panels and providers (`sandbox`).
    Serve {
        /// Name of a service, `all` or `sandbox`.
        what: String,
    },
    /// Create roles and databases and bring every schema up to date.
    Migrate {
        /// Account that may create roles and databases; instead of `database.admin_url`.
        #[arg(long, value_name = "URL")]
        database_url: Option<String>,
        /// Only make the partitions of the months to come and drop spent ones; for every day (`ottery up` does it itself).
        #[arg(long)]
        partitions: bool,
    },
    /// Show the settings in force and where each comes from.
    Config {
        /// One section only.
        service: Option<String>,
    },
    /// Tell the whole story on a running system over public HTTP; exits with 1 at the first difference.
    Demo(DemoOptions),
    /// Measure what the platform does beside what the machine could do at most; starts everything it needs.
    Bench(BenchOptions),
    /// Let seeded storms of faults pass over payments and say what differs afterwards; exits with 1 when something does.
    Chaos(ChaosOptions),
    /// Check what must always hold; exits with 1 when something does not.
    Doctor(DoctorOptions),
    /// Make a running system agree with `Brand`, `Panel` and `Plan` documents, over its public API; exits with 1 at the
    /// first one that is refused.
    Apply(ApplyOptions),
    /// Say what would happen to a brand's book until some day, and the difference between two settings; nothing of it happens.
    TimeMachine(TimeMachineOptions),
    /// Print the custom resource definitions `Brand`, `Panel` and `Plan` for a cluster.
    Crd,
    /// Ask an address for its health; exits with 1 unless it answers 2xx.
    Healthcheck {
        /// For example http://127.0.0.1:8080/readyz
        url: String,
    },
    /// Ask for a page again and again and say how it went (used by benches).
    #[command(hide = true)]
    Generate(GenerateOptions),
    /// Send what a shop sent once, again and again (used by benches).
    #[command(hide = true)]
    Bare(BareOptions),
    /// Send signed webhooks on schedule and try lines as players do (used by `bench activation`).
    #[command(hide = true)]
    Fire,
    /// Work off due subscriptions of a database (used by `bench renewals`).
    #[command(hide = true)]
    Renew,
    /// Draw the document on standard input as PDF (used by services).
    #[command(hide = true)]
    Render,
}

/// Options of `ottery up`.
#[derive(Clone, Debug, Args)]
pub struct UpOptions {
    /// Where everything is kept.
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub data_dir: PathBuf,
    /// Where to listen.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    /// Start empty: no demo brand, no simulated panel and payments.
    #[arg(long)]
    pub no_demo: bool,
    /// Use this PostgreSQL (an account that may create roles and databases) instead of a private one.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
}

/// Options of `ottery cluster`.
#[derive(Clone, Debug, Args)]
pub struct ClusterOptions {
    /// Where everything is kept.
    #[arg(long, value_name = "DIR", default_value = "data-cluster")]
    pub data_dir: PathBuf,
    /// Where the gateway listens.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
}

/// Options of `ottery apply`.
#[derive(Clone, Debug, Args)]
pub struct ApplyOptions {
    /// YAML file, folder of *.yaml and *.yml, or - for the standard input; may be given more than once.
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR|-", required = true)]
    pub files: Vec<PathBuf>,
    /// Address of the system's staff area; also OTTERY_URL. By default where `ottery up` listens.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// API key, of the platform to make brands; better as OTTERY_API_KEY, which others on this machine do not see.
    #[arg(long, value_name = "KEY", conflicts_with = "data_dir")]
    pub api_key: Option<String>,
    /// Data folder of a running `ottery up`, for its address and the key its first start made.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// One JSON object instead of lines.
    #[arg(long)]
    pub json: bool,
    /// Say what would change, field by field, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// How charges of saved methods end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Assume {
    /// Each succeeds.
    Succeed,
    /// Each is declined.
    Decline,
    /// Each method does what it did last.
    AsBefore,
    /// A share of the methods is declined.
    Share,
}

/// What a refusal means for the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeclineKind {
    /// Another try may work.
    Soft,
    /// The method will never work again.
    Hard,
    /// The customer has to confirm.
    Authentication,
}

impl DeclineKind {
    /// As the API says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
            Self::Authentication => "authentication",
        }
    }
}

/// Options of `ottery time-machine`.
#[derive(Clone, Debug, Args)]
pub struct TimeMachineOptions {
    /// Id of the brand.
    #[arg(long, value_name = "BRAND")]
    pub brand: String,
    /// The last instant: a day (its begin in UTC) or an instant in RFC 3339; at most 400 days ahead.
    #[arg(long, value_name = "DATE")]
    pub to: String,
    /// How charges of saved methods end.
    #[arg(long, value_enum, default_value_t = Assume::AsBefore)]
    pub assume: Assume,
    /// How they are declined, when they are.
    #[arg(long, value_enum, default_value_t = DeclineKind::Soft)]
    pub decline: DeclineKind,
    /// With `--assume share`: how many of the methods.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub declined_percent: u32,
    /// With `--assume share`: the same methods for the same number.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// The clock moves by this much; what is due in between happens at the end of it.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    pub step_minutes: u32,
    /// JSON file of settings to try instead of the brand's (docs/time-machine.md).
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// JSON file of settings to hold against the first ones.
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Address of the system's staff area; also OTTERY_URL. By default where `ottery up` listens.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// API key; better as OTTERY_API_KEY, which others on this machine do not see.
    #[arg(long, value_name = "KEY", conflicts_with = "data_dir")]
    pub api_key: Option<String>,
    /// Data folder of a running `ottery up`, for its address and the key its first start made.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// One JSON object with every entry instead of totals.
    #[arg(long)]
    pub json: bool,
}

/// Options of `ottery demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoOptions {
    /// Address of a running system; a private one is started otherwise.
    #[arg(long, value_name = "URL", requires = "data_dir")]
    pub url: Option<String>,
    /// Data folder of that system, for its credentials.
    #[arg(long, value_name = "DIR", requires = "url")]
    pub data_dir: Option<PathBuf>,
    /// How many customers buy and watch.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub purchases: u32,
    /// One JSON object instead of a timeline.
    #[arg(long)]
    pub json: bool,
}

/// Options of `ottery bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchOptions {
    /// One JSON object instead of lines.
    #[arg(long, global = true)]
    pub json: bool,
    /// What is measured.
    #[command(subcommand)]
    pub name: BenchName,
}

/// What can be measured.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchName {
    /// Pages of a shop, beside a bare server that sends the same bytes.
    Storefront(StorefrontOptions),
    /// From a provider's webhook to a player that is let in.
    Activation(ActivationOptions),
    /// A month end: invoices, ledger and events of many subscriptions, beside COPY of the same rows.
    Renewals(RenewalsOptions),
    /// Invoice pages and quotes with many subscriptions, beside the same with few.
    Portal(PortalOptions),
    /// Renewals that are due at once, on panels that take their time, and what customers wait for meanwhile.
    RenewalRush(RushOptions),
}

impl BenchName {
    /// As it is typed.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Storefront(_) => "storefront",
            Self::Activation(_) => "activation",
            Self::Renewals(_) => "renewals",
            Self::Portal(_) => "portal",
            Self::RenewalRush(_) => "renewal-rush",
        }
    }
}

/// Options of `ottery bench storefront`.
#[derive(Clone, Debug, Args)]
pub struct StorefrontOptions {
    /// Seconds of one measurement.
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    pub seconds: f64,
    /// How often each measurement is made; medians count.
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    pub rounds: u32,
    /// Connections that ask at the same time.
    #[arg(long, value_name = "NUMBER", default_value_t = 64)]
    pub connections: u32,
    /// Share of the measured capacity at which waiting times are measured.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub share: f64,
}

/// Options of `ottery generate`.
#[derive(Clone, Debug, Args)]
pub struct GenerateOptions {
    /// Address of the server.
    #[arg(long, value_name = "ADDR:PORT")]
    pub to: SocketAddr,
    /// Its name.
    #[arg(long, value_name = "NAME")]
    pub host: String,
    /// Page that is asked for.
    #[arg(long, value_name = "PATH")]
    pub path: String,
    /// Connections that ask at the same time.
    #[arg(long, value_name = "NUMBER")]
    pub connections: u32,
    /// For how long.
    #[arg(long, value_name = "SECONDS")]
    pub seconds: f64,
    /// So many a second, evenly; as fast as answers come otherwise.
    #[arg(long, value_name = "NUMBER")]
    pub rate: Option<f64>,
}

/// Options of `ottery bare`.
#[derive(Clone, Debug, Args)]
pub struct BareOptions {
    /// Where to listen.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: SocketAddr,
    /// Address of the shop whose pages are sent.
    #[arg(long, value_name = "ADDR:PORT")]
    pub like: SocketAddr,
    /// The shop's name.
    #[arg(long, value_name = "NAME")]
    pub host: String,
    /// The pages.
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
}

/// Options of `ottery bench activation`.
#[derive(Clone, Debug, Args)]
pub struct ActivationOptions {
    /// Orders that are paid.
    #[arg(long, value_name = "NUMBER", default_value_t = 3000)]
    pub orders: u32,
    /// Webhooks a second.
    #[arg(long, value_name = "NUMBER", default_value_t = 50.0)]
    pub rate: f64,
    /// One process, or one per service and replica.
    #[arg(long, value_enum, default_value_t = BenchTopology::Embedded)]
    pub topology: BenchTopology,
    /// Customers the orders belong to; a tenth of the orders otherwise.
    #[arg(long, value_name = "NUMBER")]
    pub accounts: Option<u32>,
    /// Simulated panels.
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    pub panels: u32,
    /// Calls a second each panel takes.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub panel_rate: u32,
    /// Calls at a time each panel gets.
    #[arg(long, value_name = "NUMBER", default_value_t = 8)]
    pub panel_concurrency: u32,
    /// Milliseconds each call takes a panel.
    #[arg(long, value_name = "MS", default_value_t = 20)]
    pub panel_latency_ms: u32,
}

/// Options of `ottery bench renewals`.
#[derive(Clone, Debug, Args)]
pub struct RenewalsOptions {
    /// Subscriptions whose month ends; smaller sizes are measured on the way.
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000)]
    pub subscriptions: u32,
    /// Processes that share the work.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub processes: u32,
    /// Schedulers of each process; as configured otherwise.
    #[arg(long, value_name = "NUMBER")]
    pub workers: Option<u32>,
    /// Subscriptions of one transaction; as configured otherwise.
    #[arg(long, value_name = "NUMBER")]
    pub batch: Option<u32>,
    /// So many of the processes are killed in the middle of their second batch and started again.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub kills: u32,
    /// Also say what each statement took (needs pg_stat_statements).
    #[arg(long)]
    pub statements: bool,
}

/// Options of `ottery bench portal`.
#[derive(Clone, Debug, Args)]
pub struct PortalOptions {
    /// Subscriptions, each with a paid invoice.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000)]
    pub subscriptions: u32,
    /// Requests a second, of four kinds in turns.
    #[arg(long, value_name = "NUMBER", default_value_t = 40.0)]
    pub rate: f64,
    /// Seconds of each measurement.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub seconds: f64,
}

/// Options of `ottery bench renewal-rush`.
#[derive(Clone, Debug, Args)]
pub struct RushOptions {
    /// Subscriptions that are due at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    pub subscriptions: u32,
    /// One process, or one per service and replica.
    #[arg(long, value_enum, default_value_t = BenchTopology::Embedded)]
    pub topology: BenchTopology,
    /// Simulated panels.
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    pub panels: u32,
    /// Calls a second each panel takes.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub panel_rate: u32,
    /// Calls at a time each panel gets.
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    pub panel_concurrency: u32,
    /// Milliseconds each call takes a panel.
    #[arg(long, value_name = "MS", default_value_t = 200)]
    pub panel_latency_ms: u32,
    /// Requests a second of customers, of four kinds in turns.
    #[arg(long, value_name = "NUMBER", default_value_t = 20.0)]
    pub portal_rate: f64,
}

/// Which topology a bench starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BenchTopology {
    /// As `ottery up`.
    Embedded,
    /// As `ottery cluster`.
    Distributed,
}

impl From<BenchTopology> for Topology {
    fn from(topology: BenchTopology) -> Self {
        match topology {
            BenchTopology::Embedded => Self::Embedded,
            BenchTopology::Distributed => Self::Distributed,
        }
    }
}

/// Options of `ottery chaos`.
#[derive(Clone, Debug, Args)]
pub struct ChaosOptions {
    /// What the storms pass over.
    #[arg(long, value_enum)]
    pub suite: Suite,
    /// How many storms.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seeds: u32,
    /// The first one's number; the same number is the same plan of faults.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub first_seed: u64,
    /// Payments of each storm.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    pub payments: usize,
    /// One JSON object a line instead of sentences.
    #[arg(long)]
    pub json: bool,
}

/// What storms pass over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Payments at every provider.
    Payments,
}

/// Options of `ottery doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorOptions {
    /// Data folder of a running `ottery up`.
    #[arg(long, value_name = "DIR", conflicts_with = "database_url")]
    pub data_dir: Option<PathBuf>,
    /// Server to look at, as an account that may read every database.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// One JSON object instead of lines.
    #[arg(long)]
    pub json: bool,
}
