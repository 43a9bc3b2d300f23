//! What tests may see and change behind the provider's back.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Payments,
    model::{Dispute, Event},
};
use crate::{config::AccountSpec, store::Change};

/// Changes of an account; absent fields stay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountPatch {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub api_key: Option<String>,
    #[serde(default)]
    pub webhook_url: Option<String>,
    #[serde(default)]
    pub webhook_secrets: Option<Vec<String>>,
}

impl Payments {
    /// Makes or changes an account.
    pub fn put_account(&self, id: &str, patch: AccountPatch) -> Value {
        let mut state = self.state();
        let fresh = || AccountSpec {
            id: id.to_owned(),
            api_key: format!("sk_sandbox_{}", self.context.chance.hex(24)),
            webhook_secrets: vec![format!("whsec_{}", self.context.chance.hex(24))],
            ..AccountSpec::default()
        };
        let account = state.accounts.entry(id.to_owned()).or_insert_with(fresh);
        account.name = patch.name.unwrap_or_else(|| account.name.clone());
        account.api_key = patch.api_key.unwrap_or_else(|| account.api_key.clone());
        account.webhook_url = patch.webhook_url.or_else(|| account.webhook_url.clone());
        account.webhook_secrets = patch.webhook_secrets.unwrap_or_else(|| account.webhook_secrets.clone());
        let mut change = Change::default();
        change.put(format!("pay/account/{id}"), account);
        self.context.store.commit(change);
        // It may have an address now.
        self.opened.notify_waiters();
        json!(account)
    }

    /// Every account with its keys.
    pub fn list_accounts(&self) -> Value {
        json!(self.state().accounts.values().collect::<Vec<_>>())
    }

    /// Payments of a reference (or all), with what they add up to.
    pub fn list_charges(&self, reference: Option<&str>) -> Value {
        let state = self.state();
        let mut rows: Vec<_> = state
            .payments
            .values()
            .filter(|payment| reference.is_none_or(|reference| payment.reference == reference))
            .collect();
        rows.sort_unstable_by_key(|payment| payment.seq);
        let succeeded: Vec<_> = rows.iter().filter(|payment| payment.status == "succeeded").collect();
        json!({
            "count": rows.len(),
            "succeeded": succeeded.len(),
            "captured_minor": succeeded.iter().map(|payment| payment.amount.minor).sum::<i64>(),
            "refunded_minor": succeeded.iter().map(|payment| payment.refunded_minor).sum::<i64>(),
            "charges": rows.iter().map(|payment| payment.json()).collect::<Vec<_>>(),
        })
    }

    /// Events of a type and reference, oldest first, with the state of their delivery.
    pub fn list_events(&self, kind: Option<&str>, reference: Option<&str>) -> Value {
        let state = self.state();
        let fits = |event: &&Event| {
            kind.is_none_or(|kind| event.kind == kind)
                && reference.is_none_or(|reference| event.object["reference"] == reference)
        };
        let rows: Vec<Value> = state
            .events
            .values()
            .filter(fits)
            .map(|event| {
                let mut row = event.json();
                row["delivery"] = json!({
                    "state": event.delivery, "attempts": event.attempts, "last_status": event.last_status,
                    "next_at_ms": state.delivering.get(&event.seq),
                });
                row
            })
            .collect();
        Value::Array(rows)
    }

    /// Holds webhooks back or lets them go.
    pub fn pause_webhooks(&self, is_paused: bool) {
        self.state().is_paused = is_paused;
        self.bell.notify_one();
        self.opened.notify_waiters();
    }

    /// Opens a dispute.
    pub fn dispute(&self, payment: &str, reason: &str) -> Option<Dispute> {
        let mut state = self.state();
        let mut change = Change::default();
        let dispute = self.open_dispute(&mut state, &mut change, payment, reason);
        self.context.store.commit(change);
        dispute
    }

    /// Closes a dispute, `won` or `lost`.
    pub fn decide(&self, id: &str, outcome: &str) -> Option<Dispute> {
        let mut state = self.state();
        let mut change = Change::default();
        let dispute = self.close_dispute(&mut state, &mut change, id, outcome);
        self.context.store.commit(change);
        dispute
    }

    /// Expires an open checkout.
    pub fn expire_now(&self, id: &str) -> bool {
        let mut state = self.state();
        if !state.checkouts.contains_key(id) {
            return false;
        }
        let mut change = Change::default();
        self.expire(&mut state, &mut change, id);
        self.context.store.commit(change);
        true
    }

    /// Calls by action, and totals.
    pub fn counters(&self) -> Value {
        let state = self.state();
        json!({
            "calls": state.calls, "payments": state.payments.len(), "refunds": state.refunds.len(),
            "checkouts": state.checkouts.len(), "disputes": state.disputes.len(), "events": state.events.len(),
            "undelivered": state.events.values().filter(|event| event.delivery == "pending").count(),
            "forged": state.forged,
        })
    }
}
