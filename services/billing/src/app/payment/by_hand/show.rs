//! What the page of a payment shows whoever pays.

use ottery_kernel::{BrandId, Money};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::no_such_page;
use crate::app::{Billing, broken};
use crate::domain::by_hand::{ByHandTerms, Facts, RecordState, Standing, Transfer};
use crate::domain::payment::State;
use crate::provider::ByHand;
use crate::store;
use crate::store::by_hand::{By, Proof, Record, Wait};
use crate::store::payment::Payment;

/// What its page shows of a payment.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its reference and page.
    pub wait: Wait,
    /// How it is paid.
    pub kind: ByHand,
    /// What payers are told.
    pub terms: ByHandTerms,
    /// How it stands.
    pub standing: Standing,
    /// What is still to be paid; zero when nothing is.
    pub due: Money,
    /// What came and is in the books.
    pub came: Money,
    /// What came and is being looked at.
    pub checking: Money,
    /// The text of a code for banks' apps; empty when there is none of such a payment.
    pub code: String,
    /// The files that were sent.
    pub proofs: Vec<Proof>,
}

impl Billing {
    /// What the page of a payment shows.
    ///
    /// # Errors
    /// When there is no such page in this brand.
    pub async fn show_by_hand(&self, brand: BrandId, token: &str) -> Result<Shown, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let wait = store::by_hand::find(&mut tx, By::Token(token)).await?.ok_or_else(no_such_page)?;
        self.shown_by_hand(&mut tx, wait).await
    }

    pub(super) async fn shown_by_hand(&self, tx: &mut PgTransaction<'_>, wait: Wait) -> Result<Shown, Problem> {
        let (_, kind, terms) = self.by_hand_account(tx, wait.provider_account).await?;
        let payment = store::payment::get(tx, wait.payment).await?.ok_or_else(no_such_page)?;
        let records = store::by_hand::records_of(tx, &[wait.id]).await?;
        let proofs = store::by_hand::proofs(tx, &[wait.id]).await?;
        let due = due(tx, &payment).await?;
        let facts = facts(&payment, &records, due);
        let standing = facts.standing();
        let code = code(&terms, kind, standing, due, &wait);
        Ok(Shown { wait, kind, terms, standing, due, came: facts.came, checking: facts.checking, code, proofs })
    }
}

/// How a payment stands by what was recorded for it.
pub(super) fn facts(payment: &Payment, records: &[Record], due: Money) -> Facts {
    let sum = |state| store::by_hand::sum(due.currency, records, state);
    Facts {
        due,
        came: sum(RecordState::Confirmed),
        checking: sum(RecordState::Waiting),
        is_claimed: payment.is_processing,
        is_closed: payment.is_withdrawn || matches!(payment.state, State::Failed | State::Cancelled),
    }
}

/// What is still to be paid of all a payment is for; of one that waits never more than it asks for.
pub(super) async fn due(tx: &mut PgTransaction<'_>, payment: &Payment) -> Result<Money, Problem> {
    let mut due = Money::zero(payment.amount.currency);
    for id in payment.invoices() {
        let Some(invoice) = store::invoice::get(tx, id).await?.filter(crate::domain::invoice::Invoice::is_claim) else {
            continue;
        };
        due = due.checked_add(invoice.remaining().map_err(broken)?).map_err(broken)?;
    }
    if payment.state != State::Succeeded {
        due.minor = due.minor.min(payment.amount.minor);
    }
    Ok(due)
}

fn code(terms: &ByHandTerms, kind: ByHand, standing: Standing, due: Money, wait: &Wait) -> String {
    let is_asked = matches!(standing, Standing::Waiting | Standing::Claimed | Standing::Short);
    let Ok(iban) = terms.iban.parse() else { return String::new() };
    if kind != ByHand::BankTransfer || !is_asked {
        return String::new();
    }
    let bic = terms.bic.parse().ok();
    let transfer = Transfer {
        beneficiary: &terms.beneficiary,
        iban: &iban,
        bic: bic.as_ref(),
        amount: due,
        reference: &wait.reference,
    };
    // Other currencies than EUR have none.
    transfer.payload().unwrap_or_default()
}
