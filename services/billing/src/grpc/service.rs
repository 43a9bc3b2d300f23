//! The gRPC service: every call is parsed and answered in its own module.

use ottery_kit::grpc::{actor, idempotency_key};
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::billing_service_server::BillingService;
use tonic::{Request, Response, Status};

use super::{
    address, books, by_hand, calendar, customer, deposit, explain, export, invoicing, method, order, payment, provider,
    reconcile, revenue, subscription, view, wallet,
};
use crate::app::Billing;

/// Answers `ottery.billing.v1.BillingService`.
#[derive(Clone, Debug)]
pub struct BillingGrpc {
    /// The use cases.
    pub app: Billing,
}

#[tonic::async_trait]
impl BillingService for BillingGrpc {
    async fn create_quote(
        &self,
        request: Request<proto::CreateQuoteRequest>,
    ) -> Result<Response<proto::Quote>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(order::create_quote(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_order(
        &self,
        request: Request<proto::GetOrderRequest>,
    ) -> Result<Response<proto::OrderDetail>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(order::get_order(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_orders(
        &self,
        request: Request<proto::ListOrdersRequest>,
    ) -> Result<Response<proto::ListOrdersReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(order::list_orders(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_subscription(
        &self,
        request: Request<proto::GetSubscriptionRequest>,
    ) -> Result<Response<proto::Subscription>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(subscription::get(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_subscriptions(
        &self,
        request: Request<proto::ListSubscriptionsRequest>,
    ) -> Result<Response<proto::ListSubscriptionsReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(subscription::list(&self.app, actor, request.into_inner()).await?))
    }

    async fn cancel_subscription(
        &self,
        request: Request<proto::CancelSubscriptionRequest>,
    ) -> Result<Response<proto::Subscription>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(subscription::cancel(&self.app, actor, request.into_inner()).await?))
    }

    async fn resume_subscription(
        &self,
        request: Request<proto::ResumeSubscriptionRequest>,
    ) -> Result<Response<proto::Subscription>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(subscription::resume(&self.app, actor, request.into_inner()).await?))
    }

    async fn quote_change(
        &self,
        request: Request<proto::QuoteChangeRequest>,
    ) -> Result<Response<proto::QuoteChangeReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(order::quote_change(&self.app, actor, request.into_inner()).await?))
    }

