//! `ottery chaos`: a seeded storm over payments, and whether everything is right when it is over.
//!
//! Billing runs as it does in production (its use cases, its workers, its intake of webhooks, a PostgreSQL with fsync); what
//! customers, providers, the network and whoever kills processes do is planned from a seed ([`plan`]).

mod brand;
mod btcpay;
mod check;
mod faces;
mod hands;
mod paypal;
mod plan;
mod post;
mod sandbox;
mod storm;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::sync::watch;

use self::brand::Brand;
use self::faces::Faces;
use self::hands::Hands;
use self::plan::{Gateway, Plan};
use self::post::Post;
use self::storm::{Outcome, Storm};
use crate::bench::Server;
use crate::cli::{ChaosOptions, Suite};

/// Lets the storms of the asked seeds pass, one after the other, and says what each left behind.
///
/// # Errors
/// Something differs afterwards, or a part of a storm does not start.
pub async fn run(options: ChaosOptions) -> anyhow::Result<()> {
    let Suite::Payments = options.suite;
    anyhow::ensure!(options.seeds > 0, "--seeds must be at least 1");
    anyhow::ensure!(options.payments > 0, "--payments must be at least 1");
    let (gateways, left_out) = gateways();
    for (gateway, why) in &left_out {
        say(&options, &format!("LEFT OUT: {gateway}: {why}"), || json!({"left_out": gateway, "why": why}));
    }
    let server = Server::start("chaos", false).await?;
    let mut failures = 0;
    for seed in (0..options.seeds).map(|nth| options.first_seed + u64::from(nth)) {
        let done = seed_of(&server, &options, &gateways, seed).await;
        let is_well = match &done {
            Ok(wrong) => wrong.is_empty(),
            Err(_) => false,
        };
        failures += u32::from(!is_well);
        if let Err(error) = &done {
            let why = format!("{error:#}");
            say(
                &options,
                &format!("seed {seed}: the storm broke off: {why}"),
                || json!({"seed": seed, "broke_off": why}),
            );
        }
        if !is_well {
            let again =
                format!("ottery chaos --suite payments --seeds 1 --first-seed {seed} --payments {}", options.payments);
            say(&options, &format!("seed {seed}: once more with: {again}"), || json!({"seed": seed, "replay": again}));
        }
    }
    server.leave(failures == 0).await?;
    let left_out: Vec<&str> = left_out.iter().map(|(gateway, _)| *gateway).collect();
    // In this order, for whoever reads it by eye.
    println!(
        r#"{{"ok":{},"seeds":{},"failures":{failures},"left_out":{}}}"#,
        failures == 0,
        options.seeds,
        json!(left_out)
    );
    anyhow::ensure!(failures == 0, "{failures} of {} storms left something behind that is not right", options.seeds);
    Ok(())
}

/// One storm in a database of its own, and what differs after it.
async fn seed_of(
    server: &Server,
    options: &ChaosOptions,
    gateways: &[Gateway],
    seed: u64,
) -> anyhow::Result<Vec<String>> {
    let name = format!("storm_{seed}");
    let settings = server.create(&name).await?;
    let mut admin = server.admin(&name).await?;
    let plan = Plan::of(seed, options.payments, gateways);
    let mut brand = Brand::found(settings.clone()).await?;
    let (open, opened) = watch::channel(None);
    let fates = post::Fates::default();
    let post = Post::start(opened, Arc::clone(&fates));
    let mut faces = Faces::start(gateways, seed, &post.slot()).await?;
    brand.authority = faces.authority()?;
    let setting_up = brand.start().await?;
    faces.connect(&brand, &setting_up, gateways).await?;
    setting_up.pool.close().await;
    let hands = Hands::new(&brand, open);
    let storm =
        Storm { brand: &brand, faces, hands, fates, admin: &mut admin, by_hand: BTreeMap::new(), wrong: Vec::new() };
    let outcome = storm.pass(&plan, post).await?;
    let pool = settings.pool(billing::NAME).await?;
    let wrong = check::check(&mut admin, &pool, &outcome).await?;
    pool.close().await;
    let told = summary(seed, &outcome, &wrong);
    say(options, &lines(seed, &told, &wrong), || told.clone());
    if wrong.is_empty() {
        sqlx::Connection::close(admin).await?;
        server.drop(&name).await.context("its database cannot be removed")?;
    }
    Ok(wrong)
}

/// Who is paid through in this run, and who is left out for which reason.
fn gateways() -> (Vec<Gateway>, Vec<(&'static str, &'static str)>) {
    let mut left_out = vec![
        ("stripe", "the storm has no Stripe of its own, and does not start another one's"),
        ("bitcoin", "the storm has no chain of its own"),
    ];
    let mut gateways = Gateway::ALL.to_vec();
    let has_openssl =
        std::process::Command::new("openssl").arg("version").output().is_ok_and(|said| said.status.success());
    if !has_openssl {
        gateways.retain(|gateway| *gateway != Gateway::Paypal);
        left_out.push(("paypal", "its webhooks are signed by openssl, which cannot be run here"));
    }
    (gateways, left_out)
}

fn summary(seed: u64, outcome: &Outcome, wrong: &[String]) -> Value {
    let mut gateways: BTreeMap<&str, u64> = BTreeMap::new();
    for gone in &outcome.gone {
        *gateways.entry(gone.planned.gateway.as_str()).or_default() += 1;
    }
    let renewals = outcome.gone.iter().filter(|gone| gone.planned.renews.is_some() && gone.invoice.is_some()).count();
    let mut gave_up: BTreeMap<&str, u64> = BTreeMap::new();
    for why in outcome.gone.iter().filter_map(|gone| gone.gave_up.as_deref()) {
        *gave_up.entry(why).or_default() += 1;
    }
    json!({
        "seed": seed, "payments": outcome.gone.len(), "gateways": gateways, "renewals": renewals,
        "gave_up": gave_up, "restarts": outcome.restarts, "webhooks": outcome.carried,
        "taken": outcome.truth.len() + outcome.by_hand.len(), "differences": wrong,
    })
}

fn lines(seed: u64, told: &Value, wrong: &[String]) -> String {
    let mut lines = vec![format!(
        "seed {seed}: {} payments ({}), {} renewals, {} restarts, {} webhooks sent, {} lost, {} forged and refused: {}",
        told["payments"],
        told["gateways"],
        told["renewals"],
        told["restarts"],
        told["webhooks"]["sent"],
        told["webhooks"]["lost"],
        told["webhooks"]["refused"],
        if wrong.is_empty() { "nothing differs".to_owned() } else { format!("{} DIFFERENCES", wrong.len()) },
    )];
    lines.extend(wrong.iter().map(|wrong| format!("  {wrong}")));
    lines.join("\n")
}

fn say(options: &ChaosOptions, words: &str, object: impl FnOnce() -> Value) {
    if options.json {
        println!("{}", object());
    } else {
        println!("{words}");
    }
}
