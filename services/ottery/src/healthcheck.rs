//! `ottery healthcheck`: for containers, which have no curl.

use std::time::Duration;

/// Asks once.
///
/// # Errors
/// No answer within five seconds, or one that is not 2xx.
pub async fn run(url: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let answer = client.get(url).send().await?;
    let status = answer.status();
    anyhow::ensure!(status.is_success(), "{url} answered {status}");
    println!("{url} answered {status}");
    Ok(())
}
