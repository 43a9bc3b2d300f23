//! Files by which customers show that they have paid.

use chrono::TimeDelta;
use ottery_kernel::{AccountId, BrandId};
use ottery_kit::grpc::Problem;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::super::{Teller, apply, settle};
use super::{Shown, no_such_page};
use crate::app::Billing;
use crate::domain::by_hand::{FILES_MAX, ProofKind, ProofRefused, Standing, safe_name};
use crate::domain::payment::{State, Truth};
use crate::store;
use crate::store::by_hand::{By, Proof};
use crate::store::errand;

fn refused(error: ProofRefused) -> Problem {
    Problem::invalid("proof", "PROOF_REFUSED", format!("proof: {error}"))
}

fn no_such_file() -> Problem {
    Problem::not_found("PROOF_NOT_FOUND", "this file does not exist (any more)").on_field("proof_id")
}

impl Billing {
    /// Keeps a file the payer sends. A payment that waits is from then on one that may be on its way: nobody is reminded of it, and
    /// what is served goes on, for as long as for a payment that is being processed. The same file again changes nothing.
    ///
    /// # Errors
    /// When it is no proof, there are enough, or nothing is to be paid.
    pub async fn add_proof(&self, brand: BrandId, token: &str, name: &str, content: &[u8]) -> Result<Shown, Problem> {
        let kind = ProofKind::of(content).map_err(refused)?;
        let (mut tx, now) = self.begin(brand).await?;
        let found = store::by_hand::find(&mut tx, By::Token(token)).await?.ok_or_else(no_such_page)?;
        let (_, payment) = settle::lock(&mut tx, found.payment).await?;
        let shown = self.shown_by_hand(&mut tx, found.clone()).await?;
        if matches!(shown.standing, Standing::Paid | Standing::Closed) {
            let message = "nothing is to be paid here (any more), so no proof is needed; look at the invoice";
            return Err(Problem::refused("BY_HAND_NOT_OPEN", message).on_field("proof"));
        }
        let sent_at = store::provider_account::real_now(&mut tx).await?;
        let proof = Proof {
            id: Uuid::now_v7(),
            wait: found.id,
            name: safe_name(name, kind),
            kind,
            bytes: i64::try_from(content.len()).unwrap_or(i64::MAX),
            sent_at,
        };
        let is_new = store::by_hand::keep(&mut tx, brand, &proof, content, &Sha256::digest(content)).await?;
        if !is_new {
            return Ok(shown);
        }
        if shown.proofs.len() >= FILES_MAX {
            return Err(refused(ProofRefused::Many));
        }
        let kept_for = TimeDelta::days(self.config.by_hand.proof_days.into());
        errand::plan(&mut tx, brand, errand::Kind::Proof, &[proof.id], kept_for).await?;
        if payment.state == State::Pending && !payment.is_processing && !payment.is_withdrawn {
            let teller = Teller { account: found.provider_account, provider: shown.kind.name(), tries: 0 };
            let truth = Truth::Processing { provider_ref: format!("claimed_{}", payment.id) };
            Box::pin(apply(&mut tx, self, brand, payment.id, truth, teller, now)).await?;
        }
        let shown = self.shown_by_hand(&mut tx, found).await?;
        tx.commit().await?;
        Ok(shown)
    }

    /// A file with its content. `owner` limits it to that customer's own payments.
    ///
    /// # Errors
    /// When there is no such file, or it is somebody else's.
    pub async fn read_proof(
        &self,
        brand: BrandId,
        id: Uuid,
        owner: Option<AccountId>,
    ) -> Result<(Proof, Vec<u8>), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let (wait, content) = store::by_hand::content(&mut tx, id).await?.ok_or_else(no_such_file)?;
        let wait = store::by_hand::find(&mut tx, By::Id(wait)).await?.ok_or_else(no_such_file)?;
        let payment = store::payment::get(&mut tx, wait.payment).await?.ok_or_else(no_such_file)?;
        if owner.is_some_and(|owner| owner != payment.account) {
            return Err(no_such_file());
        }
        let proofs = store::by_hand::proofs(&mut tx, &[wait.id]).await?;
        let proof = proofs.into_iter().find(|proof| proof.id == id).ok_or_else(no_such_file)?;
        Ok((proof, content))
    }

    /// A file was kept for as long as it is to be.
    ///
    /// # Errors
    /// When the database fails; the errand is then done later.
    pub(crate) async fn run_proof(&self, brand: BrandId, id: Uuid) -> Result<(), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        store::by_hand::forget(&mut tx, id).await?;
        errand::done(&mut tx, id).await?;
        Ok(tx.commit().await?)
    }
}
