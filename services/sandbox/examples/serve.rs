//! A sandbox by itself: `cargo run -p ottery-sandbox --example serve [settings.json]`.

use ottery_sandbox::{Sandbox, SandboxConfig};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = match std::env::args().nth(1) {
        Some(path) => serde_json::from_slice(&std::fs::read(path)?)?,
        None => SandboxConfig::default(),
    };
    let sandbox = Sandbox::start(config).await?;
    println!("{:#?}", sandbox.addresses());
    tokio::signal::ctrl_c().await?;
    sandbox.stop().await;
    Ok(())
}
