//! What a brand wants of the fraud screen. A brand that never said anything accepts every order.

use std::collections::HashSet;

use ottery_kernel::{Currency, Money};
use serde::{Deserialize, Serialize};

use super::{By, Verdict};

/// Countries of one list.
const COUNTRIES_MAX: usize = 250;
/// Limits of one brand.
const LIMITS_MAX: usize = 12;
const ORDERS: std::ops::RangeInclusive<u32> = 1..=1_000;
/// A month.
const HOURS: std::ops::RangeInclusive<u32> = 1..=720;
/// Domains of one brand's own list.
const DOMAINS_MAX: usize = 1_000;
/// Characters of a domain name.
const DOMAIN_CHARS_MAX: usize = 253;

/// Countries as ISO 3166-1 alpha-2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countries {
    /// Nobody from elsewhere is accepted; empty: from everywhere.
    pub allow_only: Vec<String>,
    /// Nobody from here is.
    pub deny: Vec<String>,
    /// Staff look at who is from here.
    pub review: Vec<String>,
}

/// How many orders are usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// By what they are counted.
    pub by: By,
    /// So many are; the next one is a hit.
    pub orders: u32,
    /// Within so many hours.
    pub hours: u32,
    /// What is done with one more.
    pub verdict: Verdict,
}

/// A brand's rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenRules {
    /// By the country the customer is billed in.
    pub billing_countries: Countries,
    /// By the country a proxy in front says they are in, where one does.
    pub network_countries: Countries,
    /// When these two differ.
    pub country_mismatch: Verdict,
    /// How many orders are usual.
    pub limits: Vec<Limit>,
    /// Of addresses that are thrown away.
    pub disposable_mail: Verdict,
    /// Domains (and what is below them) of the brand's own list.
    pub mail_domains: Vec<String>,
    /// Of addresses on it.
    pub listed_mail: Verdict,
    /// What a first order may cost, per currency.
    pub new_customer_amounts: Vec<Money>,
    /// Of a first order above that.
    pub above_amount: Verdict,
    /// Of a trial by somebody who is known to have had one: refused by the trial rules, or staff decide.
    pub trial_reuse: Verdict,
}

impl Default for ScreenRules {
    fn default() -> Self {
        Self {
            billing_countries: Countries::default(),
            network_countries: Countries::default(),
            country_mismatch: Verdict::Allow,
            limits: Vec::new(),
            disposable_mail: Verdict::Allow,
            mail_domains: Vec::new(),
            listed_mail: Verdict::Allow,
            new_customer_amounts: Vec::new(),
            above_amount: Verdict::Allow,
            trial_reuse: Verdict::Deny,
        }
    }
}

/// Rules that say something impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct Invalid {
    /// Where: `limits[2].hours`.
    pub field: String,
    /// Stable word for the rule.
    pub code: &'static str,
    /// What would be accepted, and what was given.
    pub rule: String,
}

fn invalid(field: impl Into<String>, code: &'static str, rule: impl Into<String>) -> Invalid {
    Invalid { field: field.into(), code, rule: rule.into() }
}

fn check_countries(field: &str, lists: &Countries) -> Result<(), Invalid> {
    let mut seen = HashSet::new();
    for (name, list) in [("allow_only", &lists.allow_only), ("deny", &lists.deny), ("review", &lists.review)] {
        let field = format!("{field}.{name}");
        if list.len() > COUNTRIES_MAX {
            return Err(invalid(field, "TOO_MANY", format!("name at most {COUNTRIES_MAX} countries")));
        }
        let mut own = HashSet::new();
        for code in list {
            if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
                let rule = format!("write countries as two letters such as `DE`, not `{code}`");
                return Err(invalid(field, "COUNTRY_INVALID", rule));
            }
            // One that is allowed may still be reviewed.
            let is_new = own.insert(code) && (name == "allow_only" || seen.insert(code));
            let is_both = name == "deny" && lists.allow_only.contains(code);
            if !is_new || is_both {
                return Err(invalid(field, "COUNTRY_TWICE", format!("`{code}` is named twice; leave one of them out")));
            }
        }
    }
    Ok(())
}

