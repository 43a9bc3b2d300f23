//! Answers `ottery.billing.v1.ScreeningService`.

use ottery_kit::grpc::{Problem, actor};
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::screening_service_server::ScreeningService;
use ottery_proto::billing::v1::trial_rules::ReusedCard as P;
use tonic::{Request, Response, Status};

use super::{Caller, convert, id};
use crate::app::Billing;
use crate::app::trial::Guard;
use crate::domain::trial::{ReusedCard, Sign, TrialRules};
use crate::store::trial::{Claim, Pass};

/// The gRPC service.
#[derive(Clone, Debug)]
pub struct ScreeningGrpc {
    /// The use cases.
    pub app: Billing,
}

fn sign(sign: Sign) -> proto::TrialSign {
    match sign {
        Sign::Email => proto::TrialSign::Email,
        Sign::Device => proto::TrialSign::Device,
        Sign::Card => proto::TrialSign::Card,
    }
}

fn guard(guard: &Guard) -> proto::TrialGuard {
    let claim = |claim: &Claim| proto::trial_guard::Claim {
        sign: sign(claim.sign).into(),
        subscription_id: claim.subscription.to_string(),
        taken_at: Some(convert::timestamp(claim.taken_at)),
    };
    let pass = |pass: &Pass| proto::trial_guard::Pass {
        granted_by: pass.granted_by.clone(),
        reason: pass.reason.clone(),
        granted_at: Some(convert::timestamp(pass.granted_at)),
    };
    proto::TrialGuard {
        account_id: guard.account.to_string(),
        used: guard.is_used,
        claims: guard.claims.iter().map(claim).collect(),
        pass: guard.pass.as_ref().map(pass),
    }
}

fn trial_rules(rules: &TrialRules) -> proto::TrialRules {
    let reused_card = match rules.reused_card {
        ReusedCard::End => P::End,
        ReusedCard::Keep => P::Keep,
    };
    proto::TrialRules {
        by_email: rules.by_email,
        by_device: rules.by_device,
        by_card: rules.by_card,
        reused_card: reused_card.into(),
        version: rules.version.unsigned_abs(),
    }
}

fn trial_rules_from(request: &proto::PutTrialRulesRequest) -> Result<TrialRules, Problem> {
    let reused_card = match request.reused_card() {
        P::End => ReusedCard::End,
        P::Keep => ReusedCard::Keep,
        P::Unspecified => {
            let message = "reused_card: say end or keep";
            return Err(Problem::invalid("reused_card", "RULE_MISSING", message));
        }
    };
    Ok(TrialRules {
        by_email: request.by_email,
        by_device: request.by_device,
        by_card: request.by_card,
        reused_card,
        // A version that does not fit was never ours.
        version: i64::try_from(request.expected_version).unwrap_or(i64::MAX),
    })
}

#[tonic::async_trait]
impl ScreeningService for ScreeningGrpc {
    async fn get_trial_guard(
        &self,
        request: Request<proto::GetTrialGuardRequest>,
    ) -> Result<Response<proto::TrialGuard>, Status> {
        let caller = Caller::staff(actor(&request)?, "order.read")?;
        let account = id("account_id", &request.get_ref().account_id)?;
        Ok(Response::new(guard(&self.app.trial_guard(caller.brand, account).await?)))
    }

    async fn lift_trial_guard(
        &self,
        request: Request<proto::LiftTrialGuardRequest>,
    ) -> Result<Response<proto::TrialGuard>, Status> {
        let caller = Caller::staff(actor(&request)?, "order.manage")?;
        let request = request.into_inner();
        let account = id("account_id", &request.account_id)?;
        let lifted = self.app.lift_trial_guard(&caller.actor, caller.brand, account, &request.reason).await?;
        Ok(Response::new(guard(&lifted)))
    }

    async fn get_trial_rules(
        &self,
        request: Request<proto::GetTrialRulesRequest>,
    ) -> Result<Response<proto::TrialRules>, Status> {
        let caller = Caller::staff(actor(&request)?, "brand.read")?;
        Ok(Response::new(trial_rules(&self.app.trial_rules(caller.brand).await?)))
    }

    async fn put_trial_rules(
        &self,
        request: Request<proto::PutTrialRulesRequest>,
    ) -> Result<Response<proto::TrialRules>, Status> {
        let caller = Caller::staff(actor(&request)?, "brand.update")?;
        let wanted = trial_rules_from(request.get_ref())?;
        Ok(Response::new(trial_rules(&self.app.put_trial_rules(&caller.actor, caller.brand, wanted).await?)))
    }
}
