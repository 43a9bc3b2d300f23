//! `ottery config`: the settings in force and where each comes from.

use std::path::Path;

use ottery_kit::config::Sources;

use crate::{services, settings};

/// Prints the settings of all sections, or of one.
///
/// # Errors
/// Settings that do not load; a section that does not exist.
pub fn run(config: Option<&Path>, only: Option<&str>) -> anyhow::Result<()> {
    let sources = Sources::of_process(config)?;
    settings::load(&sources)?;
    let mut known = Vec::new();
    let mut is_found = false;
    for section in settings::sections() {
        known.push(section.name);
        if only.is_some_and(|only| only != section.name) {
            continue;
        }
        is_found = true;
        for line in services::describe(section, &sources)? {
            println!("{} = {}    # {}", line.key, line.value, line.origin);
        }
    }
    if !is_found {
        anyhow::bail!("there is no section `{}`; choose one of {}", only.unwrap_or_default(), known.join(", "));
    }
    Ok(())
}
