//! How a customer wants to pay by a page of a provider.

use crate::domain::provider::ProviderAccountId;

/// A hosted page somebody asks for.
#[derive(Clone, Debug)]
pub struct HostedPage {
    /// Where it returns to.
    pub return_url: String,
    /// Where it returns to when the customer gives up.
    pub cancel_url: String,
    /// The account at a provider they chose; none: the one that was chosen before, else whichever serves.
    pub chosen: Option<ProviderAccountId>,
}

impl HostedPage {
    /// One without a choice.
    #[must_use]
    pub const fn any(return_url: String, cancel_url: String) -> Self {
        Self { return_url, cancel_url, chosen: None }
    }
}
