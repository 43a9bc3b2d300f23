//! Plans that are bought with another one.

use serde::{Deserialize, Serialize};

use super::plan::{Content, Price};
use super::{Invalid, Slug};

/// Plans an add-on may name.
const PLANS_MAX: usize = 100;

/// What makes a plan an add-on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddOnRule {
    /// Addresses of the plans it can be added to; empty: any.
    pub plans: Vec<Slug>,
}

impl AddOnRule {
    /// Checks what somebody wrote.
    ///
    /// # Errors
    /// The first address that is none.
    pub fn validate(plans: Vec<String>) -> Result<Self, Invalid> {
        if plans.len() > PLANS_MAX {
            return Err(Invalid::new("content.addon.plans", "LENGTH", format!("name at most {PLANS_MAX} plans")));
        }
        let read = |(n, text): (usize, &String)| {
            text.parse().map_err(|invalid: Invalid| Invalid { field: format!("content.addon.plans[{n}]"), ..invalid })
        };
        Ok(Self { plans: plans.iter().enumerate().map(read).collect::<Result<_, _>>()? })
    }
}

/// What an add-on cannot have: it lives on a subscription, which has the trial, the options and the end.
///
/// # Errors
/// The first field that cannot be.
pub fn check(content: &Content, prices: &[Price]) -> Result<(), Invalid> {
    if content.addon.is_none() {
        return Ok(());
    }
    if content.trial_days > 0 {
        return Err(Invalid::new("content.trial_days", "ADDON_TRIAL", "an add-on has no trial of its own; use 0"));
    }
    if !content.options.is_empty() {
        return Err(Invalid::new(
            "content.options",
            "ADDON_OPTIONS",
            "an add-on has no options; make them add-ons too",
        ));
    }
    match prices.iter().position(|price| price.once) {
        Some(n) => {
            let message = "an add-on ends with its subscription; it cannot be a pass";
            Err(Invalid::new(format!("content.prices[{n}].once"), "ADDON_PASS", message))
        }
        None => Ok(()),
    }
}

/// A plan stays what it was made as: subscriptions rely on it.
///
/// # Errors
/// When a plan would become an add-on.
pub fn check_kind(before: &Content, after: &Content) -> Result<(), Invalid> {
    if before.addon.is_some() == after.addon.is_some() {
        return Ok(());
    }
    Err(Invalid::new("content.addon", "PLAN_KIND", "a plan cannot become an add-on; make a new one and archive this"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::{ContentDraft, PanelMapping};

    fn draft(addon: Option<Vec<String>>) -> ContentDraft {
        ContentDraft { name: "Sport".into(), addon, ..ContentDraft::default() }
    }

    #[test]
    fn an_add_on_needs_neither_streams_nor_bouquets_of_its_own() {
        let addon = draft(Some(vec!["family".into()])).validate().unwrap();
        assert_eq!((addon.connections, addon.mapping.bouquet_ids.len()), (0, 0));
        assert_eq!(draft(None).validate().unwrap_err().field, "content.connections");
        let bad = draft(Some(vec!["family".into(), "Two Words".into()])).validate().unwrap_err();
        assert_eq!((bad.field.as_str(), bad.reason), ("content.addon.plans[1]", "SLUG_MALFORMED"));
        let negative = PanelMapping { bouquet_ids: vec![-1], ..PanelMapping::default() };
        let bad = ContentDraft { mapping: negative, ..draft(Some(Vec::new())) }.validate().unwrap_err();
        assert_eq!(bad.field, "content.mapping.bouquet_ids");
    }

    #[test]
    fn a_trial_is_the_subscriptions_and_a_plan_stays_a_plan() {
        let addon = draft(Some(Vec::new())).validate().unwrap();
        let tried = Content { trial_days: 3, ..addon.clone() };
        assert_eq!(check(&tried, &[]).unwrap_err().reason, "ADDON_TRIAL");
        let plan = Content { addon: None, ..addon.clone() };
        assert_eq!(check_kind(&plan, &addon).unwrap_err().reason, "PLAN_KIND");
        // Who does not know of add-ons does not turn one into a plan.
        assert_eq!(draft(None).after(&addon).validate().unwrap(), addon);
    }
}
