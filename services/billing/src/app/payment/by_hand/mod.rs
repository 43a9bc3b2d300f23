//! Payments that people record: a reference that waits, what came under it, files that show it, and refunds somebody pays out.

mod list;
mod open;
mod payout;
mod proof;
mod record;
mod show;

pub use list::{Expected, Payout, Sought};
pub use record::{Arrived, ArrivedOf};
pub use show::Shown;

use ottery_kit::grpc::{Actor, ActorKind, Problem};
use sqlx::postgres::PgTransaction;

use crate::app::Billing;
use crate::domain::by_hand::{ByHandTerms, Person};
use crate::domain::provider::ProviderAccountId;
use crate::provider::ByHand;
use crate::store;
use crate::store::provider_account::ProviderAccount;

/// Purposes of keyed hashes: the name of a page, and the reference that waits there.
const PAGE_PURPOSE: &str = "billing.by_hand.page";
const REFERENCE_PURPOSE: &str = "billing.by_hand.reference";
/// Task of a record that waits for a second person.
const CONFIRM_TASK: &str = "by_hand_confirm";
/// Task of money nobody knows the owner of.
const UNASSIGNED_TASK: &str = "by_hand_unassigned";
/// Task of a refund somebody pays out.
const PAYOUT_TASK: &str = "by_hand_refund";
/// Task of money that was in the books and is none.
const TAKEN_BACK_TASK: &str = "by_hand_taken_back";

/// Whoever calls, as the four-eyes rule sees them.
fn person(actor: &Actor) -> Person {
    Person { subject: actor.subject.clone(), is_person: actor.kind == ActorKind::Staff }
}

fn no_such_page() -> Problem {
    Problem::not_found("BY_HAND_NOT_FOUND", "this payment page does not exist (any more)").on_field("token")
}

impl Billing {
    /// An account whose payments people record.
    async fn by_hand_account(
        &self,
        tx: &mut PgTransaction<'_>,
        id: ProviderAccountId,
    ) -> Result<(ProviderAccount, ByHand, ByHandTerms), Problem> {
        let found = store::provider_account::get(tx, id).await?;
        let found = found.and_then(|account| {
            let kind = self.providers.get(&account.provider)?.by_hand()?;
            let terms = account.terms.by_hand.clone()?;
            Some((account, kind, terms))
        });
        found.ok_or_else(|| {
            let message =
                format!("{id} is no account for bank transfers or cash; what it takes is reported by its provider");
            Problem::refused("NOT_BY_HAND", message).on_field("provider_account_id")
        })
    }
}
