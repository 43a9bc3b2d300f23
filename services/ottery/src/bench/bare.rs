//! The limit: a bare axum server that sends, byte for byte, what a shop sent once, and does nothing else.

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;

use crate::cli::BareOptions;

/// Learns the pages, then serves them until it is stopped.
///
/// # Errors
/// The shop does not answer, or the address is taken.
pub async fn run(options: BareOptions) -> anyhow::Result<()> {
    let mut router = Router::new();
    for path in &options.paths {
        let (headers, body) = learn(options.like, &options.host, path).await?;
        router = router.route(path, get(async move || (headers.clone(), body.clone())));
    }
    let listener = tokio::net::TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    axum::serve(listener, router).await?;
    Ok(())
}

/// A page as it was sent, without what belongs to the connection.
async fn learn(shop: SocketAddr, host: &str, path: &str) -> anyhow::Result<(HeaderMap, Bytes)> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let asked = client.get(format!("http://{shop}{path}")).header(header::HOST, host);
    let answer = asked.header(header::ACCEPT_ENCODING, "gzip").send().await?;
    anyhow::ensure!(answer.status() == StatusCode::OK, "{path} answered {}", answer.status());
    let mut headers = answer.headers().clone();
    for own in [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::DATE] {
        headers.remove(own);
    }
    Ok((headers, answer.bytes().await?))
}
