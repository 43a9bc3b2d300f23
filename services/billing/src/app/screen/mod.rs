//! The fraud screen: what the brand's rules say of an order, in the order's own transaction.

mod review;
mod rules;

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;
use ottery_kernel::{BrandId, OrderId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::Billing;
use super::order::Place;
use super::trial::used;
use crate::domain::screen::rules::ScreenRules;
use crate::domain::screen::{By, Facts, Hit, TRIAL_REUSE, Verdict, mail, screen, verdict};
use crate::domain::trial::Sign;
use crate::store;
use crate::store::customer::Customer;
use crate::store::quote::Stored;
use crate::store::screen::Screening;

pub use rules::Said;

/// Where an order comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// The browser's long-lived id; empty for none.
    pub device: String,
    /// The network, as it is kept; empty for unknown.
    pub network: String,
    /// Where a proxy in front says they are; empty for unknown.
    pub country: String,
}

/// Bits of a network that is one customer's or one provider's neighbourhood.
const PREFIX_V4: u8 = 24;
const PREFIX_V6: u8 = 48;
/// How many old ones one new order forgets.
const FORGET_MAX: i64 = 20;

/// The network of an address, which is all that is kept of it.
#[must_use]
pub fn network_of(address: IpAddr) -> String {
    let address = address.to_canonical();
    let prefix = if address.is_ipv4() { PREFIX_V4 } else { PREFIX_V6 };
    IpNet::new(address, prefix).map(|net| net.trunc().to_string()).unwrap_or_default()
}

/// What whoever asked for it is told. What the rules are is how to get around them, so they learn no more than that; only that
/// there is no second trial is no secret.
fn refusal(seen: Option<&Screening>) -> Problem {
    let denies = |hit: &&Hit| hit.verdict == Verdict::Deny;
    let is_trial = seen.is_some_and(|seen| seen.hits.iter().filter(denies).all(|hit| hit.rule == TRIAL_REUSE));
    match seen.and_then(|seen| seen.facts.reused).filter(|_| is_trial) {
        Some(sign) => used(Some(sign)),
        None => {
            Problem::refused("ORDER_REFUSED", "we cannot accept this order; write to us if you think that is wrong")
        }
    }
}

impl Billing {
    /// What the rules say of an order that is about to be placed; nothing of one that staff or a program places. The caller
    /// holds the customer's lock. `reused`: by what they are known to have had a trial, when they want another.
    pub(super) async fn screened(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        (place, quote, order): (&Place, &Stored, OrderId),
        customer: Option<&Customer>,
        reused: Option<Sign>,
        now: DateTime<Utc>,
    ) -> Result<Option<Screening>, Problem> {
        let Some(visit) = &place.visit else {
            return if reused.is_some() { Err(used(reused)) } else { Ok(None) };
        };
        let (rules, version) = store::screen::rules(tx, brand).await?;
        let device = Some(visit.device.as_str()).filter(|device| !device.is_empty());
        let mut seen = Screening {
            id: Uuid::now_v7(),
            order: Some(order),
            account: place.account,
            plan_name: quote.offer.plan_name.clone(),
            facts: Facts {
                mail_domain: mail::domain_of(&place.buyer.email),
                billing_country: customer.map(|known| known.buyer.country.clone()).unwrap_or_default(),
                network_country: visit.country.clone(),
                network: visit.network.clone(),
                amount: quote.quote.due_now,
                is_new: customer.is_none_or(|known| known.first_settled_at.is_none()),
                reused,
                counts: Vec::new(),
            },
            device: device.map(|device| self.trial_hash(brand, Sign::Device, device)),
            verdict: Verdict::Allow,
            hits: Vec::new(),
            rules_version: version,
            screened_at: now,
            decided: None,
        };
        lock_counters(tx, &rules, &seen).await?;
        // Ids made by different processes are not in order: whoever waited for the lock comes after.
        seen.id = Uuid::now_v7();
        seen.facts.counts = counts(tx, &rules, &seen).await?;
        seen.hits = screen(&rules, &seen.facts);
        seen.verdict = verdict(&seen.hits);
        if seen.verdict == Verdict::Deny {
            seen.order = None;
        }
        Ok(Some(seen))
    }

    /// Keeps what was seen, and forgets where older orders came from.
    pub(super) async fn keep_screening(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        seen: &Screening,
    ) -> Result<(), Problem> {
        store::screen::insert(tx, brand, seen).await?;
        let before = seen.screened_at - self.config.screening.keep();
        store::screen::forget(tx, brand, before, FORGET_MAX).await?;
        Ok(())
    }

    /// Keeps what was seen of an order that is denied, which leaves nothing else behind, and what its customer is told.
    pub(super) async fn denied(&self, brand: BrandId, seen: Option<&Screening>) -> Result<Problem, Problem> {
        if let Some(seen) = seen {
            let (mut tx, _) = self.begin(brand).await?;
            self.keep_screening(&mut tx, brand, seen).await?;
            tx.commit().await?;
        }
        Ok(refusal(seen))
    }
}

/// Of orders that come at once by the same browser or network each sees the ones before it. An account's own are held by its
/// customer's lock.
async fn lock_counters(tx: &mut PgTransaction<'_>, rules: &ScreenRules, seen: &Screening) -> sqlx::Result<()> {
    for by in By::ALL {
        if !rules.limits.iter().any(|limit| limit.by == by) {
            continue;
        }
        match by {
            By::Account => {}
            By::Device => {
                if let Some(device) = &seen.device {
                    store::screen::lock(tx, by, &hex::encode(device)).await?;
                }
            }
            By::Network => store::screen::lock(tx, by, &seen.facts.network).await?,
            By::Card => {
                for card in store::trial::cards(tx, seen.account).await? {
                    store::screen::lock(tx, by, &hex::encode(card)).await?;
                }
            }
        }
    }
    Ok(())
}

/// Orders before this one, one number for each limit.
async fn counts(tx: &mut PgTransaction<'_>, rules: &ScreenRules, seen: &Screening) -> sqlx::Result<Vec<u32>> {
    let mut counts = Vec::with_capacity(rules.limits.len());
    for limit in &rules.limits {
        let since = seen.screened_at - TimeDelta::hours(limit.hours.into());
        counts.push(store::screen::count(tx, limit.by, seen, since).await?);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_its_network_is_kept() {
        for (address, network) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ] {
            assert_eq!(network_of(address.parse().unwrap()), network);
        }
    }
}
