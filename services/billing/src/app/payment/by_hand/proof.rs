//! Files by which customers show that they have paid.

use chrono::TimeDelta;
use ottery_kernel::{AccountId, BrandId};
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::{audit, outbox};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::super::{Teller, apply, settle};
use super::record::text;
use super::show::due;
use super::{Shown, no_such_page};
use crate::app::Billing;
use crate::domain::by_hand::{FILES_MAX, ProofKind, ProofRefused, Standing, safe_name};
use crate::domain::payment::{State, Truth};
use crate::events::by_hand;
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
    /// what is served goes on, for as long as for a payment that is being processed. The same file again changes nothing. Of whom a
    /// file was refused, more files are kept, and staff looks at them, but nothing goes on for their sake.
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
            refused: None,
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
        let is_believed = shown.proofs.iter().all(|proof| proof.refused.is_none());
        if is_believed && payment.state == State::Pending && !payment.is_processing && !payment.is_withdrawn {
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

    /// Says that a file is no proof, and tells its customer so. When none is left that may be one, nobody waits for the money any
    /// longer than for one of whom nothing was heard. Doing it twice changes nothing.
    ///
    /// # Errors
    /// When there is no such file, or the reason is missing.
    pub async fn refuse_proof(&self, actor: &Actor, brand: BrandId, id: Uuid, reason: &str) -> Result<Proof, Problem> {
        let reason = text("reason", reason, true)?;
        let (mut tx, now) = self.begin(brand).await?;
        let (wait, _) = store::by_hand::content(&mut tx, id).await?.ok_or_else(no_such_file)?;
        let wait = store::by_hand::find(&mut tx, By::Id(wait)).await?.ok_or_else(no_such_file)?;
        let (owed, payment) = settle::lock(&mut tx, wait.payment).await?;
        let mut proofs = store::by_hand::proofs(&mut tx, &[wait.id]).await?;
        let proof = proofs.iter_mut().find(|proof| proof.id == id).ok_or_else(no_such_file)?;
        if proof.refused.is_some() {
            return Ok(proof.clone());
        }
        proof.refused = Some((now, reason.clone()));
        let refused = proof.clone();
        store::by_hand::refuse(&mut tx, id, &actor.subject, &reason, now).await?;
        if payment.is_processing && proofs.iter().all(|proof| proof.refused.is_some()) {
            let (_, kind, _) = self.by_hand_account(&mut tx, wait.provider_account).await?;
            let teller = Teller { account: wait.provider_account, provider: kind.name(), tries: 0 };
            Box::pin(apply(&mut tx, self, brand, payment.id, Truth::Open, teller, now)).await?;
        }
        let due = due(&mut tx, &payment).await?;
        // Whoever has paid by now is asked for nothing.
        if due.is_positive() {
            let told = by_hand::proof_refused(brand, &wait, &refused, &reason, due, &owed.invoice, now);
            outbox::append(&mut tx, told).await?;
        }
        let told = json!({"file": refused.name, "payment": payment.id.to_string(), "reason": reason});
        audit::append(&mut tx, actor, "by_hand.refuse_proof", format!("proof_{}", id.simple()), None, Some(told))
            .await?;
        tx.commit().await?;
        Ok(refused)
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
