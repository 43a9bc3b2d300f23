//! Invoices staff writes, credit notes of single lines, and invoices that are taken back or given up.

use billing::app::settlement::Settled;
use billing::domain::invoice::{Invoice, State};
use billing::domain::subscription::State as Life;
use chrono::TimeDelta;
use ottery_kernel::{AccountId, InvoiceId, Term};
use ottery_kit::grpc::{Actor, CallContext, Channel, Problem};
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::billing_service_client::BillingServiceClient;
use ottery_proto::common::v1::Money;
use ottery_testkit::actor;
use ottery_testkit::recorder::outbox;
use tonic::Status;

use crate::calls::{Served, served};
use crate::world::{World, eur, offer};

type Client = BillingServiceClient<Channel>;

fn money(minor: i64) -> Money {
    Money { minor, currency: "EUR".into() }
}

pub fn line(description: &str, quantity: u32, minor: i64, tax_rate_bp: u32) -> proto::DraftLine {
    proto::DraftLine { description: description.into(), quantity, unit_price: Some(money(minor)), tax_rate_bp }
}

pub fn drafting(account: AccountId, lines: Vec<proto::DraftLine>) -> proto::DraftInvoiceRequest {
    proto::DraftInvoiceRequest {
        account_id: account.to_string(),
        email: "ada@example.com".into(),
        display_name: "Ada".into(),
        country: "DE".into(),
        locale: "de".into(),
        currency: "EUR".into(),
        lines,
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (String, String) {
    let problem = Problem::from(answer.expect_err("it is refused"));
    (problem.reason.into_owned(), problem.field.unwrap_or_default())
}

fn credit(invoice: &Invoice) -> proto::CreditInvoiceRequest {
    proto::CreditInvoiceRequest {
        invoice_id: invoice.id.to_string(),
        amount: None,
        line_numbers: Vec::new(),
        reason: "goodwill".into(),
    }
}

impl Served {
    fn clerk(&self) -> Actor {
        let mut clerk = actor::staff(
            self.world.brand,
            ["invoice.manage", "invoice.read", "invoice.refund", "order.manage", "ledger.read"],
        );
        clerk.authenticated_at = Some(self.world.now());
        clerk
    }

    pub fn desk(&self) -> Client {
        self.client(self.clerk())
    }

    fn keyed(&self, key: &str) -> Client {
        let context = CallContext::new(self.clerk()).idempotency_key(key);
        BillingServiceClient::new(self.world.host.of("gateway").client_channel(billing::NAME).with(&context))
    }

    /// An issued invoice with these lines.
    pub async fn issued(&self, account: AccountId, lines: Vec<proto::DraftLine>) -> Invoice {
        let draft = self.desk().draft_invoice(drafting(account, lines)).await.unwrap().into_inner();
        let request = proto::FinaliseDraftRequest { invoice_id: draft.id.clone(), due_days: 14 };
        self.desk().finalise_draft(request).await.unwrap();
        self.world.invoice(draft.id.parse().unwrap()).await
    }
}

async fn wallet(world: &World, account: AccountId) -> i64 {
    let mut tx = world.tx().await;
    let wallets = billing::store::ledger::wallets(&mut tx, &[account]).await.unwrap();
    wallets.values().map(|balance| balance.minor).sum()
}

async fn tasks(world: &World) -> Vec<String> {
    let page = billing::store::Page { before: None, limit: 50 };
    world.billing.tasks(world.brand, page).await.unwrap().into_iter().map(|task| task.kind).collect()
}

#[tokio::test]
async fn case_041_a_draft_is_changed_freely_and_an_issued_invoice_never() {
    let served = served().await;
    let (world, mut desk) = (&served.world, served.desk());
    let account = world.account();
    let draft = desk.draft_invoice(drafting(account, vec![line("Box", 1, 1190, 1900)])).await.unwrap().into_inner();
    assert_eq!((draft.number.as_str(), draft.state()), ("", proto::invoice::State::Draft));
    assert_eq!(draft.purpose(), proto::invoice::Purpose::Manual);
    // The customer does not see it, by id or in the list.
    let mut me = served.customer(account);
    let get = proto::GetInvoiceRequest { invoice_id: draft.id.clone() };
    assert_eq!(refused(me.get_invoice(get.clone()).await).0, "INVOICE_NOT_FOUND");
    let mine = me.list_invoices(proto::ListInvoicesRequest::default()).await.unwrap().into_inner();
    assert!(mine.invoices.is_empty());

    let edit = proto::EditDraftRequest {
        invoice_id: draft.id.clone(),
        lines: vec![line("Box", 2, 1190, 1900), line("Book", 1, 1070, 700)],
    };
    let edited = desk.edit_draft(edit.clone()).await.unwrap().into_inner();
    assert_eq!((edited.total.unwrap().minor, edited.tax.unwrap().minor), (3450, 450));
    let paper = desk
        .get_invoice_document(proto::GetInvoiceDocumentRequest {
            invoice_id: draft.id.clone(),
            credit_note_id: String::new(),
        })
        .await
        .unwrap()
        .into_inner();
    let preview: serde_json::Value = serde_json::from_str(&paper.document_json).unwrap();
    assert_eq!((preview["status"].as_str(), preview["number"].as_str()), (Some("draft"), Some("DRAFT")));
    let ubl = proto::GetInvoiceUblRequest { invoice_id: draft.id.clone(), credit_note_id: String::new() };
    assert_eq!(refused(desk.get_invoice_ubl(ubl.clone()).await).0, "INVOICE_DRAFT");
    assert!(world.books().await.is_empty());

    let finalise = proto::FinaliseDraftRequest { invoice_id: draft.id.clone(), due_days: 14 };
    let issued = desk.finalise_draft(finalise.clone()).await.unwrap().into_inner();
    assert_eq!((issued.number.as_str(), issued.state()), ("INV-2026-000001", proto::invoice::State::Open));
    assert_eq!(me.get_invoice(get).await.unwrap().into_inner().number, "INV-2026-000001");
    assert!(desk.get_invoice_ubl(ubl).await.unwrap().into_inner().xml.contains("INV-2026-000001"));

    let field = || ("INVOICE_ISSUED".to_owned(), "invoice_id".to_owned());
    assert_eq!(refused(desk.edit_draft(edit).await), field());
    let discard = proto::DiscardDraftRequest { invoice_id: draft.id.clone() };
    assert_eq!(refused(desk.discard_draft(discard).await), field());
    assert_eq!(refused(desk.finalise_draft(finalise).await), field());
    // Nor behind the service's back.
    let before = world.invoice(draft.id.parse().unwrap()).await;
    let mut tx = world.tx().await;
    let forged = Invoice { lines: Vec::new(), ..before.clone() };
    billing::store::invoice::write_draft(&mut tx, &forged).await.unwrap();
    billing::store::invoice::delete_draft(&mut tx, before.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.invoice(before.id).await, before);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_draft_that_is_thrown_away_leaves_no_gap() {
    let served = served().await;
    let (world, mut desk) = (&served.world, served.desk());
    let lines = || vec![line("Box", 1, 1190, 1900)];
    let draft = desk.draft_invoice(drafting(world.account(), lines())).await.unwrap().into_inner();
    desk.discard_draft(proto::DiscardDraftRequest { invoice_id: draft.id.clone() }).await.unwrap();
    assert_eq!(
        refused(desk.get_invoice(proto::GetInvoiceRequest { invoice_id: draft.id }).await).0,
        "INVOICE_NOT_FOUND"
    );
    assert_eq!(served.issued(world.account(), lines()).await.number_text(), "INV-2026-000001");
    world.assert_sound().await;
}

#[tokio::test]
async fn a_manual_invoice_is_written_issued_and_credited_once_however_often_it_is_asked_for() {
    let served = served().await;
    let world = &served.world;
    let request = drafting(world.account(), vec![line("Box", 1, 1190, 1900)]);
    let mut keyed = served.keyed("draft-1");
    let first = keyed.draft_invoice(request.clone()).await.unwrap().into_inner();
    let again = keyed.draft_invoice(request.clone()).await.unwrap().into_inner();
    assert_eq!(first.id, again.id);
    let other = proto::DraftInvoiceRequest { display_name: "Eve".into(), ..request };
    assert_eq!(refused(keyed.draft_invoice(other).await).0, "IDEMPOTENCY_KEY_REUSED");
    let finalise = proto::FinaliseDraftRequest { invoice_id: first.id.clone(), due_days: 0 };
    let mut keyed = served.keyed("issue-1");
    let issued = keyed.finalise_draft(finalise.clone()).await.unwrap().into_inner();
    assert_eq!(keyed.finalise_draft(finalise).await.unwrap().into_inner(), issued);
    let invoice = world.invoice(first.id.parse().unwrap()).await;
    let mut keyed = served.keyed("credit-1");
    let part = proto::CreditInvoiceRequest { amount: Some(money(190)), ..credit(&invoice) };
    let note = keyed.credit_invoice(part.clone()).await.unwrap().into_inner();
    assert_eq!(keyed.credit_invoice(part).await.unwrap().into_inner(), note);
    assert_eq!(world.invoice(invoice.id).await.remaining().unwrap(), eur(1000));
    world.assert_sound().await;
}

#[tokio::test]
async fn who_may_not_write_invoices_cannot() {
    let served = served().await;
    let request = || drafting(served.world.account(), vec![line("Box", 1, 1190, 1900)]);
    let mut reader = served.client(actor::staff(served.world.brand, ["invoice.read", "invoice.refund"]));
    assert_eq!(reader.draft_invoice(request()).await.unwrap_err().code(), tonic::Code::PermissionDenied);
    let mut me = served.customer(served.world.account());
    assert_eq!(me.draft_invoice(request()).await.unwrap_err().code(), tonic::Code::PermissionDenied);
    let invoice = served.issued(served.world.account(), vec![line("Box", 1, 1190, 1900)]).await;
    assert_eq!(me.credit_invoice(credit(&invoice)).await.unwrap_err().code(), tonic::Code::PermissionDenied);
    // Whose last proof is old is asked for another before money moves.
    let mut stale = served.clerk();
    stale.authenticated_at = Some(served.world.now() - TimeDelta::minutes(11));
    let part = proto::CreditInvoiceRequest { amount: Some(money(1)), ..credit(&invoice) };
    assert_eq!(served.client(stale).credit_invoice(part).await.unwrap_err().code(), tonic::Code::PermissionDenied);
}

#[tokio::test]
async fn bad_lines_are_refused_by_field_and_nothing_is_written() {
    let served = served().await;
    let mut desk = served.desk();
    let account = served.world.account();
    for (lines, field) in [
        (vec![], "lines"),
        (vec![line("", 1, 100, 0)], "lines[0].description"),
        (vec![line("x", 0, 100, 0)], "lines[0].quantity"),
        (vec![line("x", 1, 100, 0), line("x", 1, 999_999_999_999, 0)], "lines[1].unit_price"),
        (vec![line("x", 1, 100, 10_001)], "lines[0].tax_rate_bp"),
        (vec![line("x", 1, -1, 0)], "lines"),
    ] {
        assert_eq!(refused(desk.draft_invoice(drafting(account, lines)).await), ("LINES_INVALID".into(), field.into()));
    }
    let bare = proto::DraftLine { unit_price: None, ..line("x", 1, 1, 0) };
    assert_eq!(
        refused(desk.draft_invoice(drafting(account, vec![bare])).await),
        ("MISSING".into(), "lines[0].unit_price".into())
    );
    let yen = proto::DraftInvoiceRequest { currency: "JPY".into(), ..drafting(account, vec![line("x", 1, 1, 0)]) };
    assert_eq!(refused(desk.draft_invoice(yen).await), ("CURRENCY_UNKNOWN".into(), "currency".into()));
    let all = desk.list_invoices(proto::ListInvoicesRequest::default()).await.unwrap().into_inner();
    assert!(all.invoices.is_empty());
}

#[tokio::test]
async fn a_manual_invoice_is_mailed_when_staff_sends_it_and_paid_like_any_other() {
    let served = served().await;
    let (world, mut desk) = (&served.world, served.desk());
    let draft =
        desk.draft_invoice(drafting(world.account(), vec![line("Box", 1, 1190, 1900)])).await.unwrap().into_inner();
    let send = proto::SendInvoiceRequest { invoice_id: draft.id.clone() };
    assert_eq!(refused(desk.send_invoice(send.clone()).await).0, "INVOICE_STATE");
    desk.finalise_draft(proto::FinaliseDraftRequest { invoice_id: draft.id.clone(), due_days: 30 }).await.unwrap();
    desk.send_invoice(send).await.unwrap();
    let sent = outbox(&world.database.pool).await;
    assert_eq!(sent.iter().filter(|event| event.r#type == "billing.invoice.sent.v1").count(), 1);
    let invoice = world.invoice(draft.id.parse().unwrap()).await;
    assert_eq!(invoice.due_at, Some(world.now() + TimeDelta::days(30)));
    assert_eq!(world.pay(&invoice).await, Settled::Applied);
    assert_eq!(world.invoice(invoice.id).await.state, State::Closed);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_029_an_invoice_over_nothing_settles_itself_with_its_number() {
    let served = served().await;
    let world = &served.world;
    let gift = vec![line("Box", 1, 1190, 1900), line("A gift", 1, -1190, 1900)];
    let invoice = served.issued(world.account(), gift).await;
    assert_eq!((invoice.state, invoice.number_text().as_str()), (State::Closed, "INV-2026-000001"));
    let settled = outbox(&world.database.pool).await;
    assert!(settled.iter().any(|event| event.r#type == "billing.invoice.settled.v1"));
    // A subscription that costs nothing goes on being provided.
    let placed = world.order(world.account(), offer(0, Term::MONTH)).await;
    assert_eq!(world.invoice_of(&placed).await.state, State::Closed);
    assert_eq!(world.subscription(placed.order.subscription).await.state, Life::Active);
    world.assert_sound().await;
}

#[tokio::test]
async fn single_lines_are_credited_with_their_own_tax_and_what_was_paid_goes_to_the_wallet() {
    let served = served().await;
    let (world, mut desk) = (&served.world, served.desk());
    let account = world.account();
    let lines = vec![line("Box", 1, 1190, 1900), line("Book", 1, 1070, 700)];
    let invoice = served.issued(account, lines).await;
    world.settle(&world.payment(&invoice, eur(1000), eur(1000))).await;
    let book = proto::CreditInvoiceRequest { line_numbers: vec![2], ..credit(&invoice) };
    let note = desk.credit_invoice(book.clone()).await.unwrap().into_inner();
    assert_eq!(note.number, "INV-CN-2026-000001");
    assert_eq!((note.amount.unwrap().minor, note.tax.unwrap().minor, note.line_numbers), (1070, 70, vec![2]));
    // 22.60 less 10.00 paid less 10.70 credited.
    let open = world.invoice(invoice.id).await;
    assert_eq!((open.state, open.remaining().unwrap(), wallet(world, account).await), (State::Open, eur(190), 0));
    assert_eq!(refused(desk.credit_invoice(book).await), ("LINE_CREDITED".into(), "line_numbers".into()));

    let boxed = proto::CreditInvoiceRequest { line_numbers: vec![1], ..credit(&invoice) };
    let note = desk.credit_invoice(boxed).await.unwrap().into_inner();
    assert_eq!(note.tax.unwrap().minor, 190);
    let closed = world.invoice(invoice.id).await;
    assert_eq!((closed.state, closed.refunded, wallet(world, account).await), (State::Closed, eur(2260), 1000));
    let more = proto::CreditInvoiceRequest { amount: Some(money(1)), ..credit(&invoice) };
    assert_eq!(refused(desk.credit_invoice(more).await), ("CREDIT_TOO_LARGE".into(), "amount".into()));

    // Both papers of a line's note say the line.
    let paper = desk
        .get_invoice_document(proto::GetInvoiceDocumentRequest {
            invoice_id: invoice.id.to_string(),
            credit_note_id: note.id.clone(),
        })
        .await
        .unwrap()
        .into_inner();
    let document: serde_json::Value = serde_json::from_str(&paper.document_json).unwrap();
    assert_eq!(
        (document["lines"][0]["description"].as_str(), document["notes"].as_str()),
        (Some("Box"), Some("goodwill"))
    );
    assert_eq!((document["total_minor"].as_i64(), document["tax_minor"].as_i64()), (Some(1190), Some(190)));
    assert_eq!(document["tax_lines"][0]["rate"].as_str(), Some("19"));
    let ubl = proto::GetInvoiceUblRequest { invoice_id: invoice.id.to_string(), credit_note_id: note.id };
    let xml = desk.get_invoice_ubl(ubl).await.unwrap().into_inner().xml;
    assert!(xml.contains("<cbc:Percent>19</cbc:Percent>") && !xml.contains("<cbc:Percent>7</cbc:Percent>"), "{xml}");
    world.assert_sound().await;
}

#[tokio::test]
async fn a_credit_of_everything_that_is_owed_settles_the_renewal_and_gives_the_period() {
    let served = served().await;
    let world = &served.world;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let end = subscription.paid_through.unwrap();
    world.advance_to(end - TimeDelta::hours(72)).await;
    let renewal = world.open_invoice(subscription.id).await.unwrap();
    let all = proto::CreditInvoiceRequest { amount: Some(money(1190)), ..credit(&renewal) };
    served.desk().credit_invoice(all).await.unwrap();
    assert_eq!(world.invoice(renewal.id).await.state, State::Closed);
    assert!(world.subscription(subscription.id).await.paid_through.unwrap() > end);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_039_a_void_invoice_keeps_its_number_and_the_period_is_billed_anew() {
    let served = served().await;
    let (world, mut desk) = (&served.world, served.desk());
    let void = |id: InvoiceId| proto::VoidInvoiceRequest { invoice_id: id.to_string(), reason: "wrong buyer".into() };
    let manual = served.issued(world.account(), vec![line("Box", 1, 1190, 1900)]).await;
    assert_eq!(
        refused(desk.void_invoice(proto::VoidInvoiceRequest { reason: " ".into(), ..void(manual.id) }).await).1,
        "reason"
    );
    let taken_back = desk.void_invoice(void(manual.id)).await.unwrap().into_inner();
    assert_eq!((taken_back.state(), taken_back.number.as_str()), (proto::invoice::State::Void, "INV-2026-000001"));
    assert_eq!(desk.void_invoice(void(manual.id)).await.unwrap().into_inner().number, "INV-2026-000001");
    let send = proto::SendInvoiceRequest { invoice_id: manual.id.to_string() };
    assert_eq!(refused(desk.send_invoice(send).await).0, "INVOICE_STATE");

    let subscription = world.subscriber(1190, Term::MONTH).await;
    world.advance_to(subscription.paid_through.unwrap() - TimeDelta::hours(72)).await;
    let renewal = world.open_invoice(subscription.id).await.unwrap();
    desk.void_invoice(void(renewal.id)).await.unwrap();
    world.work_off().await;
    let anew = world.open_invoice(subscription.id).await.unwrap();
    assert_eq!((anew.number_text().as_str(), anew.period), ("INV-2026-000004", renewal.period));

    // Money on it has to go back another way.
    world.settle(&world.payment(&anew, eur(100), eur(100))).await;
    assert_eq!(refused(desk.void_invoice(void(anew.id)).await), ("INVOICE_PAID".into(), "invoice_id".into()));
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    assert_eq!(refused(desk.void_invoice(void(placed.order.invoice.unwrap())).await).0, "ORDER_UNPAID");
    world.assert_sound().await;
}

#[tokio::test]
async fn case_049_what_is_given_up_is_a_loss_until_it_is_paid_after_all() {
    let served = served().await;
    let (world, mut desk) = (&served.world, served.desk());
    let give_up =
        |id: InvoiceId| proto::WriteOffInvoiceRequest { invoice_id: id.to_string(), reason: "bankrupt".into() };
    let invoice = served.issued(world.account(), vec![line("Box", 1, 1190, 1900)]).await;
    let given_up = desk.write_off_invoice(give_up(invoice.id)).await.unwrap().into_inner();
    assert_eq!(given_up.state(), proto::invoice::State::Uncollectible);
    assert!(world.books().await.contains(&"invoice.written_off bad_debt receivable 11.90".to_owned()));
    world.assert_sound().await;

    // A part comes in, then the rest: the loss shrinks with each, and nothing lands in the wallet.
    assert_eq!(world.settle(&world.payment(&invoice, eur(190), eur(190))).await, Settled::Applied);
    assert_eq!(world.invoice(invoice.id).await.state, State::Uncollectible);
    world.assert_sound().await;
    assert_eq!(world.settle(&world.payment(&invoice, eur(1000), eur(1000))).await, Settled::Applied);
    assert_eq!(world.invoice(invoice.id).await.state, State::Closed);
    assert_eq!((wallet(world, invoice.account).await, tasks(world).await), (0, vec!["invoice_recovered".to_owned()]));
    let books = world.books().await;
    assert!(books.contains(&"invoice.recovered receivable bad_debt 10.00".to_owned()), "{books:?}");
    world.assert_sound().await;

    // A subscription that runs owes on; ended, its invoices go with it.
    let subscription = world.subscriber(1190, Term::MONTH).await;
    world.advance_to(subscription.paid_through.unwrap() - TimeDelta::hours(72)).await;
    let renewal = world.open_invoice(subscription.id).await.unwrap();
    assert_eq!(refused(desk.write_off_invoice(give_up(renewal.id)).await).0, "SUBSCRIPTION_LIVE");
    world.assert_sound().await;
}

#[tokio::test]
async fn case_048_cancelling_an_order_nobody_paid_closes_its_invoice_and_ends_what_it_was_for() {
    let served = served().await;
    let world = &served.world;
    let account = world.account();
    let placed = world.order(account, offer(1190, Term::MONTH)).await;
    let cancel = proto::CancelOrderRequest { order_id: placed.order.id.to_string() };
    let mut stranger = served.customer(world.account());
    assert_eq!(refused(stranger.cancel_order(cancel.clone()).await), ("ORDER_NOT_FOUND".into(), "order_id".into()));
    let mut me = served.customer(account);
    let cancelled = me.cancel_order(cancel.clone()).await.unwrap().into_inner();
    assert_eq!(cancelled.state(), proto::order::State::Cancelled);
    assert_eq!(world.invoice_of(&placed).await.state, State::Void);
    assert!(world.subscription(placed.order.subscription).await.state.has_ended());
    assert_eq!(me.cancel_order(cancel).await.unwrap().into_inner().state(), proto::order::State::Cancelled);

    let paid = world.order(account, offer(1190, Term::MONTH)).await;
    world.pay(&world.invoice_of(&paid).await).await;
    let cancel = proto::CancelOrderRequest { order_id: paid.order.id.to_string() };
    assert_eq!(refused(served.desk().cancel_order(cancel).await), ("ORDER_STATE".into(), "order_id".into()));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_049_an_ended_subscriptions_open_renewal_is_void_or_given_up_as_the_brand_chose() {
    let served = served().await;
    let world = &served.world;
    let mut owner = served.client(actor::staff(world.brand, ["brand.read", "brand.update"]));
    let policy = proto::invoice_rules::UnpaidAtEnd::WriteOff;
    let put = proto::PutInvoiceRulesRequest {
        unpaid_at_end: policy.into(),
        bills_time_off: false,
        proforma: false,
        consolidated: false,
        expected_version: 0,
    };
    let before = owner.get_invoice_rules(proto::GetInvoiceRulesRequest {}).await.unwrap().into_inner();
    assert_eq!((before.unpaid_at_end(), before.version), (proto::invoice_rules::UnpaidAtEnd::Void, 0));
    let lapse = async || {
        let subscription = world.subscriber(1190, Term::MONTH).await;
        world.advance_to(subscription.paid_through.unwrap() - TimeDelta::hours(72)).await;
        let renewal = world.open_invoice(subscription.id).await.unwrap();
        // Suspended at the end of the grace, ended two weeks after that.
        world.advance(TimeDelta::days(10)).await;
        // A scheduler that was away so long gives a day before it suspends (case 10).
        world.advance(TimeDelta::days(1)).await;
        world.advance(TimeDelta::days(15)).await;
        assert!(world.subscription(subscription.id).await.state.has_ended());
        world.invoice(renewal.id).await
    };
    // Never asked for any more either way.
    let taken_back = lapse().await;
    assert_eq!(taken_back.state, State::Void);
    assert_eq!(world.pay(&taken_back).await, Settled::ToWallet);

    assert_eq!(owner.put_invoice_rules(put).await.unwrap().into_inner().version, 1);
    assert_eq!(refused(owner.put_invoice_rules(put).await).0, "VERSION_CONFLICT");
    let given_up = lapse().await;
    assert_eq!(given_up.state, State::Uncollectible);
    world.assert_sound().await;
    assert_eq!(world.pay(&given_up).await, Settled::Applied);
    assert_eq!(world.invoice(given_up.id).await.state, State::Closed);
    assert!(world.subscription(given_up.subscription.unwrap()).await.state.has_ended());
    assert_eq!(tasks(world).await, ["invoice_recovered", "overpayment"]);
    // What was never served is no claim, whatever the brand chose.
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    world.advance(TimeDelta::days(4)).await;
    assert_eq!(world.invoice_of(&placed).await.state, State::Void);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_050_nothing_is_billed_while_suspended_and_nothing_for_that_time_on_return_unless_set() {
    let served = served().await;
    let world = &served.world;
    let mut staff = served.client(actor::staff(world.brand, ["subscription.manage", "brand.update"]));
    let issued = async |id| {
        let mut tx = world.tx().await;
        let page = billing::store::Page { before: None, limit: 50 };
        billing::store::invoice::list(&mut tx, None, Some(id), page).await.unwrap().len()
    };
    // Suspended by staff a day before the lead time of the renewal, for ten weeks.
    let away = async |client: &mut Client| {
        let subscription = world.subscriber(1190, Term::MONTH).await;
        world.advance_to(subscription.paid_through.unwrap() - TimeDelta::hours(96)).await;
        let id = subscription.id.to_string();
        let suspend = proto::SuspendSubscriptionRequest { subscription_id: id.clone(), reason: "abuse".into() };
        client.suspend_subscription(suspend).await.unwrap();
        let before = issued(subscription.id).await;
        world.advance(TimeDelta::weeks(10)).await;
        assert_eq!(issued(subscription.id).await, before, "suspended subscriptions are not billed");
        client.unsuspend_subscription(proto::UnsuspendSubscriptionRequest { subscription_id: id }).await.unwrap();
        world.work_off().await;
        (subscription.clone(), world.open_invoice(subscription.id).await.unwrap())
    };
    let (subscription, back) = away(&mut staff).await;
    assert_eq!(back.period.unwrap().start(), world.now(), "from the return on");
    world.pay(&back).await;
    world.work_off().await;
    assert_eq!(world.open_invoice(subscription.id).await, None, "one period is owed, not three");
    let going_on = world.subscription(subscription.id).await;
    assert_eq!((going_on.state, going_on.paid_through), (Life::Active, Some(back.period.unwrap().end())));
    world.assert_sound().await;

    let put = proto::PutInvoiceRulesRequest {
        unpaid_at_end: proto::invoice_rules::UnpaidAtEnd::Void.into(),
        bills_time_off: true,
        proforma: false,
        consolidated: false,
        expected_version: 0,
    };
    staff.put_invoice_rules(put).await.unwrap();
    let (subscription, back) = away(&mut staff).await;
    assert_eq!(Some(back.period.unwrap().start()), subscription.paid_through, "from the old end on");
    world.assert_sound().await;
}
