//! Add-ons that are other kinds of products than their plan: each line is taxed at the rate of its own category, everywhere.

use billing::domain::invoice::{Invoice, State};
use billing::domain::offer::Offer;
use billing::domain::portion::Wanted;
use billing::domain::proration::Effect;
use billing::domain::subscription::Subscription;
use billing::domain::tax::{Levy, Pricing, Round, Rule, Settings};
use ottery_kernel::{AccountId, PlanId, PriceId, Term};
use ottery_proto::billing::v1 as proto;
use ottery_proto::catalog::v1 as catalog;
use ottery_testkit::actor;
use ottery_testkit::recorder::{outbox, payload};

use crate::addons::{sport, to_addons};
use crate::calls::{Served, quoting, served};
use crate::einvoice::assert_valid;
use crate::explain::assert_adds_up;
use crate::periods::{berlin, renew, to_price};
use crate::taxes::{order, rule, settle_on, tell};
use crate::world::{eur, offer};

/// 19 % at home and 7 % on press; in Austria 20 % and 10 %; in Italy press is exempt.
fn rules() -> Vec<Rule> {
    let press = |country: &str, rate_bp, name| Rule { category: "press".into(), ..rule(country, rate_bp, name) };
    let exempt = Rule { levy: Levy::Exempt { reason: "Article 132".into() }, ..press("IT", 0, "IVA") };
    vec![
        rule("DE", 1900, "VAT"),
        press("DE", 700, "VAT"),
        rule("AT", 2000, "VAT"),
        press("AT", 1000, "VAT"),
        rule("IT", 2200, "IVA"),
        exempt,
    ]
}

/// A magazine for 4.00 a month and 2.00 once.
fn magazine(served: &Served) -> PlanId {
    let sport = sport(&served.world);
    let version = sport.current.clone().unwrap();
    let version = catalog::PlanVersion { name: "Magazine".into(), tax_category: Some("press".into()), ..version };
    served.add_on(catalog::Plan { current: Some(version), ..sport })
}

/// Amount, rate and tax of each line.
fn lines(invoice: &Invoice) -> Vec<(i64, u32, i64)> {
    invoice.lines.iter().map(|line| (line.amount.minor, line.tax_rate_bp, line.tax.minor)).collect()
}

async fn quote(served: &Served, account: AccountId, price: PriceId, addons: &[PlanId], country: &str) -> proto::Quote {
    let addon_plan_ids = addons.iter().map(ToString::to_string).collect();
    let asked = proto::CreateQuoteRequest { addon_plan_ids, country: country.into(), ..quoting(price) };
    served.customer(account).create_quote(asked).await.unwrap().into_inner()
}

/// Somebody at home who has paid for an offer with add-ons: the subscription and its first invoice.
async fn bought(served: &Served, offer: Offer, addons: &[PlanId]) -> (Subscription, Invoice) {
    let account = served.world.account();
    let quote = quote(served, account, served.sell_offer(offer), addons, "DE").await;
    let invoice = order(served, account, &quote, "DE").await;
    served.world.pay(&invoice).await;
    let subscription = served.world.subscription(invoice.subscription.unwrap()).await;
    (subscription, served.world.invoice(invoice.id).await)
}

