//! Consolidated invoices as customers and staff know them: one, whichever of its parts somebody names; and whose invoices are
//! consolidated.

use std::collections::HashMap;

use ottery_kernel::{AccountId, BrandId, InvoiceId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;

use super::{Billing, broken, profile};
use crate::domain::consolidated::view;
use crate::domain::invoice::Invoice;
use crate::store;

/// How one customer is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invoicing {
    /// What staff chose for them; none: as the brand.
    pub own: Option<bool>,
    /// What counts: renewals due on one day are one invoice.
    pub is_consolidated: bool,
}

/// What `id` is known as: the whole of a consolidated invoice, when it names that or one of its parts.
///
/// # Errors
/// When the database fails.
pub(super) async fn known(tx: &mut PgTransaction<'_>, id: InvoiceId) -> Result<Option<Invoice>, Problem> {
    let found = store::invoice::get(tx, id).await?;
    let group = match &found {
        Some(invoice) if invoice.part.is_none() => return Ok(found),
        Some(part) => part.known_as(),
        None => id,
    };
    view(store::invoice::parts_of(tx, &[group]).await?).map_err(broken)
}

/// The same invoices, each part replaced by its whole.
///
/// # Errors
/// When the database fails.
pub(super) async fn wholes(tx: &mut PgTransaction<'_>, invoices: Vec<Invoice>) -> Result<Vec<Invoice>, Problem> {
    let mut groups: Vec<InvoiceId> = invoices.iter().filter_map(|invoice| Some(invoice.part?.group)).collect();
    if groups.is_empty() {
        return Ok(invoices);
    }
    groups.sort_unstable();
    groups.dedup();
    let mut parts: HashMap<InvoiceId, Vec<Invoice>> = HashMap::new();
    for part in store::invoice::parts_of(tx, &groups).await? {
        parts.entry(part.known_as()).or_default().push(part);
    }
    invoices
        .into_iter()
        .map(|invoice| match parts.get(&invoice.known_as()).filter(|_| invoice.part.is_some()) {
            Some(parts) => Ok(view(parts.clone()).map_err(broken)?.unwrap_or(invoice)),
            None => Ok(invoice),
        })
        .collect()
}

fn no_customer(account: AccountId) -> Problem {
    Problem::not_found("CUSTOMER_NOT_FOUND", format!("{account} never bought anything here")).on_field("account_id")
}

impl Billing {
    /// How a customer is billed.
    ///
    /// # Errors
    /// When billing does not know them.
    pub async fn customer_invoicing(&self, brand: BrandId, account: AccountId) -> Result<Invoicing, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let rules = profile(&mut tx, brand).await?.rules;
        let customer =
            store::customer::get_all(&mut tx, &[account]).await?.pop().ok_or_else(|| no_customer(account))?;
        let own = customer.consolidated;
        Ok(Invoicing { own, is_consolidated: rules.consolidates(own) })
    }

    /// Chooses how a customer is billed, from the next renewal on.
    ///
    /// # Errors
    /// When billing does not know them, or the brand asks by a pro forma first.
    pub async fn put_customer_invoicing(
        &self,
        actor: &Actor,
        brand: BrandId,
        account: AccountId,
        own: Option<bool>,
    ) -> Result<Invoicing, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let rules = profile(&mut tx, brand).await?.rules;
        if own == Some(true) && rules.proforma {
            let message = "consolidation: the brand asks by a pro forma invoice, which is for one subscription";
            return Err(Problem::invalid("consolidation", "RULES_CONTRADICT", message));
        }
        let before = store::customer::lock_all(&mut tx, &[account]).await?.pop().ok_or_else(|| no_customer(account))?;
        if before.consolidated != own {
            store::customer::set_consolidated(&mut tx, account, own).await?;
            let shown = |own: Option<bool>| Some(json!({ "consolidated": own }));
            audit::append(&mut tx, actor, "customer_invoicing.put", account, shown(before.consolidated), shown(own))
                .await?;
        }
        tx.commit().await?;
        Ok(Invoicing { own, is_consolidated: rules.consolidates(own) })
    }
}
