//! What follows from a refusal, beyond the attempt itself.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::BrandId;
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use crate::app::Billing;
use crate::domain::decline::{Advice, CEILING_DAYS, Consequence, capped};
use crate::domain::payment::Decline;
use crate::store;
use crate::store::payment::{AttemptKind, Payment};

/// Task of a refusal for suspicion of fraud.
const FRAUD_TASK: &str = "payment_fraud";

fn advice(billing: &Billing, payment: &Payment, decline: &Decline) -> Advice {
    billing.providers.get(&payment.provider).map(|provider| provider.advice(&decline.code)).unwrap_or_default()
}

/// A refusal as it counts: one too many is final, whatever the bank said.
pub(super) async fn judge(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    payment: &Payment,
    decline: Decline,
    now: DateTime<Utc>,
) -> Result<Decline, Problem> {
    let AttemptKind::OffSession { method } = payment.kind else { return Ok(decline) };
    let advice = advice(billing, payment, &decline);
    if advice.charges_max.is_none() && advice.ceiling.is_none() {
        return Ok(decline);
    }
    let since = now - TimeDelta::days(CEILING_DAYS);
    let before = store::payment::refusals(tx, payment, method, since).await?;
    Ok(capped(decline, advice, before))
}

/// Does what a refusal asks for besides. The caller holds the attempt, and saves it.
pub(super) async fn follow(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    payment: &Payment,
    decline: &Decline,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    match advice(billing, payment, decline).consequence {
        Consequence::None => Ok(()),
        Consequence::StopCharging => {
            let Some(account) = payment.provider_account else { return Ok(()) };
            let methods = store::payment_method::list(tx, payment.account).await?;
            let stopped: Vec<_> =
                methods.iter().filter(|method| method.provider_account == account).map(|method| method.id).collect();
            Ok(store::payment_method::remove(tx, payment.account, &stopped, now).await?)
        }
        Consequence::FraudHold => {
            let summary = format!(
                "the bank suspects fraud behind {} ({}); look at the customer before anything else is taken from this card",
                payment.id, payment.amount
            );
            Ok(store::task::open(tx, brand, FRAUD_TASK, payment.id, &summary, now).await?)
        }
    }
}
