//! Money customers put into their wallets: credited once, taxed never, given back out of the wallet.

use billing::app::order::Idempotency;
use billing::app::payment::{HostedPage, open_checkout};
use billing::app::refund::Ask;
use billing::app::time_machine::Journey;
use billing::app::top_up::{Asked, By, TopUp};
use billing::domain::amount_rules::{AmountRule, AmountRules};
use billing::domain::invoice::{Purpose, State};
use billing::domain::payment::State as PaymentState;
use billing::domain::refund::{Policy, State as RefundState};
use billing::domain::time_machine::Assumption;
use billing::store::payment::AttemptKind;
use billing::store::refund::Refund;
use chrono::TimeDelta;
use futures::future::join_all;
use ottery_kernel::{AccountId, Currency, Money, PaymentId, Term};
use ottery_kit::grpc::Problem;
use ottery_kit::idempotency::KeyScope;
use ottery_proto::billing::v1 as proto;
use ottery_testkit::recorder::{outbox, payload};
use serde_json::json;
use uuid::Uuid;

use crate::shop::{Shop, shop};
use crate::time_machine::{Silently, with_scratch};
use crate::world::{World, eur, offer, placing, world};

const GOOD: &str = "4242424242424242";
/// Pays on the page and is refused when it is charged later.
const OTHER: &str = "4000000000000341";

pub fn page() -> By {
    let address = "https://tv.example/account/invoices/{invoice}".to_owned();
    By::Page { return_url: address.clone(), cancel_url: address, save_method: false }
}

impl World {
    pub async fn ask_top_up(&self, account: AccountId, amount: Money, by: By) -> Result<Asked, Problem> {
        let ask = TopUp { account, buyer: placing(Uuid::nil(), account).buyer, amount, by };
        self.billing.top_up(self.brand, ask, None).await
    }

    async fn spendable(&self, account: AccountId) -> Money {
        let wallets = self.billing.wallet(self.brand, account).await.unwrap();
        wallets.first().map_or(eur(0), |wallet| wallet.available)
    }
}

impl Shop {
    /// A top-up that was paid on the page.
    async fn topped_up(&self, account: AccountId, minor: i64) -> Asked {
        let asked = self.world.ask_top_up(account, eur(minor), page()).await.expect("asked for");
        let url = open_checkout(&self.world.billing, self.world.brand, asked.payment).await.expect("a page");
        assert_eq!(self.card(&url, GOOD).await, 303);
        self.hear("payment.succeeded", asked.payment).await;
        self.drain().await;
        assert_eq!(self.world.invoice(asked.invoice.id).await.state, State::Closed);
        asked
    }

    async fn back(&self, payment: PaymentId, amount: Option<Money>) -> Result<Refund, Problem> {
        let owner = ottery_testkit::actor::owner(self.world.brand);
        let ask = Ask { payment, invoice: None, amount, reason: "Wants it back".into(), policy: Policy::Keep };
        self.world.billing.refund_payment(&owner, self.world.brand, ask, None).await
    }
}

