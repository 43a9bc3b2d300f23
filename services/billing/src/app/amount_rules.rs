//! What amounts a brand takes, read and changed.

use ottery_kernel::BrandId;
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::{Value, json};

use super::{Billing, profile};
use crate::domain::amount_rules::AmountRules;
use crate::store;

fn shown(rules: &AmountRules) -> Value {
    json!(rules.rules)
}

impl Billing {
    /// What the brand takes, one rule per currency it sells in.
    ///
    /// # Errors
    /// When the brand is unknown.
    pub async fn amount_rules(&self, brand: BrandId) -> Result<AmountRules, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let sold = profile(&mut tx, brand).await?.currencies;
        let rules = store::amount_rules::get(&mut tx, brand).await?;
        Ok(AmountRules { rules: sold.into_iter().map(|currency| rules.of(currency)).collect(), ..rules })
    }

    /// Changes what the brand takes, from now on; `wanted` carries the version that was read.
    ///
    /// # Errors
    /// When a rule is none, or somebody else changed them since.
    pub async fn put_amount_rules(
        &self,
        actor: &Actor,
        brand: BrandId,
        wanted: AmountRules,
    ) -> Result<AmountRules, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let sold = profile(&mut tx, brand).await?.currencies;
        wanted.check(&sold).map_err(|why| Problem::invalid(why.field(), "AMOUNT_RULE_INVALID", why.to_string()))?;
        let before = store::amount_rules::get(&mut tx, brand).await?;
        let after = AmountRules { version: wanted.version.saturating_add(1), ..wanted };
        if before.version.saturating_add(1) != after.version
            || !store::amount_rules::put(&mut tx, brand, &after, now).await?
        {
            let message = "the rules were changed meanwhile; read them again and repeat";
            return Err(Problem::conflict("VERSION_CONFLICT", message).with("version", before.version));
        }
        audit::append(&mut tx, actor, "amount_rules.put", brand, Some(shown(&before)), Some(shown(&after))).await?;
        tx.commit().await?;
        Ok(AmountRules { rules: sold.into_iter().map(|currency| after.of(currency)).collect(), ..after })
    }
}
