//! `ottery apply`: makes a running system agree with documents, over its public API.

pub mod access;
mod files;
mod report;

use std::path::Path;

use anyhow::Context;
use operator::{HttpTarget, Mode};

use self::access::{Access, Named};
use self::report::Report;
use crate::cli::ApplyOptions;

/// The data folder of `ottery up` when nothing else is said.
const DATA_DIR: &str = "data";

/// Applies the documents and says what became of each.
///
/// # Errors
/// The first document that cannot be right or was refused; what was applied before it stays and was said.
pub async fn run(options: ApplyOptions) -> anyhow::Result<()> {
    let mode = if options.dry_run { Mode::DryRun } else { Mode::Apply };
    let mut report = Report::new(mode, options.json);
    let outcome = apply(&options, mode, &mut report).await;
    report.end(outcome.as_ref().err());
    outcome
}

async fn apply(options: &ApplyOptions, mode: Mode, report: &mut Report) -> anyhow::Result<()> {
    let documents = files::read(&options.files, &mut std::io::stdin().lock())?;
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let access = Access::find(Named::from(options), &variable, Path::new(DATA_DIR))?;
    let target = HttpTarget::new(&access.url, access.api_key).context("--url")?;
    let outcome = operator::apply(&target, &documents, mode, &mut |applied| report.add(applied)).await;
    outcome.map_err(|error| {
        let said = report.refused(&error, &documents);
        anyhow::Error::new(error).context(said)
    })
}
