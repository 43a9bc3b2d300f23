//! Domains whose addresses are thrown away. The list is that of `mailchecker` (<https://github.com/FGRibreau/mailchecker>), where it
//! can be read and corrected; a brand's own list comes on top.

use std::collections::HashSet;
use std::sync::LazyLock;

static DISPOSABLE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| mailchecker::blacklist().into_iter().collect());

/// What is behind the `@`, in lower case.
#[must_use]
pub fn domain_of(address: &str) -> String {
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    domain.trim().trim_end_matches('.').to_lowercase()
}

/// The domain and those it is below, but for the outermost.
fn suffixes(domain: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(domain).filter(|domain| domain.contains('.'));
    std::iter::from_fn(move || {
        let found = rest?;
        rest = found.split_once('.').map(|(_, parent)| parent).filter(|parent| parent.contains('.'));
        Some(found)
    })
}

/// Whether its addresses are thrown away, as far as is known.
#[must_use]
pub fn is_disposable(domain: &str) -> bool {
    suffixes(domain).any(|suffix| DISPOSABLE.contains(suffix))
}

/// The entry of a brand's own list that it is on.
#[must_use]
pub fn listed<'a>(domain: &str, list: &'a [String]) -> Option<&'a String> {
    list.iter().find(|entry| suffixes(domain).any(|suffix| suffix == entry.as_str()))
}