#[tokio::test]
async fn a_paid_top_up_is_in_the_wallet_and_in_no_sales_and_pays_what_is_bought_next() {
    let shop = shop().await;
    let (world, account) = (&shop.world, shop.world.account());
    let asked = world.ask_top_up(account, eur(2500), page()).await.unwrap();
    assert_eq!((asked.invoice.purpose, asked.invoice.is_proforma()), (Purpose::TopUp, true));
    assert!(world.books().await.is_empty(), "nobody owes it");
    let asked = shop.topped_up(account, 2500).await;
    let invoice = world.invoice(asked.invoice.id).await;
    assert_eq!((invoice.number_text().as_str(), invoice.totals.tax), ("INV-2026-000001", eur(0)));
    let fee = shop.balance("provider_fees:sandbox").await;
    let books: Vec<_> = world.books().await.into_iter().filter(|row| !row.starts_with("payment.fee")).collect();
    assert_eq!(
        books,
        [
            "invoice.finalised receivable top_ups 25.00",
            "payment.settled provider:sandbox receivable 25.00",
            "wallet.topped_up top_ups wallet 25.00",
        ]
    );
    assert_eq!(shop.balance("provider:sandbox").await, 2500 - fee);
    assert_eq!(world.spendable(account).await, eur(2500));
    world.assert_sound().await;

    let placed = world.order(account, offer(1190, Term::MONTH)).await;
    assert_eq!(world.invoice_of(&placed).await.state, State::Closed, "the wallet paid it");
    assert_eq!(shop.balance("tax").await, -190, "taxed now, where it was bought");
    assert_eq!(world.spendable(account).await, eur(1310));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_120_who_sent_the_customer_earns_by_what_is_bought_and_not_by_the_money_as_well() {
    let shop = shop().await;
    let (world, account) = (&shop.world, shop.world.account());
    shop.topped_up(account, 2500).await;
    world.order(account, offer(1190, Term::MONTH)).await;
    world.order(account, offer(300, Term::MONTH)).await;
    let told = outbox(&world.database.pool).await;
    let settled = told.iter().filter(|event| event.r#type == "billing.invoice.settled.v1");
    let settled: Vec<_> = settled
        .map(payload::<proto::InvoiceSettled>)
        .map(|event| (event.invoice.unwrap().purpose(), event.referral_code, event.first_of_account))
        .collect();
    assert_eq!(
        settled,
        [
            (proto::invoice::Purpose::TopUp, String::new(), false),
            (proto::invoice::Purpose::First, "FRIEND".to_owned(), true),
            (proto::invoice::Purpose::First, "FRIEND".to_owned(), false),
        ]
    );
}

#[tokio::test]
async fn case_052_copies_of_the_webhook_and_parallel_settlements_credit_a_top_up_once() {
    let shop = shop().await;
    let (world, account) = (&shop.world, shop.world.account());
    let asked = world.ask_top_up(account, eur(2500), page()).await.unwrap();
    let url = open_checkout(&world.billing, world.brand, asked.payment).await.expect("a page");
    assert_eq!(shop.card(&url, GOOD).await, 303);
    let event = shop.events("payment.succeeded", asked.payment).await.pop().expect("told");
    let answers = join_all((0..20).map(|_| shop.deliver(&event))).await;
    assert!(answers.iter().all(Result::is_ok));
    let settled = billing::app::settlement::SettledPayment {
        payment: asked.payment,
        ..world.payment(&asked.invoice, eur(2500), eur(2500))
    };
    // Two replicas and eight settlements of the same payment at once.
    let other = world.billing.clone();
    let directly = join_all((0..8).map(|_| world.settle(&settled)));
    let (one, two, _) = tokio::join!(world.billing.work_events(), other.work_events(), directly);
    assert!(one.is_ok() && two.is_ok());
    shop.drain().await;
    shop.later().await;
    assert_eq!(world.spendable(account).await, eur(2500));
    let credited = world.books().await.into_iter().filter(|row| row.starts_with("wallet.topped_up")).count();
    assert_eq!(credited, 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn an_amount_outside_the_brands_limits_is_refused_with_what_is_taken() {
    let world = world().await;
    let account = world.account();
    let ask = async |amount| world.ask_top_up(account, amount, page()).await;
    let refused = ask(eur(499)).await.unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("TOP_UP_AMOUNT", Some("amount")));
    assert_eq!(refused.message, "amount: a top-up is 5.00 EUR to 500.00 EUR, asked for 4.99 EUR");
    assert!(ask(eur(-1000)).await.unwrap_err().is("TOP_UP_AMOUNT"));
    assert!(ask(eur(50_001)).await.unwrap_err().is("TOP_UP_AMOUNT"));
    assert!(ask(Money::new(1000, Currency::JPY)).await.unwrap_err().is("CURRENCY_NOT_SOLD"));

    let owner = ottery_testkit::actor::owner(world.brand);
    let rules = |top_up_min, top_up_max, version| AmountRules {
        rules: vec![AmountRule { currency: Currency::EUR, top_up_min, top_up_max, charge_min: 0 }],
        version,
    };
    let refused = world.billing.put_amount_rules(&owner, world.brand, rules(0, 10, 0)).await.unwrap_err();
    assert_eq!(
        (refused.reason.as_ref(), refused.field.as_deref()),
        ("AMOUNT_RULE_INVALID", Some("rules[0].top_up_min_minor"))
    );
    let put = world.billing.put_amount_rules(&owner, world.brand, rules(100, 400, 0)).await.unwrap();
    assert_eq!((put.version, put.rules.len()), (1, 2), "a rule for each currency that is sold");
    let stale = world.billing.put_amount_rules(&owner, world.brand, rules(100, 400, 0)).await.unwrap_err();
    assert!(stale.is("VERSION_CONFLICT"));
    assert!(ask(eur(500)).await.unwrap_err().is("TOP_UP_AMOUNT"));
    assert_eq!(ask(eur(400)).await.unwrap().invoice.totals.total, eur(400));
    assert!(ask(Money::new(500, Currency::USD)).await.is_ok(), "another currency has its own");
}

#[tokio::test]
async fn a_saved_method_is_charged_and_a_repeated_call_charges_it_once() {
    let shop = shop().await;
    let world = &shop.world;
    let stranger = world.ask_top_up(world.account(), eur(1000), By::Saved(None)).await.unwrap_err();
    assert_eq!((stranger.reason.as_ref(), stranger.field.as_deref()), ("NO_SAVED_METHOD", Some("saved_method")));
    let account = shop.paid_with(GOOD).await.account;
    let scope = KeyScope { brand: Some(world.brand), actor: account.to_string(), route: "billing.TopUpWallet" };
    let call = || Some(Idempotency { scope: scope.clone(), key: "key-1".into(), hash: [7; 32] });
    let ask = || TopUp { account, buyer: placing(Uuid::nil(), account).buyer, amount: eur(1000), by: By::Saved(None) };
    let first = world.billing.top_up(world.brand, ask(), call()).await.unwrap();
    let again = world.billing.top_up(world.brand, ask(), call()).await.unwrap();
    assert_eq!((first.invoice.id, first.payment), (again.invoice.id, again.payment));
    shop.drain().await;
    assert_eq!(shop.payment(first.payment).await.state, PaymentState::Succeeded);
    assert_eq!(shop.charges(first.payment).await, (1, 1));
    assert_eq!(world.spendable(account).await, eur(1000));
    let overview = world.billing.wallet_overview(world.brand, account).await.unwrap();
    assert!(overview.saved.is_some_and(|label| label.contains("4242")));
    world.assert_sound().await;
}

#[tokio::test]
async fn another_saved_method_than_the_usual_one_pays_and_only_ones_own() {
    let shop = shop().await;
    let world = &shop.world;
    let account = shop.paid_with(GOOD).await.account;
    let first = world.billing.payment_methods(world.brand, account).await.unwrap().remove(0);
    // A new one that is typed on the page is kept when asked for, and is the usual one from then on.
    let By::Page { return_url, cancel_url, .. } = page() else { panic!("a page") };
    let by = By::Page { return_url, cancel_url, save_method: true };
    let asked = world.ask_top_up(account, eur(700), by).await.unwrap();
    let url = open_checkout(&world.billing, world.brand, asked.payment).await.expect("a page");
    assert_eq!(shop.card(&url, OTHER).await, 303);
    shop.hear("payment.succeeded", asked.payment).await;
    shop.drain().await;
    let methods = world.billing.payment_methods(world.brand, account).await.unwrap();
    assert_eq!(methods.len(), 2);
    assert!(methods[0].is_default && methods[0].id != first.id && methods[1].id == first.id);

    let other = world.ask_top_up(account, eur(1000), By::Saved(Some(first.id))).await.unwrap();
    let kind = shop.payment(other.payment).await.kind;
    assert!(matches!(kind, AttemptKind::OffSession { method } if method == first.id), "{kind:?}");
    shop.drain().await;
    assert_eq!(shop.payment(other.payment).await.state, PaymentState::Succeeded);
    assert_eq!(shop.payment(other.payment).await.method_label, first.label);
    assert_eq!(world.spendable(account).await, eur(1700));

    // Somebody else's, one that was taken away, and none at all have one answer, and nothing is written.
    let refused = async |account, id| {
        let refused = world.ask_top_up(account, eur(1000), By::Saved(Some(id))).await.unwrap_err();
        (refused.reason.to_string(), refused.field.unwrap_or_default().to_string())
    };
    let before = shop.count("payment").await;
    let stranger = shop.paid_with(GOOD).await.account;
    let expected = ("PAYMENT_METHOD_NOT_FOUND".to_owned(), "payment_method_id".to_owned());
    assert_eq!(refused(stranger, first.id).await, expected);
    world.billing.remove_payment_method(world.brand, first.id, Some(account)).await.unwrap();
    assert_eq!(refused(account, first.id).await, expected);
    assert_eq!(refused(account, ottery_kernel::PaymentMethodId::new(world.now())).await, expected);
    assert_eq!(shop.count("payment").await, before + 1, "the stranger's own order alone");
    world.assert_sound().await;
}

#[tokio::test]
async fn the_wallet_pays_no_top_up_and_none_is_paid_together_with_invoices() {
    let shop = shop().await;
    let (world, account) = (&shop.world, shop.world.account());
    shop.topped_up(account, 3000).await;
    let asked = world.ask_top_up(account, eur(1000), page()).await.unwrap();
    assert_eq!((asked.invoice.state, asked.invoice.paid), (State::Open, eur(0)));
    let owed = world.order(world.account(), offer(100, Term::MONTH)).await;
    let ids = [asked.invoice.id, owed.order.invoice.unwrap()];
    let address = || "https://tv.example/".to_owned();
    let refused =
        world.billing.pay_invoices(world.brand, &ids, None, HostedPage::any(address(), address())).await.unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("INVOICE_TOP_UP", Some("invoice_ids")));
    // By itself it is paid like any invoice, by a page of its own.
    let (payment, _) = world
        .billing
        .pay_invoice(world.brand, asked.invoice.id, Some(account), HostedPage::any(address(), address()))
        .await
        .unwrap();
    assert_eq!(shop.payment(payment).await.amount, eur(1000));
    let owner = ottery_testkit::actor::owner(world.brand);
    let wanted = billing::domain::portion::Wanted::Amount(eur(1000));
    let credited = world.billing.credit_invoice(&owner, world.brand, asked.invoice.id, wanted, "x", None).await;
    assert!(credited.unwrap_err().is("INVOICE_TOP_UP"));
    let given_up = world.billing.write_off_invoice(&owner, world.brand, asked.invoice.id, "x").await;
    assert!(given_up.unwrap_err().is("INVOICE_TOP_UP"));
    world.assert_sound().await;
}

#[tokio::test]
async fn one_nobody_pays_expires_without_a_trace_and_money_that_comes_later_is_in_the_wallet() {
    let shop = shop().await;
    let (world, account) = (&shop.world, shop.world.account());
    let first = world.ask_top_up(account, eur(1000), page()).await.unwrap();
    let second = world.ask_top_up(account, eur(2000), page()).await.unwrap();
    assert_eq!(world.invoice(first.invoice.id).await.state, State::Void, "the newer one replaces it");
    let url = open_checkout(&world.billing, world.brand, second.payment).await.expect("a page");
    world.host.clock.advance(TimeDelta::hours(23));
    assert_eq!(world.billing.expire_all().await.unwrap(), 0, "it has an hour left");
    world.host.clock.advance(TimeDelta::hours(1));
    let waiting = world.billing.still_due(world.brand, world.now()).await.unwrap();
    assert!(waiting.is_some_and(|waiting| waiting.ends_with("top-ups to expire")));
    assert!(world.billing.expire_all().await.unwrap() > 0);
    assert_eq!(world.billing.expire_all().await.unwrap(), 0);
    assert_eq!(world.invoice(second.invoice.id).await.state, State::Void);
    assert!(world.books().await.is_empty() && shop.tasks().await.is_empty());
    world.assert_sound().await;

    // Somebody pays on the old page all the same.
    assert_eq!(shop.card(&url, GOOD).await, 303);
    shop.hear("payment.succeeded", second.payment).await;
    shop.drain().await;
    assert_eq!(world.spendable(account).await, eur(2000));
    assert!(shop.tasks().await.is_empty(), "it is where the customer wanted it");
    world.assert_sound().await;
    let refund = shop.back(second.payment, None).await.unwrap();
    shop.drain().await;
    assert_eq!((refund.amount, world.spendable(account).await), (eur(2000), eur(0)));
    assert_eq!((shop.balance("top_ups").await, shop.balance("receivable").await), (0, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_payment_being_decided_keeps_a_top_up_from_expiring() {
    let shop = shop().await;
    let (world, account) = (&shop.world, shop.paid_with(GOOD).await.account);
    let asked = world.ask_top_up(account, eur(1000), By::Saved(None)).await.unwrap();
    world.host.clock.advance(TimeDelta::hours(25));
    assert_eq!(world.billing.expire_all().await.unwrap(), 1);
    assert_eq!(world.invoice(asked.invoice.id).await.state, State::Open);
    shop.drain().await;
    assert_eq!(world.invoice(asked.invoice.id).await.state, State::Closed);
    world.host.clock.advance(TimeDelta::hours(1));
    assert_eq!(world.billing.expire_all().await.unwrap(), 1);
    assert_eq!(shop.count("top_up_due").await, 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn only_what_is_in_the_wallet_still_goes_back_and_nobody_spends_it_meanwhile() {
    let shop = shop().await;
    let (world, account) = (&shop.world, shop.world.account());
    let asked = shop.topped_up(account, 3000).await;
    world.order(account, offer(1000, Term::MONTH)).await;
    let too_much = shop.back(asked.payment, Some(eur(2001))).await.unwrap_err();
    assert_eq!((too_much.reason.as_ref(), too_much.field.as_deref()), ("REFUND_TOO_LARGE", Some("amount")));
    assert!(too_much.message.contains("20.00 EUR"), "{}", too_much.message);

    // Everything is asked back twice and spent at the same moment: it happens once.
    let quote = world.quote(Some(account), offer(2000, Term::MONTH), false).await;
    let (one, two, spent) = tokio::join!(
        shop.back(asked.payment, Some(eur(2000))),
        shop.back(asked.payment, Some(eur(2000))),
        world.billing.place_order(world.brand, placing(quote, account), None),
    );
    let order = spent.unwrap();
    let by_wallet = world.invoice_of(&order).await.from_wallet == eur(2000);
    let refunded = [one, two].into_iter().filter(Result::is_ok).count();
    assert_eq!(refunded + usize::from(by_wallet), 1);
    assert_eq!(world.spendable(account).await, eur(0));
    world.assert_sound().await;
    shop.drain().await;
    assert_eq!(shop.balance("wallet").await, 0);
    assert_eq!(world.invoice(asked.invoice.id).await.refunded, eur(if by_wallet { 0 } else { 2000 }));
    assert_eq!(shop.balance("top_ups").await, 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_068_a_refund_that_fails_puts_the_money_back_into_the_wallet() {
    let shop = shop().await;
    let (world, account) = (&shop.world, shop.world.account());
    let asked = world.ask_top_up(account, eur(2000), page()).await.unwrap();
    let url = open_checkout(&world.billing, world.brand, asked.payment).await.expect("a page");
    assert_eq!(shop.card(&url, "4000000000005126").await, 303);
    shop.hear("payment.succeeded", asked.payment).await;
    shop.drain().await;
    shop.back(asked.payment, Some(eur(1500))).await.unwrap();
    assert_eq!(world.spendable(account).await, eur(500), "taken when it is asked for");
    assert!(shop.back(asked.payment, Some(eur(501))).await.unwrap_err().is("REFUND_TOO_LARGE"));
    world.assert_sound().await;
    world.billing.work_errands().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    shop.later().await;
    assert_eq!(shop.refunds_of(asked.payment).await[0].state, RefundState::Failed);
    assert_eq!(world.spendable(account).await, eur(2000));
    assert_eq!(world.invoice(asked.invoice.id).await.refunded, eur(0));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_067_what_is_given_back_at_the_console_leaves_the_wallet_and_what_was_spent_is_a_matter_for_a_person() {
    let shop = shop().await;
    let (world, account) = (&shop.world, shop.world.account());
    let asked = shop.topped_up(account, 2000).await;
    world.order(account, offer(1500, Term::MONTH)).await;
    let reference = shop.payment(asked.payment).await.provider_ref;
    shop.api("refunds", json!({"payment": reference, "amount": {"currency": "EUR", "minor": 2000}})).await;
    shop.hear("refund.succeeded", asked.payment).await;
    shop.drain().await;
    assert_eq!((shop.balance("wallet").await, shop.balance("unapplied").await), (0, 1500));
    assert_eq!(shop.tasks().await, ["refund_uncovered"]);
    assert_eq!(world.invoice(asked.invoice.id).await.refunded, eur(500));
    assert_eq!((shop.balance("top_ups").await, shop.balance("receivable").await), (0, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn top_ups_are_in_the_copy_of_the_time_machine_and_expire_there() {
    let mut world = world().await;
    let scratch = with_scratch(&mut world.billing).await;
    let asked = world.ask_top_up(world.account(), eur(1000), page()).await.unwrap();
    let journey = Journey::begin(&world.billing, world.brand, Assumption::Succeed).await.unwrap();
    journey.live_until(world.now() + TimeDelta::days(2), TimeDelta::hours(1), &mut Silently).await.unwrap();
    let state: String = sqlx::query_scalar("SELECT state FROM invoice WHERE id = $1")
        .bind(asked.invoice.id.as_uuid())
        .fetch_one(&scratch.admin_pool)
        .await
        .unwrap();
    assert_eq!(state, "void");
    journey.end().await.unwrap();
    assert_eq!(world.invoice(asked.invoice.id).await.state, State::Open);
}
