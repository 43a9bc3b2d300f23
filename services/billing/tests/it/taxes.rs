//! What tax customers pay, by their place and day.

use billing::domain::invoice::Invoice;
use billing::domain::line::Line;
use billing::domain::offer::Offer;
use billing::domain::profile::{Entity, Profile};
use billing::domain::tax::{Elsewhere, Levy, Pricing, Round, Rule, Settings};
use billing::store;
use chrono::TimeDelta;
use ottery_kernel::{AccountId, Currency, Money, PriceId, Term};
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1 as proto;
use ottery_proto::catalog::v1 as catalog;

use crate::calls::{Served, placing, quoting, served};
use crate::world::{World, eur, offer};

pub fn rule(country: &str, rate_bp: u32, name: &str) -> Rule {
    Rule { country: country.into(), rate_bp, name: name.into(), ..Rule::default() }
}

/// From now on the brand has these rules.
pub async fn tell(world: &World, version: i64, rules: &[Rule]) {
    let mut tx = world.tx().await;
    assert!(store::tax_rule::put(&mut tx, world.brand, version, rules).await.unwrap(), "it is news");
    tx.commit().await.unwrap();
}

/// From now on the brand's entity taxes like that.
pub async fn settle_on(served: &mut Served, version: i64, tax: Settings) {
    let profile = &served.world.profile;
    served.world.profile = Profile { entity: Entity { tax, ..profile.entity.clone() }, ..profile.clone() };
    served.world.know_version(&served.world.profile, version).await;
}

pub fn exclusive() -> Settings {
    Settings { pricing: Pricing::Exclusive, ..Settings::default() }
}

pub async fn quote(served: &Served, account: AccountId, price: PriceId, country: &str) -> proto::Quote {
    let asked = proto::CreateQuoteRequest { country: country.into(), ..quoting(price) };
    served.customer(account).create_quote(asked).await.unwrap().into_inner()
}

pub async fn order(served: &Served, account: AccountId, quote: &proto::Quote, country: &str) -> Invoice {
    let asked = proto::PlaceOrderRequest { country: country.into(), ..placing(quote) };
    let order = served.customer(account).place_order(asked).await.unwrap().into_inner().order.unwrap();
    served.world.invoice(order.invoice_id.parse().unwrap()).await
}

/// Somebody in that country with a paid subscription.
async fn subscriber(served: &Served, price: PriceId, country: &str) -> Invoice {
    let account = served.world.account();
    let invoice = order(served, account, &quote(served, account, price, country).await, country).await;
    served.world.pay(&invoice).await;
    served.world.invoice(invoice.id).await
}

async fn renewal(served: &Served, invoice: &Invoice) -> Invoice {
    let subscription = invoice.subscription.unwrap();
    let end = served.world.subscription(subscription).await.paid_through.unwrap();
    served.world.advance_to(end - TimeDelta::hours(1)).await;
    served.world.open_invoice(subscription).await.expect("the renewal is issued")
}

fn minor(amount: Option<&ottery_proto::common::v1::Money>) -> i64 {
    amount.unwrap().minor
}

fn taxes(invoice: &Invoice) -> (i64, i64, Vec<u32>) {
    let rates = invoice.lines.iter().map(|line: &Line| line.tax_rate_bp).collect();
    (invoice.totals.total.minor, invoice.totals.tax.minor, rates)
}

#[tokio::test]
async fn the_place_of_the_customer_decides_and_what_is_quoted_is_what_is_charged_and_renewed() {
    let mut served = served().await;
    settle_on(&mut served, 2, exclusive()).await;
    tell(&served.world, 1, &[rule("FR", 2000, "TVA"), rule("DE", 1900, "MwSt")]).await;
    let price = served.sell(1000, Term::MONTH);
    for (country, tax, name) in [("FR", 200, "TVA"), ("DE", 190, "MwSt"), ("US", 190, "VAT")] {
        let account = served.world.account();
        let quote = quote(&served, account, price, country).await;
        let shown = (minor(quote.due_now.as_ref()), minor(quote.tax.as_ref()), minor(quote.renewal_total.as_ref()));
        assert_eq!(shown, (1000 + tax, tax, 1000 + tax), "{country}");
        assert_eq!(minor(quote.regular_total.as_ref()), 1000 + tax);
        let invoice = order(&served, account, &quote, country).await;
        assert_eq!((invoice.totals.total.minor, invoice.totals.tax.minor), (1000 + tax, tax), "{country}");
        assert_eq!(invoice.snapshot.tax_name, name);
        served.world.pay(&invoice).await;
        let id = invoice.subscription.unwrap().to_string();
        let asked = proto::GetSubscriptionRequest { subscription_id: id };
        let held = served.customer(account).get_subscription(asked).await.unwrap().into_inner();
        assert_eq!(minor(held.renewal_total.as_ref()), 1000 + tax, "what is announced is what is charged");
    }
    served.world.assert_sound().await;
}

