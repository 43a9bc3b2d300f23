//! How a brand treats invoices where the law leaves it a choice.

use ottery_kernel::Money;
use serde::{Deserialize, Serialize};

/// What becomes of an open renewal of a subscription that ends, when its period had begun: it was served for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnpaidAtEnd {
    /// It is taken back: nothing is owed, nothing was sold.
    #[default]
    Void,
    /// It stays a claim that was given up: sold, lost, and settled if it is paid after all.
    WriteOff,
}

impl UnpaidAtEnd {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Void => "void",
            Self::WriteOff => "write_off",
        }
    }

    /// The policy stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Void, Self::WriteOff].into_iter().find(|policy| policy.as_str() == text)
    }
}

/// A brand's choices; what it never chose is as here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InvoiceRules {
    /// Of a subscription that ends.
    pub unpaid_at_end: UnpaidAtEnd,
    /// Bill time in which staff had a subscription suspended and nothing of it was paid; else it begins anew on its return.
    pub bills_time_off: bool,
    /// Ask for money by a pro forma invoice; it becomes the invoice with the first money that comes for it.
    pub proforma: bool,
    /// What a customer owes for several subscriptions due on one day of the brand's zone is one invoice.
    pub consolidated: bool,
    /// Grows with every change; 0 before the first.
    pub version: i64,
}

impl InvoiceRules {
    /// Whether an invoice over `total` only asks first, with `available` in the wallet. What is paid the moment it is issued
    /// is an invoice at once.
    #[must_use]
    pub const fn asks_first(&self, total: Money, available: Money) -> bool {
        self.proforma && total.is_positive() && !available.is_positive()
    }

    /// Whether a customer's renewals of one day are one invoice; `own` is what staff chose for them. A pro forma is of one
    /// subscription.
    #[must_use]
    pub fn consolidates(&self, own: Option<bool>) -> bool {
        !self.proforma && own.unwrap_or(self.consolidated)
    }
}
