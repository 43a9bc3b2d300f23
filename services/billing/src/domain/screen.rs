//! The fraud screen: what a brand's rules say of an order before it is accepted, and why.

pub mod mail;
pub mod rules;

use std::fmt;

use ottery_kernel::Money;
use serde::{Deserialize, Serialize};

use super::trial::Sign;
use rules::{Countries, ScreenRules};

/// What is done with an order; the strictest of all hits counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is accepted.
    #[default]
    Allow,
    /// It waits for staff; nothing is charged or served.
    Review,
    /// It is refused.
    Deny,
}

impl Verdict {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Review => "review",
            Self::Deny => "deny",
        }
    }

    /// The verdict stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Allow, Self::Review, Self::Deny].into_iter().find(|verdict| verdict.as_str() == text)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// By what orders are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// One account.
    Account,
    /// One browser.
    Device,
    /// One network: an IPv4 /24 or an IPv6 /48.
    Network,
    /// Accounts that paid with the same card.
    Card,
}

impl By {
    /// All of them, in the order in which counters are locked.
    pub const ALL: [Self; 4] = [Self::Account, Self::Device, Self::Network, Self::Card];

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Device => "device",
            Self::Network => "network",
            Self::Card => "card",
        }
    }

    /// The word `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == text)
    }
}

/// The rule about second trials: the only one whoever is refused may know of.
pub const TRIAL_REUSE: &str = "trial_reuse";

/// One rule that has something to say, and what it saw. For staff: whoever is refused learns neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Stable word for the rule.
    pub rule: String,
    /// What it asks for.
    pub verdict: Verdict,
    /// What was seen.
    pub evidence: String,
}

/// What is known of an order when it is screened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Behind the `@`, in lower case.
    pub mail_domain: String,
    /// Where the customer is billed; empty for unknown.
    pub billing_country: String,
    /// Where a proxy in front says they are; empty for unknown.
    pub network_country: String,
    /// The network they come from, as it is kept; empty for unknown.
    pub network: String,
    /// What is due now.
    pub amount: Money,
    /// Whether they never paid anything before.
    pub is_new: bool,
    /// By what they are known to have had a trial, when they want one more.
    pub reused: Option<Sign>,
    /// Earlier orders, one number for each of the rules' limits.
    pub counts: Vec<u32>,
}

fn hit(rule: &str, verdict: Verdict, evidence: String) -> Option<Hit> {
    (verdict > Verdict::Allow).then(|| Hit { rule: rule.to_owned(), verdict, evidence })
}

fn country(rule: &str, what: &str, code: &str, lists: &Countries) -> Option<Hit> {
    let is_on = |list: &[String]| list.iter().any(|known| known == code);
    if code.is_empty() {
        return None;
    }
    if is_on(&lists.deny) {
        return hit(rule, Verdict::Deny, format!("{what} {code}, which is denied"));
    }
    if is_on(&lists.review) {
        return hit(rule, Verdict::Review, format!("{what} {code}, which is reviewed"));
    }
    let is_beyond = !lists.allow_only.is_empty() && !is_on(&lists.allow_only);
    is_beyond.then(|| hit(rule, Verdict::Deny, format!("{what} {code}, which is not among those allowed"))).flatten()
}

/// What the rules say of an order: every rule that has something to say.
#[must_use]
pub fn screen(rules: &ScreenRules, facts: &Facts) -> Vec<Hit> {
    let mut hits = Vec::new();
    let (billing, network) = (&facts.billing_country, &facts.network_country);
    hits.extend(country("billing_country", "billed in", billing, &rules.billing_countries));
    hits.extend(country("network_country", "comes from", network, &rules.network_countries));
    if !billing.is_empty() && !network.is_empty() && billing != network {
        let evidence = format!("billed in {billing}, comes from {network}");
        hits.extend(hit("country_mismatch", rules.country_mismatch, evidence));
    }
    for (limit, count) in rules.limits.iter().zip(&facts.counts) {
        if *count >= limit.orders {
            let whose = match limit.by {
                By::Account => "of this account".to_owned(),
                By::Device => "from this browser".to_owned(),
                By::Network => format!("from {}", facts.network),
                By::Card => "of accounts that paid with the same card".to_owned(),
            };
            let evidence = format!("order {} {whose} within {} h, {} are usual", count + 1, limit.hours, limit.orders);
            hits.extend(hit(&format!("orders_by_{}", limit.by.as_str()), limit.verdict, evidence));
        }
    }
    let domain = &facts.mail_domain;
    if let Some(listed) = mail::listed(domain, &rules.mail_domains) {
        hits.extend(hit("mail_domain", rules.listed_mail, format!("`{listed}` is on the brand's list")));
    } else if mail::is_disposable(domain) {
        hits.extend(hit("disposable_mail", rules.disposable_mail, format!("`{domain}` gives throw-away addresses")));
    }
    let limit = rules.new_customer_amounts.iter().find(|limit| limit.currency == facts.amount.currency);
    if let Some(limit) = limit.filter(|limit| facts.is_new && facts.amount.minor > limit.minor) {
        let evidence = format!("{} for a first order, at most {limit} are usual", facts.amount);
        hits.extend(hit("new_customer_amount", rules.above_amount, evidence));
    }
    if let Some(sign) = facts.reused {
        hits.extend(hit(TRIAL_REUSE, rules.trial_reuse, format!("a trial was used {sign} before")));
    }
    hits
}

/// What all of them together ask for.
#[must_use]
pub fn verdict(hits: &[Hit]) -> Verdict {
    hits.iter().map(|hit| hit.verdict).max().unwrap_or_default()
}

#[cfg(test)]
mod tests;