#[tokio::test]
async fn a_region_that_a_visitor_gave_decides_on_the_order_and_on_its_renewals() {
    let mut served = served().await;
    settle_on(&mut served, 2, exclusive()).await;
    let california = Rule { region: "CA".into(), ..rule("US", 725, "Sales tax") };
    tell(&served.world, 1, &[rule("US", 0, "Sales tax"), california]).await;
    let price = served.sell(1000, Term::MONTH);
    let account = served.world.account();
    let asked = proto::CreateQuoteRequest { country: "US".into(), region: "ca".into(), ..quoting(price) };
    let quote = served.customer(account).create_quote(asked).await.unwrap().into_inner();
    assert_eq!((minor(quote.due_now.as_ref()), quote.tax_name.as_str()), (1073, "Sales tax"));
    let first = order(&served, account, &quote, "US").await;
    assert_eq!(taxes(&first), (1073, 73, vec![725]));
    served.world.pay(&first).await;
    assert_eq!(taxes(&renewal(&served, &first).await), (1073, 73, vec![725]));
}

#[tokio::test]
async fn case_019_the_entitys_rounding_is_fixed_at_issue() {
    let mut served = served().await;
    let fee = Offer { setup_fee: Some(eur(999)), ..offer(999, Term::MONTH) };
    let price = served.sell_offer(fee);
    let by_line = subscriber(&served, price, "DE").await;
    assert_eq!((by_line.totals.tax, by_line.totals.subtotal), (eur(320), eur(1678)));
    settle_on(&mut served, 2, Settings { round: Round::Total, ..Settings::default() }).await;
    let on_total = subscriber(&served, price, "DE").await;
    assert_eq!((on_total.totals.tax, on_total.totals.subtotal), (eur(319), eur(1679)));
    assert_eq!(on_total.lines.iter().map(|line| line.tax.minor).collect::<Vec<_>>(), [160, 159]);
    assert_eq!(served.world.invoice(by_line.id).await, by_line, "what was issued stays");
    served.world.assert_sound().await;
}

#[tokio::test]
async fn case_022_a_new_rate_changes_no_issued_invoice_however_late_it_is_paid() {
    let served = served().await;
    tell(&served.world, 1, &[rule("EE", 2200, "KM")]).await;
    let price = served.sell(1220, Term::MONTH);
    let account = served.world.account();
    let issued = order(&served, account, &quote(&served, account, price, "EE").await, "EE").await;
    tell(&served.world, 2, &[rule("EE", 2400, "KM")]).await;
    served.world.pay(&issued).await;
    let paid = served.world.invoice(issued.id).await;
    assert_eq!(
        (paid.lines, paid.totals, paid.snapshot),
        (issued.lines.clone(), issued.totals, issued.snapshot.clone())
    );
    assert_eq!(taxes(&issued), (1220, 220, vec![2200]));
    let next = renewal(&served, &issued).await;
    assert_eq!(taxes(&next), (1220, 236, vec![2400]), "the next one has the new rate");
    served.world.assert_sound().await;
}

#[tokio::test]
async fn case_022_a_quote_with_yesterdays_rate_is_made_anew_before_it_is_ordered() {
    let served = served().await;
    tell(&served.world, 1, &[rule("EE", 2200, "KM")]).await;
    let price = served.sell(1220, Term::MONTH);
    let account = served.world.account();
    let old = quote(&served, account, price, "EE").await;
    tell(&served.world, 2, &[rule("EE", 2400, "KM")]).await;
    let asked = proto::PlaceOrderRequest { country: "EE".into(), ..placing(&old) };
    let refused = Problem::from(served.customer(account).place_order(asked).await.unwrap_err());
    assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("QUOTE_TAX_CHANGED", Some("quote_id")));
    let fresh = quote(&served, account, price, "EE").await;
    assert_eq!(taxes(&order(&served, account, &fresh, "EE").await), (1220, 236, vec![2400]));
}

