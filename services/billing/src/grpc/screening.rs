//! Answers `ottery.billing.v1.ScreeningService`.

use ottery_kit::grpc::{Problem, actor};
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::screening_service_server::ScreeningService;
use ottery_proto::billing::v1::trial_rules::ReusedCard as P;
use tonic::{Request, Response, Status};

use super::{Caller, convert, id, next_page, page};
use crate::app::Billing;
use crate::app::screen::Said;
use crate::app::trial::Guard;
use crate::domain::screen::rules::{Countries, Limit, ScreenRules};
use crate::domain::screen::{By, Hit, Verdict};
use crate::domain::trial::{ReusedCard, Sign, TrialRules};
use crate::store::screen::{Decision, Screening};
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

fn verdict(verdict: Verdict) -> proto::ScreenVerdict {
    match verdict {
        Verdict::Allow => proto::ScreenVerdict::Allow,
        Verdict::Review => proto::ScreenVerdict::Review,
        Verdict::Deny => proto::ScreenVerdict::Deny,
    }
}

/// What is left out is allowed; a second trial is not.
fn verdict_or(sent: proto::ScreenVerdict, otherwise: Verdict) -> Verdict {
    match sent {
        proto::ScreenVerdict::Unspecified => otherwise,
        proto::ScreenVerdict::Allow => Verdict::Allow,
        proto::ScreenVerdict::Review => Verdict::Review,
        proto::ScreenVerdict::Deny => Verdict::Deny,
    }
}

fn countries(lists: &Countries) -> proto::screen_rules::Countries {
    proto::screen_rules::Countries {
        allow_only: lists.allow_only.clone(),
        deny: lists.deny.clone(),
        review: lists.review.clone(),
    }
}

fn countries_from(sent: Option<proto::screen_rules::Countries>) -> Countries {
    let sent = sent.unwrap_or_default();
    Countries { allow_only: sent.allow_only, deny: sent.deny, review: sent.review }
}

fn limit(limit: &Limit) -> proto::screen_rules::Limit {
    let by = match limit.by {
        By::Account => proto::screen_rules::By::Account,
        By::Device => proto::screen_rules::By::Device,
        By::Network => proto::screen_rules::By::Network,
        By::Card => proto::screen_rules::By::Card,
    };
    proto::screen_rules::Limit {
        by: by.into(),
        orders: limit.orders,
        hours: limit.hours,
        verdict: verdict(limit.verdict).into(),
    }
}

fn limit_from((n, sent): (usize, &proto::screen_rules::Limit)) -> Result<Limit, Problem> {
    let by = match sent.by() {
        proto::screen_rules::By::Account => By::Account,
        proto::screen_rules::By::Device => By::Device,
        proto::screen_rules::By::Network => By::Network,
        proto::screen_rules::By::Card => By::Card,
        proto::screen_rules::By::Unspecified => {
            let field = format!("rules.limits[{n}].by");
            let message = format!("{field}: say account, device, network or card");
            return Err(Problem::invalid(field, "BY_MISSING", message));
        }
    };
    Ok(Limit { by, orders: sent.orders, hours: sent.hours, verdict: verdict_or(sent.verdict(), Verdict::Allow) })
}

fn saved((rules, version): &(ScreenRules, i64)) -> proto::SavedScreenRules {
    let rules = proto::ScreenRules {
        billing_countries: Some(countries(&rules.billing_countries)),
        network_countries: Some(countries(&rules.network_countries)),
        country_mismatch: verdict(rules.country_mismatch).into(),
        limits: rules.limits.iter().map(limit).collect(),
        disposable_mail: verdict(rules.disposable_mail).into(),
        mail_domains: rules.mail_domains.clone(),
        listed_mail: verdict(rules.listed_mail).into(),
        new_customer_amounts: rules.new_customer_amounts.iter().map(|amount| convert::money(*amount)).collect(),
        above_amount: verdict(rules.above_amount).into(),
        trial_reuse: verdict(rules.trial_reuse).into(),
    };
    proto::SavedScreenRules { rules: Some(rules), version: version.unsigned_abs() }
}

fn rules_from(sent: Option<proto::ScreenRules>) -> Result<ScreenRules, Problem> {
    let sent = sent.ok_or_else(|| Problem::invalid("rules", "MISSING", "rules: say what the rules are"))?;
    let (mismatch, disposable, listed) = (sent.country_mismatch(), sent.disposable_mail(), sent.listed_mail());
    let (above, reuse) = (sent.above_amount(), sent.trial_reuse());
    let mut amounts = Vec::with_capacity(sent.new_customer_amounts.len());
    for (n, amount) in sent.new_customer_amounts.iter().enumerate() {
        amounts.push(convert::money_from(&format!("rules.new_customer_amounts[{n}]"), amount)?);
    }
    Ok(ScreenRules {
        billing_countries: countries_from(sent.billing_countries),
        network_countries: countries_from(sent.network_countries),
        country_mismatch: verdict_or(mismatch, Verdict::Allow),
        limits: sent.limits.iter().enumerate().map(limit_from).collect::<Result<_, _>>()?,
        disposable_mail: verdict_or(disposable, Verdict::Allow),
        mail_domains: sent.mail_domains,
        listed_mail: verdict_or(listed, Verdict::Allow),
        new_customer_amounts: amounts,
        above_amount: verdict_or(above, Verdict::Allow),
        trial_reuse: verdict_or(reuse, Verdict::Deny),
    })
}

