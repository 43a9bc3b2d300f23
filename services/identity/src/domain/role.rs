//! Roles are sets of permissions; a grant gives a role on the whole platform or in one brand.

use std::collections::BTreeSet;
use std::str::FromStr;

use ottery_kernel::BrandId;

use super::Invalid;

/// Everything that can be allowed, `resource.action`.
pub const PERMISSIONS: &[&str] = &[
    "account.manage",
    "account.read",
    "affiliate.read",
    "analytics.read",
    "analytics.rebuild",
    "apikey.manage",
    "audit.read",
    "brand.read",
    "brand.update",
    "clock.advance",
    "delivery.read",
    "grant.manage",
    "invoice.manage",
    "invoice.read",
    "invoice.refund",
    "ledger.close",
    "ledger.read",
    "ledger.reopen",
    "order.create",
    "order.manage",
    "order.read",
    "panel.read",
    "panel.reveal",
    "panel.update",
    "plan.read",
    "plan.update",
    "service.manage",
    "service.read",
    "subscription.manage",
    "subscription.read",
    "ticket.read",
    "ticket.reply",
    "wallet.grant",
];

/// Everything, also what is added later.
pub const EVERYTHING: &str = "*";

/// A set of permissions with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything there is today, in the brands it is granted for.
    BrandAdmin,
    /// Answers customers and looks after their services.
    SupportAgent,
    /// Invoices, refunds, the ledger.
    Finance,
    /// Looks at everything but money's insides, changes nothing.
    Viewer,
    /// A customer: no permissions, only what is their own.
    Customer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Owner, Self::BrandAdmin, Self::SupportAgent, Self::Finance, Self::Viewer, Self::Customer];

    /// As stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::BrandAdmin => "brand_admin",
            Self::SupportAgent => "support_agent",
            Self::Finance => "finance",
            Self::Viewer => "viewer",
            Self::Customer => "customer",
        }
    }

    /// What it allows.
    #[must_use]
    pub fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::Owner => &[EVERYTHING],
            Self::BrandAdmin => PERMISSIONS,
            Self::SupportAgent => &[
                "account.read",
                "affiliate.read",
                "brand.read",
                "delivery.read",
                "invoice.read",
                "order.read",
                "panel.read",
                "plan.read",
                "service.manage",
                "service.read",
                "subscription.read",
                "ticket.read",
                "ticket.reply",
            ],
            Self::Finance => &[
                "account.read",
                "affiliate.read",
                "analytics.read",
                "brand.read",
                "invoice.manage",
                "invoice.read",
                "invoice.refund",
                "ledger.close",
                "ledger.read",
                "order.read",
                "plan.read",
                "subscription.read",
                "wallet.grant",
            ],
            Self::Viewer => &[
                "affiliate.read",
                "analytics.read",
                "brand.read",
                "delivery.read",
                "invoice.read",
                "order.read",
                "panel.read",
                "plan.read",
                "service.read",
                "subscription.read",
                "ticket.read",
            ],
            Self::Customer => &[],
        }
    }
}

impl FromStr for Role {
    type Err = Invalid;

    /// A role that can be granted; being a customer is not.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|role| role.as_str() == text && *role != Self::Customer).ok_or_else(|| {
            Invalid::new("role", "ROLE_UNKNOWN", "choose owner, brand_admin, support_agent, finance or viewer")
        })
    }
}

/// Where a granted role counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The role.
    pub role: Role,
    /// One brand; none is the whole platform.
    pub brand: Option<BrandId>,
}

/// What these grants allow in a brand, or on the platform when there is none.
#[must_use]
pub fn effective(held: &[Held], brand: Option<BrandId>) -> BTreeSet<String> {
    held.iter()
        .filter(|held| held.brand.is_none() || held.brand == brand)
        .flat_map(|held| held.role.permissions().iter().map(|permission| (*permission).to_owned()))
        .collect()
}

/// Whether a set allows something.
#[must_use]
pub fn allows(permissions: &BTreeSet<String>, wanted: &str) -> bool {
    permissions.contains(EVERYTHING) || permissions.contains(wanted)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn secure_s12_matrix_of_roles_permissions_and_scopes() {
        let own = BrandId::new(DateTime::UNIX_EPOCH);
        let sibling = BrandId::new(DateTime::UNIX_EPOCH);
        for role in Role::ALL {
            for scope in [None, Some(own)] {
                let held = [Held { role, brand: scope }];
                for wanted in PERMISSIONS {
                    let is_in_role = role == Role::Owner || role.permissions().contains(wanted);
                    for (place, counts) in
                        [(Some(own), true), (Some(sibling), scope.is_none()), (None, scope.is_none())]
                    {
                        let allowed = allows(&effective(&held, place), wanted);
                        assert_eq!(
                            allowed,
                            is_in_role && counts,
                            "{role:?} granted for {scope:?}: {wanted} in {place:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn secure_s12_roles_name_known_permissions_and_only_the_owner_holds_everything() {
        for role in Role::ALL {
            let strays: Vec<_> = role.permissions().iter().filter(|p| !PERMISSIONS.contains(p)).collect();
            assert_eq!(strays.is_empty(), role != Role::Owner, "{role:?}: {strays:?}");
        }
        let changing = |role: Role| role.permissions().iter().filter(|p| !p.ends_with(".read")).count();
        assert_eq!(changing(Role::Viewer), 0);
        assert_eq!(changing(Role::Customer), 0);
        assert!(!Role::SupportAgent.permissions().contains(&"panel.reveal"));
        assert!("customer".parse::<Role>().is_err() && "root".parse::<Role>().is_err());
    }
}