#[tokio::test]
async fn case_025_a_credit_after_a_change_of_rate_has_the_rate_of_its_invoice() {
    let served = served().await;
    tell(&served.world, 1, &[rule("EE", 2200, "KM")]).await;
    let bought = subscriber(&served, served.sell(1220, Term::MONTH), "EE").await;
    tell(&served.world, 2, &[rule("EE", 2400, "KM")]).await;
    let (mut tx, now) = served.world.billing.begin(served.world.brand).await.unwrap();
    let note = billing::app::credit::issue(&mut tx, served.world.brand, &bought, eur(610), "Half", now).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((note.amount, note.tax), (eur(610), eur(110)), "22 % of 5.00");
}

#[tokio::test]
async fn case_025_an_upgrade_after_a_change_of_rate_credits_at_the_old_and_charges_at_the_new_one() {
    let mut served = served().await;
    settle_on(&mut served, 2, exclusive()).await;
    tell(&served.world, 1, &[rule("EE", 2200, "KM")]).await;
    let bought = subscriber(&served, served.sell(1000, Term::MONTH), "EE").await;
    tell(&served.world, 2, &[rule("EE", 2400, "KM")]).await;
    let dearer = served.sell(2000, Term::MONTH);
    let (id, account) = (bought.subscription.unwrap(), bought.account);
    let asked = proto::QuoteChangeRequest {
        subscription_id: id.to_string(),
        price_id: dearer.to_string(),
        ..proto::QuoteChangeRequest::default()
    };
    let shown = served.customer(account).quote_change(asked).await.unwrap().into_inner();
    // At once: 12.20 back as it was paid, 24.80 for the new plan.
    assert_eq!((minor(shown.credit.as_ref()), minor(shown.new_charge.as_ref())), (1220, 2480));
    assert_eq!(minor(shown.due_now.as_ref()), 1260);
    let change = proto::ChangePlanRequest {
        subscription_id: id.to_string(),
        price_id: dearer.to_string(),
        ..proto::ChangePlanRequest::default()
    };
    let changed = served.customer(account).change_plan(change).await.unwrap().into_inner();
    let invoice = served.world.invoice(changed.invoice_id.parse().unwrap()).await;
    assert_eq!(taxes(&invoice), (2480, 480, vec![2400]), "nothing is set off within the invoice");
    assert_eq!(invoice.remaining().unwrap(), eur(1260), "the credit is the first to pay");
    let mut tx = served.world.tx().await;
    let notes = store::credit_note::of_invoices(&mut tx, &[bought.id]).await.unwrap();
    drop(tx);
    assert_eq!(notes.iter().map(|note| (note.amount.minor, note.tax.minor)).collect::<Vec<_>>(), [(1220, 220)]);
    served.world.pay(&invoice).await;
    assert_eq!(served.world.subscription(id).await.offer.price, eur(2000));
    served.world.assert_sound().await;
}

#[tokio::test]
async fn an_upgrade_at_the_same_rate_is_set_off_within_its_invoice_and_a_downgrade_credits_what_was_paid() {
    let mut served = served().await;
    settle_on(&mut served, 2, exclusive()).await;
    let now = crate::periods::prorated;
    let bought = subscriber(&served, served.sell_offer(now(1000)), "DE").await;
    let (id, account) = (bought.subscription.unwrap(), bought.account);
    let change = async |price: PriceId| {
        let request = proto::ChangePlanRequest {
            subscription_id: id.to_string(),
            price_id: price.to_string(),
            ..proto::ChangePlanRequest::default()
        };
        served.customer(account).change_plan(request).await.unwrap().into_inner()
    };
    let changed = change(served.sell_offer(now(2000))).await;
    let invoice = served.world.invoice(changed.invoice_id.parse().unwrap()).await;
    assert_eq!(invoice.lines.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [2380, -1190]);
    assert_eq!((invoice.totals.total, invoice.totals.tax), (eur(1190), eur(190)));
    served.world.pay(&invoice).await;
    let asked = proto::GetSubscriptionRequest { subscription_id: id.to_string() };
    let held = served.customer(account).get_subscription(asked).await.unwrap().into_inner();
    assert_eq!(minor(held.renewal_total.as_ref()), 2380);
    let down = change(served.sell_offer(now(500))).await;
    assert_eq!(down.invoice_id, "");
    let mut tx = served.world.tx().await;
    let wallets = store::ledger::wallets(&mut tx, &[account]).await.unwrap();
    drop(tx);
    assert_eq!(wallets.get(&(account, Currency::EUR)), Some(&eur(1785)), "15.00 and the 19 % that were paid on it");
    served.world.assert_sound().await;
}