    async fn quote_anchor(
        &self,
        request: Request<proto::MoveAnchorRequest>,
    ) -> Result<Response<proto::AnchorQuote>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(calendar::quote_anchor(&self.app, actor, request.into_inner()).await?))
    }

    async fn move_anchor(
        &self,
        request: Request<proto::MoveAnchorRequest>,
    ) -> Result<Response<proto::MoveAnchorReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(calendar::move_anchor(&self.app, actor, request.into_inner()).await?))
    }

    async fn pause_subscription(
        &self,
        request: Request<proto::PauseSubscriptionRequest>,
    ) -> Result<Response<proto::Subscription>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(calendar::pause(&self.app, actor, request.into_inner()).await?))
    }

    async fn unpause_subscription(
        &self,
        request: Request<proto::UnpauseSubscriptionRequest>,
    ) -> Result<Response<proto::Subscription>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(calendar::unpause(&self.app, actor, request.into_inner()).await?))
    }

    async fn change_price(
        &self,
        request: Request<proto::ChangePriceRequest>,
    ) -> Result<Response<proto::ChangePriceReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(calendar::change_price(&self.app, actor, request.into_inner()).await?))
    }

    async fn renew_subscription(
        &self,
        request: Request<proto::RenewSubscriptionRequest>,
    ) -> Result<Response<proto::Subscription>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(calendar::renew(&self.app, actor, request.into_inner()).await?))
    }

    async fn transfer_subscription(
        &self,
        request: Request<proto::TransferSubscriptionRequest>,
    ) -> Result<Response<proto::Subscription>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(calendar::transfer(&self.app, actor, request.into_inner()).await?))
    }

    async fn override_price(
        &self,
        request: Request<proto::OverridePriceRequest>,
    ) -> Result<Response<proto::Subscription>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(subscription::override_price(&self.app, actor, request.into_inner()).await?))
    }

    async fn terminate_subscription(
        &self,
        request: Request<proto::TerminateSubscriptionRequest>,
    ) -> Result<Response<proto::Subscription>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(subscription::terminate(&self.app, actor, request.into_inner()).await?))
    }

    async fn suspend_subscription(
        &self,
        request: Request<proto::SuspendSubscriptionRequest>,
    ) -> Result<Response<proto::Subscription>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(subscription::suspend(&self.app, actor, request.into_inner()).await?))
    }

    async fn unsuspend_subscription(
        &self,
        request: Request<proto::UnsuspendSubscriptionRequest>,
    ) -> Result<Response<proto::Subscription>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(subscription::unsuspend(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_invoice(
        &self,
        request: Request<proto::GetInvoiceRequest>,
    ) -> Result<Response<proto::Invoice>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(view::get_invoice(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_invoices(
        &self,
        request: Request<proto::ListInvoicesRequest>,
    ) -> Result<Response<proto::ListInvoicesReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(view::list_invoices(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_invoice_document(
        &self,
        request: Request<proto::GetInvoiceDocumentRequest>,
    ) -> Result<Response<proto::GetInvoiceDocumentReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(view::get_invoice_document(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_invoice_ubl(
        &self,
        request: Request<proto::GetInvoiceUblRequest>,
    ) -> Result<Response<proto::GetInvoiceUblReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(view::get_invoice_ubl(&self.app, actor, request.into_inner()).await?))
    }

    async fn draft_invoice(
        &self,
        request: Request<proto::DraftInvoiceRequest>,
    ) -> Result<Response<proto::Invoice>, Status> {
        let actor = actor(&request)?;
        let key = idempotency_key(&request)?;
        Ok(Response::new(invoicing::draft(&self.app, actor, key, request.into_inner()).await?))
    }

    async fn edit_draft(&self, request: Request<proto::EditDraftRequest>) -> Result<Response<proto::Invoice>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(invoicing::edit(&self.app, actor, request.into_inner()).await?))
    }

    async fn discard_draft(
        &self,
        request: Request<proto::DiscardDraftRequest>,
    ) -> Result<Response<proto::DiscardDraftReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(invoicing::discard(&self.app, actor, request.into_inner()).await?))
    }

    async fn finalise_draft(
        &self,
        request: Request<proto::FinaliseDraftRequest>,
    ) -> Result<Response<proto::Invoice>, Status> {
        let actor = actor(&request)?;
        let key = idempotency_key(&request)?;
        Ok(Response::new(invoicing::finalise(&self.app, actor, key, request.into_inner()).await?))
    }

    async fn send_invoice(
        &self,
        request: Request<proto::SendInvoiceRequest>,
    ) -> Result<Response<proto::Invoice>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(invoicing::send(&self.app, actor, request.into_inner()).await?))
    }

    async fn void_invoice(
        &self,
        request: Request<proto::VoidInvoiceRequest>,
    ) -> Result<Response<proto::Invoice>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(invoicing::void(&self.app, actor, request.into_inner()).await?))
    }

    async fn write_off_invoice(
        &self,
        request: Request<proto::WriteOffInvoiceRequest>,
    ) -> Result<Response<proto::Invoice>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(invoicing::write_off(&self.app, actor, request.into_inner()).await?))
    }

    async fn credit_invoice(
        &self,
        request: Request<proto::CreditInvoiceRequest>,
    ) -> Result<Response<proto::CreditNote>, Status> {
        let actor = actor(&request)?;
        let key = idempotency_key(&request)?;
        Ok(Response::new(invoicing::credit(&self.app, actor, key, request.into_inner()).await?))
    }

    async fn cancel_order(
        &self,
        request: Request<proto::CancelOrderRequest>,
    ) -> Result<Response<proto::Order>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(invoicing::cancel_order(&self.app, actor, request.into_inner()).await?))
    }

    async fn explain_invoice(
        &self,
        request: Request<proto::ExplainInvoiceRequest>,
    ) -> Result<Response<proto::Explanation>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(explain::invoice(&self.app, actor, request.into_inner()).await?))
    }

    async fn explain_subscription(
        &self,
        request: Request<proto::ExplainSubscriptionRequest>,
    ) -> Result<Response<proto::Explanation>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(explain::subscription(&self.app, actor, request.into_inner()).await?))
    }

    async fn explain_quote(
        &self,
        request: Request<proto::ExplainQuoteRequest>,
    ) -> Result<Response<proto::Explanation>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(explain::quote(&self.app, actor, request.into_inner()).await?))
    }

    async fn export_day(
        &self,
        request: Request<proto::ExportDayRequest>,
    ) -> Result<Response<proto::ExportDayReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(export::export_day(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_transfers(
        &self,
        request: Request<proto::ListTransfersRequest>,
    ) -> Result<Response<proto::ListTransfersReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(view::list_transfers(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_tasks(
        &self,
        request: Request<proto::ListTasksRequest>,
    ) -> Result<Response<proto::ListTasksReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(view::list_tasks(&self.app, actor, request.into_inner()).await?))
    }

    async fn place_order(
        &self,
        request: Request<proto::PlaceOrderRequest>,
    ) -> Result<Response<proto::PlaceOrderReply>, Status> {
        let actor = actor(&request)?;
        let key = idempotency_key(&request)?;
        Ok(Response::new(order::place_order(&self.app, actor, key, request.into_inner()).await?))
    }

    async fn change_plan(
        &self,
        request: Request<proto::ChangePlanRequest>,
    ) -> Result<Response<proto::ChangePlanReply>, Status> {
        let actor = actor(&request)?;
        let key = idempotency_key(&request)?;
        Ok(Response::new(order::change_plan(&self.app, actor, key, request.into_inner()).await?))
    }

    async fn pay_invoice(
        &self,
        request: Request<proto::PayInvoiceRequest>,
    ) -> Result<Response<proto::PayInvoiceReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(payment::pay_invoice(&self.app, actor, request.into_inner()).await?))
    }

    async fn pay_invoices(
        &self,
        request: Request<proto::PayInvoicesRequest>,
    ) -> Result<Response<proto::PayInvoiceReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(payment::pay_invoices(&self.app, actor, request.into_inner()).await?))
    }

    async fn top_up_wallet(
        &self,
        request: Request<proto::TopUpWalletRequest>,
    ) -> Result<Response<proto::TopUpWalletReply>, Status> {
        let actor = actor(&request)?;
        let key = idempotency_key(&request)?;
        Ok(Response::new(wallet::top_up(&self.app, actor, key, request.into_inner()).await?))
    }

    async fn convert_wallet(
        &self,
        request: Request<proto::ConvertWalletRequest>,
    ) -> Result<Response<proto::WalletConversion>, Status> {
        let actor = actor(&request)?;
        let key = idempotency_key(&request)?;
        Ok(Response::new(wallet::convert(&self.app, actor, key, request.into_inner()).await?))
    }

    async fn get_amount_rules(
        &self,
        request: Request<proto::GetAmountRulesRequest>,
    ) -> Result<Response<proto::AmountRules>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(wallet::get_rules(&self.app, actor).await?))
    }

    async fn put_amount_rules(
        &self,
        request: Request<proto::PutAmountRulesRequest>,
    ) -> Result<Response<proto::AmountRules>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(wallet::put_rules(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_invoice_rules(
        &self,
        request: Request<proto::GetInvoiceRulesRequest>,
    ) -> Result<Response<proto::InvoiceRules>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(invoicing::get_rules(&self.app, actor).await?))
    }

    async fn put_invoice_rules(
        &self,
        request: Request<proto::PutInvoiceRulesRequest>,
    ) -> Result<Response<proto::InvoiceRules>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(invoicing::put_rules(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_customer_invoicing(
        &self,
        request: Request<proto::GetCustomerInvoicingRequest>,
    ) -> Result<Response<proto::CustomerInvoicing>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(invoicing::get_customer(&self.app, actor, request.into_inner()).await?))
    }

    async fn put_customer_invoicing(
        &self,
        request: Request<proto::PutCustomerInvoicingRequest>,
    ) -> Result<Response<proto::CustomerInvoicing>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(invoicing::put_customer(&self.app, actor, request.into_inner()).await?))
    }

    async fn merge_customers(
        &self,
        request: Request<proto::MergeCustomersRequest>,
    ) -> Result<Response<proto::MergeCustomersReply>, Status> {
        let actor = actor(&request)?;
        let key = idempotency_key(&request)?;
        Ok(Response::new(customer::merge(&self.app, actor, key, request.into_inner()).await?))
    }

    async fn list_payments(
        &self,
        request: Request<proto::ListPaymentsRequest>,
    ) -> Result<Response<proto::ListPaymentsReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(payment::list_payments(&self.app, actor, request.into_inner()).await?))
    }

    async fn refund_payment(
        &self,
        request: Request<proto::RefundPaymentRequest>,
    ) -> Result<Response<proto::Refund>, Status> {
        let actor = actor(&request)?;
        let key = idempotency_key(&request)?;
        Ok(Response::new(payment::refund_payment(&self.app, actor, key, request.into_inner()).await?))
    }

    async fn ingest_webhook(
        &self,
        request: Request<proto::IngestWebhookRequest>,
    ) -> Result<Response<proto::IngestWebhookReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(payment::ingest_webhook(&self.app, actor, request.into_inner()).await?))
    }

    async fn put_provider_account(
        &self,
        request: Request<proto::PutProviderAccountRequest>,
    ) -> Result<Response<proto::ProviderAccount>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(provider::put_provider_account(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_provider_accounts(
        &self,
        request: Request<proto::ListProviderAccountsRequest>,
    ) -> Result<Response<proto::ListProviderAccountsReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(provider::list_provider_accounts(&self.app, actor, request.into_inner()).await?))
    }

    async fn rotate_provider_account(
        &self,
        request: Request<proto::RotateProviderAccountRequest>,
    ) -> Result<Response<proto::ProviderAccount>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(provider::rotate_provider_account(&self.app, actor, request.into_inner()).await?))
    }

    async fn test_provider_account(
        &self,
        request: Request<proto::TestProviderAccountRequest>,
    ) -> Result<Response<proto::TestProviderAccountReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(provider::test_provider_account(&self.app, actor, request.into_inner()).await?))
    }

    async fn read_deposit(
        &self,
        request: Request<proto::ReadDepositRequest>,
    ) -> Result<Response<proto::Deposit>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(deposit::read_deposit(&self.app, actor, request.into_inner()).await?))
    }

    async fn renew_deposit(
        &self,
        request: Request<proto::RenewDepositRequest>,
    ) -> Result<Response<proto::Deposit>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(deposit::renew_deposit(&self.app, actor, request.into_inner()).await?))
    }

    async fn read_by_hand(
        &self,
        request: Request<proto::ReadByHandRequest>,
    ) -> Result<Response<proto::ByHand>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(by_hand::read(&self.app, actor, request.into_inner()).await?))
    }

    async fn add_by_hand_proof(
        &self,
        request: Request<proto::AddByHandProofRequest>,
    ) -> Result<Response<proto::ByHand>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(by_hand::add_proof(&self.app, actor, request.into_inner()).await?))
    }

    async fn read_by_hand_proof(
        &self,
        request: Request<proto::ReadByHandProofRequest>,
    ) -> Result<Response<proto::ReadByHandProofReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(by_hand::read_proof(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_by_hand_payments(
        &self,
        request: Request<proto::ListByHandPaymentsRequest>,
    ) -> Result<Response<proto::ListByHandPaymentsReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(by_hand::list_payments(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_by_hand_records(
        &self,
        request: Request<proto::ListByHandRecordsRequest>,
    ) -> Result<Response<proto::ListByHandRecordsReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(by_hand::list_records(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_by_hand_refunds(
        &self,
        request: Request<proto::ListByHandRefundsRequest>,
    ) -> Result<Response<proto::ListByHandRefundsReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(by_hand::list_refunds(&self.app, actor, request.into_inner()).await?))
    }

    async fn record_by_hand(
        &self,
        request: Request<proto::RecordByHandRequest>,
    ) -> Result<Response<proto::ByHandRecord>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(by_hand::record(&self.app, actor, request.into_inner()).await?))
    }

    async fn assign_by_hand_record(
        &self,
        request: Request<proto::AssignByHandRecordRequest>,
    ) -> Result<Response<proto::ByHandRecord>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(by_hand::assign(&self.app, actor, request.into_inner()).await?))
    }

    async fn confirm_by_hand_record(
        &self,
        request: Request<proto::ConfirmByHandRecordRequest>,
    ) -> Result<Response<proto::ByHandRecord>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(by_hand::confirm(&self.app, actor, request.into_inner()).await?))
    }

    async fn take_back_by_hand_record(
        &self,
        request: Request<proto::TakeBackByHandRecordRequest>,
    ) -> Result<Response<proto::ByHandRecord>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(by_hand::take_back(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_pay_ways(
        &self,
        request: Request<proto::ListPayWaysRequest>,
    ) -> Result<Response<proto::ListPayWaysReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(provider::list_pay_ways(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_payment_methods(
        &self,
        request: Request<proto::ListPaymentMethodsRequest>,
    ) -> Result<Response<proto::ListPaymentMethodsReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(method::list_payment_methods(&self.app, actor, request.into_inner()).await?))
    }

    async fn remove_payment_method(
        &self,
        request: Request<proto::RemovePaymentMethodRequest>,
    ) -> Result<Response<proto::RemovePaymentMethodReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(method::remove_payment_method(&self.app, actor, request.into_inner()).await?))
    }

    async fn begin_payment_setup(
        &self,
        request: Request<proto::BeginPaymentSetupRequest>,
    ) -> Result<Response<proto::BeginPaymentSetupReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(method::begin_payment_setup(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_reconciliations(
        &self,
        request: Request<proto::ListReconciliationsRequest>,
    ) -> Result<Response<proto::ListReconciliationsReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(reconcile::list(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_reconciliation(
        &self,
        request: Request<proto::GetReconciliationRequest>,
    ) -> Result<Response<proto::Reconciliation>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(reconcile::get(&self.app, actor, request.into_inner()).await?))
    }

    async fn run_reconciliation(
        &self,
        request: Request<proto::RunReconciliationRequest>,
    ) -> Result<Response<proto::Reconciliation>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(reconcile::run(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_reconciliation_differences(
        &self,
        request: Request<proto::ListReconciliationDifferencesRequest>,
    ) -> Result<Response<proto::ListReconciliationDifferencesReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(reconcile::differences(&self.app, actor, request.into_inner()).await?))
    }

    async fn accept_reconciliation_difference(
        &self,
        request: Request<proto::AcceptReconciliationDifferenceRequest>,
    ) -> Result<Response<proto::ReconciliationDifference>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(reconcile::accept(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_disputes(
        &self,
        request: Request<proto::ListDisputesRequest>,
    ) -> Result<Response<proto::ListDisputesReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(method::list_disputes(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_dispute(
        &self,
        request: Request<proto::GetDisputeRequest>,
    ) -> Result<Response<proto::Dispute>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(method::get_dispute(&self.app, actor, request.into_inner()).await?))
    }

    async fn accept_dispute(
        &self,
        request: Request<proto::AcceptDisputeRequest>,
    ) -> Result<Response<proto::Dispute>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(method::accept_dispute(&self.app, actor, request.into_inner()).await?))
    }

    async fn submit_dispute_evidence(
        &self,
        request: Request<proto::SubmitDisputeEvidenceRequest>,
    ) -> Result<Response<proto::Dispute>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(method::submit_dispute_evidence(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_coupon_uses(
        &self,
        request: Request<proto::ListCouponUsesRequest>,
    ) -> Result<Response<proto::ListCouponUsesReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(view::list_coupon_uses(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_wallet(
        &self,
        request: Request<proto::GetWalletRequest>,
    ) -> Result<Response<proto::GetWalletReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(wallet::get(&self.app, actor, request.into_inner()).await?))
    }

    async fn grant_credit(
        &self,
        request: Request<proto::GrantCreditRequest>,
    ) -> Result<Response<proto::WalletCredit>, Status> {
        let actor = actor(&request)?;
        let key = idempotency_key(&request)?;
        Ok(Response::new(wallet::grant(&self.app, actor, key, request.into_inner()).await?))
    }

    async fn get_wallet_statement(
        &self,
        request: Request<proto::GetWalletStatementRequest>,
    ) -> Result<Response<proto::WalletStatement>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(wallet::statement(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_deferred_revenue(
        &self,
        request: Request<proto::GetDeferredRevenueRequest>,
    ) -> Result<Response<proto::DeferredRevenue>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(revenue::deferred(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_entity_trial_balance(
        &self,
        request: Request<proto::GetEntityTrialBalanceRequest>,
    ) -> Result<Response<proto::EntityTrialBalance>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(books::trial_balance(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_closed_months(
        &self,
        request: Request<proto::ListClosedMonthsRequest>,
    ) -> Result<Response<proto::ListClosedMonthsReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(books::list_closed(&self.app, actor).await?))
    }

    async fn close_month(
        &self,
        request: Request<proto::CloseMonthRequest>,
    ) -> Result<Response<proto::ClosedMonth>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(books::close(&self.app, actor, request.into_inner()).await?))
    }

    async fn reopen_month(
        &self,
        request: Request<proto::ReopenMonthRequest>,
    ) -> Result<Response<proto::ClosedMonth>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(books::reopen(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_billing_address(
        &self,
        request: Request<proto::GetBillingAddressRequest>,
    ) -> Result<Response<proto::BillingAddress>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(address::get(&self.app, actor, request.into_inner()).await?))
    }

    async fn put_billing_address(
        &self,
        request: Request<proto::PutBillingAddressRequest>,
    ) -> Result<Response<proto::BillingAddress>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(address::put(&self.app, actor, request.into_inner()).await?))
    }

    async fn decide_vat_number(
        &self,
        request: Request<proto::DecideVatNumberRequest>,
    ) -> Result<Response<proto::BillingAddress>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(address::decide(&self.app, actor, request.into_inner()).await?))
    }

    async fn list_stock_taken(
        &self,
        request: Request<proto::ListStockTakenRequest>,
    ) -> Result<Response<proto::ListStockTakenReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(view::list_stock_taken(&self.app, actor, request.into_inner()).await?))
    }

    async fn get_trial_balance(
        &self,
        request: Request<proto::GetTrialBalanceRequest>,
    ) -> Result<Response<proto::GetTrialBalanceReply>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(view::get_trial_balance(&self.app, actor).await?))
    }
}