#[tokio::test]
async fn an_add_on_has_the_rate_of_its_own_category_on_quote_invoice_renewal_credit_and_in_the_books() {
    let served = served().await;
    let world = &served.world;
    world.host.clock.set(berlin("2027-01-10 09:00"));
    tell(world, 1, &rules()).await;
    let id = magazine(&served);
    let quote = quote(&served, world.account(), served.sell(1000, Term::MONTH), &[id], "DE").await;
    let seen: Vec<_> = quote.lines.iter().map(|line| (line.tax_rate_bp, line.tax.as_ref().unwrap().minor)).collect();
    assert_eq!(seen, [(1900, 160), (700, 26), (700, 13)]);
    assert_eq!((quote.due_now.unwrap().minor, quote.tax.unwrap().minor), (1600, 199));

    let (bought, first) = bought(&served, offer(1000, Term::MONTH), &[id]).await;
    assert_eq!(lines(&first), [(1000, 1900, 160), (400, 700, 26), (200, 700, 13)]);
    assert_eq!((first.state, first.totals.tax), (State::Closed, eur(199)));
    assert_adds_up(&world.billing.explain_invoice(world.brand, first.id, None).await.unwrap());
    // What recurs is told without the tax of either kind: 8.40 and 3.74.
    let told = outbox(&world.database.pool).await;
    let changed = told.iter().rev().find(|event| event.r#type == "billing.subscription.changed.v1").unwrap();
    assert_eq!(payload::<proto::SubscriptionChanged>(changed).recurring_net.unwrap().minor, 1214);
    // The net of the month is deferred, the set-up fee is earned at once: 12.14, and 1.87 with the first of 31 days.
    let (deferred, earned) = world.books_of_time().await;
    assert_eq!(deferred + earned, 1214 + 187);
    assert!((187 + 38..=187 + 41).contains(&earned), "{earned}");

    let renewal = renew(world, &bought).await;
    assert_eq!(lines(&renewal), [(1000, 1900, 160), (400, 700, 26)]);
    let xml = async |note| world.billing.invoice_ubl(world.brand, renewal.id, note, None).await.unwrap().xml;
    let whole = xml(None).await;
    assert_eq!(whole.matches("<cac:TaxSubtotal>").count(), 2, "{whole}");
    // The magazine is given back, with its own tax and nothing else's.
    let staff = actor::owner(world.brand);
    let note = world
        .billing
        .credit_invoice(&staff, world.brand, renewal.id, Wanted::Lines(vec![2]), "never came", None)
        .await
        .unwrap();
    assert_eq!((note.amount, note.tax), (eur(400), eur(26)));
    let credited = xml(Some(note.id)).await;
    assert_valid(&[("mixed".to_owned(), whole), ("credited".to_owned(), credited)]);
    world.assert_sound().await;
}

#[tokio::test]
async fn the_place_of_the_customer_decides_for_each_category() {
    let served = served().await;
    let world = &served.world;
    tell(world, 1, &rules()).await;
    let (id, price) = (magazine(&served), served.sell(1000, Term::MONTH));
    for (country, wanted) in [
        ("AT", [(1000, 2000, 167), (400, 1000, 36), (200, 1000, 18)]),
        ("IT", [(1000, 2200, 180), (400, 0, 0), (200, 0, 0)]),
        // No rule: everything as at home, without any kind of its own.
        ("FR", [(1000, 1900, 160), (400, 1900, 64), (200, 1900, 32)]),
    ] {
        let account = world.account();
        let quote = quote(&served, account, price, &[id], country).await;
        let invoice = order(&served, account, &quote, country).await;
        assert_eq!(lines(&invoice), wanted, "{country}");
        let document = world.billing.invoice_ubl(world.brand, invoice.id, None, None).await.unwrap().xml;
        assert_eq!(document.contains("Article 132"), country == "IT", "{document}");
        assert_valid(&[(country.to_owned(), document)]);
    }
    world.assert_sound().await;
}

#[tokio::test]
async fn prices_without_tax_rounded_on_the_total_add_up_for_each_rate() {
    let mut served = served().await;
    let settings = Settings { pricing: Pricing::Exclusive, round: Round::Total, ..Settings::default() };
    settle_on(&mut served, 2, settings).await;
    tell(&served.world, 1, &rules()).await;
    let id = magazine(&served);
    let (bought, first) = bought(&served, offer(999, Term::MONTH), &[id]).await;
    // 9.99 and 1.90; 6.00 of press and 0.42, of which 0.28 and 0.14.
    assert_eq!(lines(&first), [(1189, 1900, 190), (428, 700, 28), (214, 700, 14)]);
    let mut me = served.customer(bought.account);
    let seen = proto::GetSubscriptionRequest { subscription_id: bought.id.to_string() };
    let seen = me.get_subscription(seen).await.unwrap().into_inner();
    assert_eq!(seen.renewal_total.unwrap().minor, 1189 + 428);
    assert_eq!(renew(&served.world, &bought).await.totals.total, eur(1189 + 428));
    served.world.assert_sound().await;
}

#[tokio::test]
async fn an_add_on_of_another_category_is_bridged_and_its_unused_time_set_off_at_its_own_rate() {
    let served = served().await;
    let world = &served.world;
    world.host.clock.set(berlin("2027-01-10 09:00"));
    tell(world, 1, &rules()).await;
    let id = magazine(&served);
    let (bought, _) = bought(&served, offer(1000, Term::MONTH), &[]).await;
    let (owner, period) = (Some(bought.account), bought.period.unwrap());
    world.advance_to(period.start() + period.duration() / 2).await;
    let added = world.billing.change_plan(world.brand, bought.id, owner, to_addons(&[id], &[]), None).await.unwrap();
    let invoice = world.invoice(added.invoice.unwrap()).await;
    assert_eq!(lines(&invoice), [(200, 700, 13), (200, 700, 13)], "the bridge and the set-up");
    assert_adds_up(&world.billing.explain_invoice(world.brand, invoice.id, None).await.unwrap());
    world.pay(&invoice).await;

    // At the same moment to a plan of 20.00: half of both plans and the magazine's half twice, each at its rate.
    let to = to_price(served.sell_offer(Offer { plan_name: "Cinema".into(), ..offer(2000, Term::MONTH) }), "");
    let shown = world.billing.quote_change(world.brand, bought.id, owner, &to).await.unwrap();
    assert_eq!((shown.change.effect, shown.change.due_now), (Effect::Now, eur(500)));
    let changed = world.billing.change_plan(world.brand, bought.id, owner, to, None).await.unwrap();
    let invoice = world.invoice(changed.invoice.unwrap()).await;
    let wanted = [(1000, 1900, 160), (200, 700, 13), (-500, 1900, -80), (-200, 700, -13)];
    assert_eq!(lines(&invoice), wanted, "{:#?}", invoice.lines);
    assert_eq!(invoice.lines[3].description, "Unused time of Magazine");
    assert_adds_up(&world.billing.explain_invoice(world.brand, invoice.id, None).await.unwrap());
    world.pay(&invoice).await;
    let after = world.subscription(bought.id).await;
    assert_eq!(after.offer.addons[0].tax_category.as_deref(), Some("press"), "it comes along");
    assert_eq!(lines(&renew(world, &after).await), [(2000, 1900, 319), (400, 700, 26)]);
    world.assert_sound().await;
}
