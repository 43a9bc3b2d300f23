//! `ottery bench <name>`: what the platform does in a time, beside what the machine could do at most, measured in one run.
//!
//! Every bench starts what it measures by itself, from this very program, and prints one object of one shape
//! ([`result::Bench`]). Speed is judged by whoever reads it; the exit status says only whether everything was answered.

mod activation;
mod bare;
mod collector;
mod database;
mod family;
mod load;
mod panels;
mod portal;
mod process;
mod renewals;
mod result;
mod rush;
mod schedule;
mod storefront;

use crate::cli::{BenchName, BenchOptions};

pub use activation::fire;
pub use bare::run as bare;
pub use database::Server;
pub use load::run as generate;
pub use renewals::renew;

/// Measures and prints.
///
/// # Errors
/// What was measured did not start, or did not do what it was asked to.
pub async fn run(options: BenchOptions) -> anyhow::Result<()> {
    let before = result::Surroundings::look();
    let measured = match &options.name {
        BenchName::Storefront(wanted) => storefront::run(wanted).await?,
        BenchName::Activation(wanted) => activation::run(wanted).await?,
        BenchName::Renewals(wanted) => renewals::run(wanted).await?,
        BenchName::Portal(wanted) => portal::run(wanted).await?,
        BenchName::RenewalRush(wanted) => rush::run(wanted).await?,
    };
    let failures = measured.failures;
    let bench = result::Bench::new(options.name.as_str(), measured, &before);
    if options.json {
        println!("{}", serde_json::to_string(&bench)?);
    } else {
        println!("{bench}");
    }
    anyhow::ensure!(failures == 0, "{failures} of the requests were not answered as they should have been");
    Ok(())
}