fn hit(hit: &Hit) -> proto::screening::Hit {
    proto::screening::Hit {
        rule: hit.rule.clone(),
        verdict: verdict(hit.verdict).into(),
        evidence: hit.evidence.clone(),
    }
}

fn screening(seen: &Screening) -> proto::Screening {
    let facts = &seen.facts;
    let decided = seen.decided.as_ref();
    let decision = match decided.map(|decided| decided.decision) {
        None => proto::screening::Decision::Unspecified,
        Some(Decision::Approved) => proto::screening::Decision::Approved,
        Some(Decision::Declined) => proto::screening::Decision::Declined,
    };
    proto::Screening {
        id: seen.id.simple().to_string(),
        order_id: seen.order.map(|id| id.to_string()).unwrap_or_default(),
        account_id: seen.account.to_string(),
        plan_name: seen.plan_name.clone(),
        amount: Some(convert::money(facts.amount)),
        mail_domain: facts.mail_domain.clone(),
        billing_country: facts.billing_country.clone(),
        network_country: facts.network_country.clone(),
        network: facts.network.clone(),
        new_customer: facts.is_new,
        verdict: verdict(seen.verdict).into(),
        hits: seen.hits.iter().map(hit).collect(),
        rules_version: seen.rules_version.unsigned_abs(),
        screened_at: Some(convert::timestamp(seen.screened_at)),
        decision: decision.into(),
        decided_by: decided.map(|decided| decided.by.clone()).unwrap_or_default(),
        decided_at: decided.map(|decided| convert::timestamp(decided.at)),
        note: decided.map(|decided| decided.note.clone()).unwrap_or_default(),
    }
}

fn said(said: &Said) -> proto::try_screen_rules_reply::Said {
    proto::try_screen_rules_reply::Said {
        order: Some(screening(&said.seen)),
        verdict: verdict(said.verdict).into(),
        hits: said.hits.iter().map(hit).collect(),
    }
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

    async fn get_screen_rules(
        &self,
        request: Request<proto::GetScreenRulesRequest>,
    ) -> Result<Response<proto::SavedScreenRules>, Status> {
        let caller = Caller::staff(actor(&request)?, "brand.read")?;
        Ok(Response::new(saved(&self.app.screen_rules(caller.brand).await?)))
    }

    async fn put_screen_rules(
        &self,
        request: Request<proto::PutScreenRulesRequest>,
    ) -> Result<Response<proto::SavedScreenRules>, Status> {
        let caller = Caller::staff(actor(&request)?, "brand.update")?;
        let request = request.into_inner();
        // A version that does not fit was never ours.
        let expected = i64::try_from(request.expected_version).unwrap_or(i64::MAX);
        let wanted = (rules_from(request.rules)?, expected);
        let put = self.app.put_screen_rules(&caller.actor, caller.brand, wanted, request.dry_run).await?;
        Ok(Response::new(saved(&put)))
    }

    async fn try_screen_rules(
        &self,
        request: Request<proto::TryScreenRulesRequest>,
    ) -> Result<Response<proto::TryScreenRulesReply>, Status> {
        let caller = Caller::staff(actor(&request)?, "order.read")?;
        let request = request.into_inner();
        let rules = rules_from(request.rules)?;
        let tried = self.app.try_screen_rules(caller.brand, &rules, request.orders).await?;
        Ok(Response::new(proto::TryScreenRulesReply { orders: tried.iter().map(said).collect() }))
    }

    async fn list_screenings(
        &self,
        request: Request<proto::ListScreeningsRequest>,
    ) -> Result<Response<proto::ListScreeningsReply>, Status> {
        let caller = Caller::staff(actor(&request)?, "order.read")?;
        let request = request.into_inner();
        let page = page(request.page.as_ref())?;
        let found = self.app.screenings(caller.brand, request.waiting, page).await?;
        let last = found.last().map(|seen| seen.id);
        Ok(Response::new(proto::ListScreeningsReply {
            page: next_page(page, found.len(), last),
            screenings: found.iter().map(screening).collect(),
        }))
    }

    async fn get_screening(
        &self,
        request: Request<proto::GetScreeningRequest>,
    ) -> Result<Response<proto::Screening>, Status> {
        let caller = Caller::staff(actor(&request)?, "order.read")?;
        let order = id("order_id", &request.get_ref().order_id)?;
        Ok(Response::new(screening(&self.app.screening(caller.brand, order).await?)))
    }

    async fn approve_order(
        &self,
        request: Request<proto::ReviewOrderRequest>,
    ) -> Result<Response<proto::Order>, Status> {
        let caller = Caller::staff(actor(&request)?, "order.manage")?;
        let request = request.into_inner();
        let order = id("order_id", &request.order_id)?;
        let approved = self.app.approve_order(&caller.actor, caller.brand, order, &request.note).await?;
        Ok(Response::new(convert::order(&approved)))
    }

    async fn decline_order(
        &self,
        request: Request<proto::ReviewOrderRequest>,
    ) -> Result<Response<proto::Order>, Status> {
        let caller = Caller::staff(actor(&request)?, "order.manage")?;
        let request = request.into_inner();
        let order = id("order_id", &request.order_id)?;
        let declined = self.app.decline_order(&caller.actor, caller.brand, order, &request.note).await?;
        Ok(Response::new(convert::order(&declined)))
    }
}
