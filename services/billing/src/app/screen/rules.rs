//! A brand's rules of the fraud screen: read, changed, and tried on orders that were.

use ottery_kernel::BrandId;
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;

use super::counts;
use crate::app::{Billing, broken, profile};
use crate::domain::screen::rules::{Invalid, ScreenRules};
use crate::domain::screen::{Facts, Hit, Verdict, screen, verdict};
use crate::store;
use crate::store::screen::Screening;

/// Orders that rules are tried on at most.
const TRIED_MAX: i64 = 100;

/// What rules would have said of an order that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The order as it was seen.
    pub seen: Screening,
    /// What they ask for.
    pub verdict: Verdict,
    /// Which of them have something to say.
    pub hits: Vec<Hit>,
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let message = invalid.to_string();
        Self::invalid(format!("rules.{}", invalid.field), invalid.code, message)
    }
}

impl Billing {
    /// What the brand wants, with its version.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn screen_rules(&self, brand: BrandId) -> Result<(ScreenRules, i64), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::screen::rules(&mut tx, brand).await?)
    }

    /// Changes it, for orders from now on; `expected` is the version that was read. A dry run checks and changes nothing.
    ///
    /// # Errors
    /// When the rules make no sense, or somebody else changed them since.
    pub async fn put_screen_rules(
        &self,
        actor: &Actor,
        brand: BrandId,
        (wanted, expected): (ScreenRules, i64),
        is_dry_run: bool,
    ) -> Result<(ScreenRules, i64), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        wanted.check(&profile(&mut tx, brand).await?.currencies)?;
        let (before, version) = store::screen::rules(&mut tx, brand).await?;
        let conflict = || {
            let message = "the rules were changed meanwhile; read them again and repeat";
            Problem::conflict("VERSION_CONFLICT", message).with("version", version)
        };
        if version != expected {
            return Err(conflict());
        }
        if is_dry_run {
            return Ok((wanted, version));
        }
        let after = expected.saturating_add(1);
        if !store::screen::put_rules(&mut tx, brand, (&wanted, after), now).await? {
            return Err(conflict());
        }
        let shown = |rules: &ScreenRules| serde_json::to_value(rules).map_err(broken);
        let (before, changed) = (shown(&before)?, shown(&wanted)?);
        audit::append(&mut tx, actor, "screen_rules.put", brand, Some(before), Some(json!({ "rules": changed })))
            .await?;
        tx.commit().await?;
        Ok((wanted, after))
    }

    /// What these rules would have said of the last orders, newest first. Where they came from is forgotten after a while;
    /// nothing is held against an order whose network is.
    ///
    /// # Errors
    /// When the rules make no sense.
    pub async fn try_screen_rules(
        &self,
        brand: BrandId,
        rules: &ScreenRules,
        orders: u32,
    ) -> Result<Vec<Said>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        rules.check(&profile(&mut tx, brand).await?.currencies)?;
        let limit = i64::from(orders).clamp(1, TRIED_MAX);
        let seen = store::screen::list(&mut tx, false, store::Page { before: None, limit }).await?;
        let mut said = Vec::with_capacity(seen.len());
        for seen in seen {
            let facts = Facts { counts: counts(&mut tx, rules, &seen).await?, ..seen.facts.clone() };
            let hits = screen(rules, &facts);
            said.push(Said { verdict: verdict(&hits), hits, seen });
        }
        Ok(said)
    }
}
