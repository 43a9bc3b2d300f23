//! Answers `ottery.billing.v1.GiftService`.

use ottery_kernel::AccountId;
use ottery_kit::grpc::{Problem, actor, idempotency_key};
use ottery_kit::idempotency::request_hash;
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::gift_service_server::GiftService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::dunning::instant;
use super::order::{TEXT_MAX, country, idempotency, within};
use super::{Caller, convert, id, next_page, page, wallet};
use crate::app::Billing;
use crate::app::gift::redeem::{Redeem, Redeemed};
use crate::app::gift::{NewBatch, Worth, batch_id, code_id};
use crate::domain::gift::{Batch, Gives, Kind, Stored};
use crate::domain::invoice::Buyer;

/// Who makes money of nothing.
const GRANT: &str = "wallet.grant";

/// The gRPC service.
#[derive(Clone, Debug)]
pub struct GiftGrpc {
    /// The use cases.
    pub app: Billing,
}

/// Reads `gft_…` or `gco_…`.
fn own_id(field: &'static str, prefix: &str, text: &str) -> Result<Uuid, Problem> {
    let digits = text.strip_prefix(prefix).filter(|digits| digits.len() == 32);
    digits.and_then(|digits| Uuid::try_parse(digits).ok()).ok_or_else(|| {
        let message = format!("{field}: expected `{prefix}` followed by 32 hexadecimal digits");
        Problem::invalid(field, "ID_INVALID", message)
    })
}

fn batch(found: &Batch) -> proto::GiftBatch {
    use proto::gift_batch::Kind as P;
    let kind = match found.kind {
        Kind::Promotion => P::Promotion,
        Kind::Sold => P::Sold,
    };
    let (plan_name, term, credit_days) = match &found.gives {
        Gives::Money { credit_days } => (String::new(), None, credit_days.unwrap_or(0)),
        Gives::Plan { offer } => (offer.plan_name.clone(), Some(convert::term(offer.term)), 0),
    };
    proto::GiftBatch {
        id: batch_id(found.id),
        name: found.name.clone(),
        kind: kind.into(),
        value: Some(convert::money(found.value)),
        plan_name,
        term,
        credit_days,
        count: found.count,
        prefix: found.prefix.clone(),
        per_person_max: found.per_person_max,
        expires_at: found.expires_at.map(convert::timestamp),
        created_at: Some(convert::timestamp(found.created_at)),
        voided_at: found.voided_at.map(convert::timestamp),
        expired_at: found.expired_at.map(convert::timestamp),
        downloaded: found.is_downloaded,
    }
}

fn code(found: &Stored) -> proto::GiftCode {
    proto::GiftCode {
        id: code_id(found.id),
        last_four: found.last_four.clone(),
        redeemed_by: found.redeemed_by.as_ref().map(AccountId::to_string).unwrap_or_default(),
        redeemed_at: found.redeemed_at.map(convert::timestamp),
        voided_at: found.voided_at.map(convert::timestamp),
        expired_at: found.expired_at.map(convert::timestamp),
    }
}

fn wanted(request: &proto::CreateGiftBatchRequest) -> Result<NewBatch, Problem> {
    use proto::gift_batch::Kind as P;
    let kind = match request.kind() {
        P::Promotion => Kind::Promotion,
        P::Sold => Kind::Sold,
        P::Unspecified => {
            return Err(Problem::invalid("kind", "KIND_MISSING", "kind: say promotion or sold; the books differ"));
        }
    };
    let days = Some(request.credit_days).filter(|days| *days > 0);
    let worth = match (&request.value, request.price_id.as_str()) {
        (Some(value), "") => Worth::Money(convert::money_from("value", value)?, days),
        (None, price) if !price.is_empty() => Worth::Plan(id("price_id", price)?),
        _ => {
            let message = "value: name either an amount for the wallet or the price of a plan";
            return Err(Problem::invalid("value", "GIFT_OF_WHAT", message));
        }
    };
    Ok(NewBatch {
        name: request.name.clone(),
        kind,
        worth,
        count: request.count,
        prefix: request.prefix.clone(),
        per_person_max: request.per_person_max,
        expires_at: request.expires_at.as_ref().map(|at| instant("expires_at", Some(at))).transpose()?,
    })
}

#[tonic::async_trait]
impl GiftService for GiftGrpc {
    async fn create_gift_batch(
        &self,
        request: Request<proto::CreateGiftBatchRequest>,
    ) -> Result<Response<proto::GiftBatch>, Status> {
        let caller = Caller::staff(actor(&request)?, GRANT)?;
        caller.actor.require_step_up(self.app.clock.now())?;
        let key = idempotency_key(&request)?;
        let request = request.into_inner();
        let call = idempotency(&caller.actor, "billing.CreateGiftBatch", key, request_hash(&request));
        let made = self.app.create_gifts(&caller.actor, caller.brand, wanted(&request)?, call).await?;
        Ok(Response::new(batch(&made)))
    }