fn check_limit(n: usize, limit: &Limit) -> Result<(), Invalid> {
    let field = |name: &str| format!("limits[{n}].{name}");
    if !ORDERS.contains(&limit.orders) {
        let rule = format!("say {} to {} orders, not {}", ORDERS.start(), ORDERS.end(), limit.orders);
        return Err(invalid(field("orders"), "RANGE", rule));
    }
    if !HOURS.contains(&limit.hours) {
        let rule = format!("say {} to {} hours, not {}", HOURS.start(), HOURS.end(), limit.hours);
        return Err(invalid(field("hours"), "RANGE", rule));
    }
    if limit.verdict == Verdict::Allow {
        return Err(invalid(
            field("verdict"),
            "LIMIT_WITHOUT_EFFECT",
            "say review or deny; leave the limit out to allow it",
        ));
    }
    Ok(())
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|char| char == '-' || char.is_alphanumeric() && !char.is_uppercase())
    };
    text.chars().count() <= DOMAIN_CHARS_MAX && text.contains('.') && text.split('.').all(is_label)
}

impl ScreenRules {
    /// Whether the brand screens at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self != Self::default()
    }

    /// Holds them against what makes sense, for a brand that sells in these currencies.
    ///
    /// # Errors
    /// The first thing that does not, with its field and what would be accepted.
    pub fn check(&self, currencies: &[Currency]) -> Result<(), Invalid> {
        check_countries("billing_countries", &self.billing_countries)?;
        check_countries("network_countries", &self.network_countries)?;
        if self.limits.len() > LIMITS_MAX {
            return Err(invalid("limits", "TOO_MANY", format!("name at most {LIMITS_MAX} limits")));
        }
        for (n, limit) in self.limits.iter().enumerate() {
            check_limit(n, limit)?;
        }
        if self.mail_domains.len() > DOMAINS_MAX {
            return Err(invalid("mail_domains", "TOO_MANY", format!("name at most {DOMAINS_MAX} domains")));
        }
        if let Some(wrong) = self.mail_domains.iter().find(|domain| !is_domain(domain)) {
            let rule = format!("write domains in lower case such as `mail.example`, not `{wrong}`");
            return Err(invalid("mail_domains", "DOMAIN_INVALID", rule));
        }
        if !self.mail_domains.is_empty() && self.listed_mail == Verdict::Allow {
            return Err(invalid("listed_mail", "LIST_WITHOUT_EFFECT", "say review or deny, or empty the list"));
        }
        for (n, amount) in self.new_customer_amounts.iter().enumerate() {
            let field = format!("new_customer_amounts[{n}]");
            if !currencies.contains(&amount.currency) {
                let rule = format!("the brand does not sell in {}", amount.currency);
                return Err(invalid(field, "CURRENCY_NOT_SOLD", rule));
            }
            if amount.minor < 0 {
                return Err(invalid(field, "AMOUNT_NEGATIVE", "an amount is not negative"));
            }
            if self.new_customer_amounts[..n].iter().any(|before| before.currency == amount.currency) {
                return Err(invalid(field, "CURRENCY_TWICE", format!("{} is named twice", amount.currency)));
            }
        }
        if !self.new_customer_amounts.is_empty() && self.above_amount == Verdict::Allow {
            return Err(invalid(
                "above_amount",
                "LIMIT_WITHOUT_EFFECT",
                "say review or deny, or leave the amounts out",
            ));
        }
        if self.trial_reuse == Verdict::Allow {
            let rule = "say review or deny; what counts as a reuse is said by the trial rules";
            return Err(invalid("trial_reuse", "RULE_WITHOUT_EFFECT", rule));
        }
        Ok(())
    }
}
