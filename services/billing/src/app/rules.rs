//! A brand's choices about invoices, read and changed.

use ottery_kernel::BrandId;
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::{Value, json};

use super::Billing;
use crate::domain::rules::InvoiceRules;
use crate::store;

fn shown(rules: &InvoiceRules) -> Value {
    json!({ "unpaid_at_end": rules.unpaid_at_end.as_str(), "bills_time_off": rules.bills_time_off,
            "proforma": rules.proforma, "consolidated": rules.consolidated })
}

impl Billing {
    /// What the brand chose.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn invoice_rules(&self, brand: BrandId) -> Result<InvoiceRules, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::rules::get(&mut tx, brand).await?)
    }

    /// Changes what the brand chose, from now on; `wanted` carries the version that was read.
    ///
    /// # Errors
    /// When somebody else changed it since, or both a pro forma and consolidated invoices are wanted.
    pub async fn put_invoice_rules(
        &self,
        actor: &Actor,
        brand: BrandId,
        wanted: InvoiceRules,
    ) -> Result<InvoiceRules, Problem> {
        if wanted.consolidated && wanted.proforma {
            let message = "consolidated: a pro forma invoice asks for one subscription; switch `proforma` off first";
            return Err(Problem::invalid("consolidated", "RULES_CONTRADICT", message));
        }
        let (mut tx, now) = self.begin(brand).await?;
        let before = store::rules::get(&mut tx, brand).await?;
        let after = InvoiceRules { version: wanted.version.saturating_add(1), ..wanted };
        if before.version != wanted.version || !store::rules::put(&mut tx, brand, &after, now).await? {
            let message = "the rules were changed meanwhile; read them again and repeat";
            return Err(Problem::conflict("VERSION_CONFLICT", message).with("version", before.version));
        }
        audit::append(&mut tx, actor, "invoice_rules.put", brand, Some(shown(&before)), Some(shown(&after))).await?;
        tx.commit().await?;
        Ok(after)
    }
}