#[tokio::test]
async fn a_tax_category_and_what_no_tax_is_charged_on() {
    let mut served = served().await;
    settle_on(&mut served, 2, Settings { elsewhere: Elsewhere::Untaxed, ..Settings::default() }).await;
    let exempt = Rule { levy: Levy::Exempt { reason: "Article 132".into() }, ..rule("IT", 0, "IVA") };
    let reduced = Rule { category: "press".into(), ..rule("DE", 700, "MwSt") };
    tell(&served.world, 1, &[exempt, reduced]).await;
    let press = served.sell_offer(Offer { tax_category: "press".into(), ..offer(1070, Term::MONTH) });
    assert_eq!(taxes(&subscriber(&served, press, "DE").await), (1070, 70, vec![700]));
    let ubl = async |country: &str| {
        let invoice = subscriber(&served, press, country).await;
        assert_eq!(taxes(&invoice), (1070, 0, vec![0]), "{country}");
        served.world.billing.invoice_ubl(served.world.brand, invoice.id, None, None).await.unwrap().xml
    };
    let italian = ubl("IT").await;
    assert!(italian.contains("<cbc:ID>E</cbc:ID>") && italian.contains("Article 132"), "{italian}");
    let american = ubl("US").await;
    assert!(american.contains("<cbc:ID>O</cbc:ID>"), "{american}");
}

#[tokio::test]
async fn rules_are_kept_as_the_catalogue_tells_them_and_an_older_telling_changes_nothing() {
    let served = served().await;
    let world = &served.world;
    let told = |version, rate_bp| {
        let one = catalog::TaxRule {
            country: "FR".into(),
            rate_bp,
            name: "TVA".into(),
            levy: catalog::tax_rule::Levy::Rate.into(),
            valid_from: "2026-01-01".into(),
            ..catalog::TaxRule::default()
        };
        let table =
            catalog::TaxTable { brand_id: world.brand.to_string(), rules: vec![one], version, updated_at: None };
        let payload = catalog::TaxesChanged { table: Some(table) };
        let name = billing::events::consume::TAXES_CHANGED;
        ottery_kit::outbox::Event::new(name, world.brand, version.cast_signed(), world.brand, world.now(), &payload)
    };
    let rates = async || {
        let mut tx = world.tx().await;
        let rules = store::tax_rule::of(&mut tx, world.brand, &["FR".to_owned()]).await.unwrap();
        rules.iter().map(|rule| rule.rate_bp).collect::<Vec<_>>()
    };
    ottery_testkit::recorder::publish(&*world.host.broker, told(2, 2000)).await;
    for _ in 0..100 {
        if rates().await == [2000] {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(rates().await, [2000]);
    let mut tx = world.tx().await;
    assert!(!store::tax_rule::put(&mut tx, world.brand, 1, &[rule("FR", 1960, "TVA")]).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(rates().await, [2000]);
}

#[tokio::test]
async fn yen_without_decimals_are_taxed_in_whole_yen() {
    let mut served = served().await;
    let profile = Profile { currencies: vec![Currency::JPY], ..served.world.profile.clone() };
    served.world.profile = profile;
    settle_on(&mut served, 2, exclusive()).await;
    tell(&served.world, 1, &[rule("JP", 1000, "JCT")]).await;
    let price = served.sell_offer(Offer { price: Money::new(1005, Currency::JPY), ..offer(1, Term::MONTH) });
    let invoice = subscriber(&served, price, "JP").await;
    assert_eq!((invoice.totals.total.minor, invoice.totals.tax.minor), (1106, 101));
}