    async fn list_gift_batches(
        &self,
        request: Request<proto::ListGiftBatchesRequest>,
    ) -> Result<Response<proto::ListGiftBatchesReply>, Status> {
        let caller = Caller::staff(actor(&request)?, GRANT)?;
        let page = page(request.into_inner().page.as_ref())?;
        let found = self.app.gift_batches(caller.brand, page).await?;
        Ok(Response::new(proto::ListGiftBatchesReply {
            page: next_page(page, found.len(), found.last().map(|batch| batch.id)),
            batches: found.iter().map(batch).collect(),
        }))
    }

    async fn list_gift_codes(
        &self,
        request: Request<proto::ListGiftCodesRequest>,
    ) -> Result<Response<proto::ListGiftCodesReply>, Status> {
        let caller = Caller::staff(actor(&request)?, GRANT)?;
        let request = request.into_inner();
        let page = page(request.page.as_ref())?;
        let (found, codes) =
            self.app.gift_codes(caller.brand, own_id("batch_id", "gft_", &request.batch_id)?, page).await?;
        Ok(Response::new(proto::ListGiftCodesReply {
            batch: Some(batch(&found)),
            page: next_page(page, codes.len(), codes.last().map(|code| code.id)),
            codes: codes.iter().map(code).collect(),
        }))
    }

    async fn download_gift_codes(
        &self,
        request: Request<proto::DownloadGiftCodesRequest>,
    ) -> Result<Response<proto::DownloadGiftCodesReply>, Status> {
        let caller = Caller::staff(actor(&request)?, GRANT)?;
        caller.actor.require_step_up(self.app.clock.now())?;
        let batch = own_id("batch_id", "gft_", &request.into_inner().batch_id)?;
        let csv = self.app.download_gifts(&caller.actor, caller.brand, batch).await?;
        let file_name = format!("{}.csv", batch_id(batch));
        Ok(Response::new(proto::DownloadGiftCodesReply { csv, file_name }))
    }

    async fn void_gift_batch(
        &self,
        request: Request<proto::VoidGiftBatchRequest>,
    ) -> Result<Response<proto::GiftBatch>, Status> {
        let caller = Caller::staff(actor(&request)?, GRANT)?;
        let request = request.into_inner();
        let id = own_id("batch_id", "gft_", &request.batch_id)?;
        Ok(Response::new(batch(&self.app.void_gifts(&caller.actor, caller.brand, id, &request.reason).await?)))
    }

    async fn void_gift_code(
        &self,
        request: Request<proto::VoidGiftCodeRequest>,
    ) -> Result<Response<proto::VoidGiftCodeReply>, Status> {
        let caller = Caller::staff(actor(&request)?, GRANT)?;
        let request = request.into_inner();
        let id = own_id("code_id", "gco_", &request.code_id)?;
        self.app.void_gift(&caller.actor, caller.brand, id, &request.reason).await?;
        Ok(Response::new(proto::VoidGiftCodeReply {}))
    }

    async fn redeem_gift_code(
        &self,
        request: Request<proto::RedeemGiftCodeRequest>,
    ) -> Result<Response<proto::RedeemGiftCodeReply>, Status> {
        let caller = Caller::customer_or(actor(&request)?, "order.create")?;
        let request = request.into_inner();
        let email = within("email", request.email.trim(), TEXT_MAX)?;
        if !email.contains('@') {
            let message = "email: an address such as `me@example.com` is needed for what comes of it";
            return Err(Problem::invalid("email", "EMAIL_INVALID", message).into());
        }
        let redeem = Redeem {
            code: within("code", &request.code, TEXT_MAX)?.to_owned(),
            account: wallet::whose(&caller, &request.account_id)?,
            buyer: Buyer {
                name: within("display_name", request.display_name.trim(), TEXT_MAX)?.to_owned(),
                email: email.to_owned(),
                country: country(&request.country)?,
                locale: within("locale", &request.locale, 35)?.to_owned(),
                address: None,
            },
        };
        let reply = match self.app.redeem_gift(&caller.actor, caller.brand, redeem).await? {
            Redeemed::Money(granted) => proto::RedeemGiftCodeReply {
                credit: Some(wallet::credit(&granted, granted.amount)),
                ..proto::RedeemGiftCodeReply::default()
            },
            Redeemed::Plan { order, subscription } => proto::RedeemGiftCodeReply {
                credit: None,
                order_id: order.to_string(),
                subscription_id: subscription.to_string(),
            },
        };
        Ok(Response::new(reply))
    }
}
