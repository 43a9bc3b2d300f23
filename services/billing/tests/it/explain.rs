//! "How was this computed": the steps make the figures, whatever happened to an invoice.

use billing::app::credit;
use billing::app::explain::Explanation;
use billing::domain::coupon::{Benefit, Lasting};
use billing::domain::explain::Kind;
use billing::domain::line::Line;
use billing::domain::offer::Offer;
use chrono::TimeDelta;
use ottery_kernel::{AnchorDay, AnchorRule, Currency, Money, Term};

use crate::coupons::coupon;
use crate::periods::{Changer, prorated};
use crate::world::{eur, offer, placing, world};

/// Every figure is the sum of its steps.
pub fn assert_adds_up(found: &Explanation) {
    assert!(!found.figures.is_empty());
    for figure in &found.figures {
        let sum: i64 = figure.steps.iter().map(|step| step.result.minor).sum();
        assert_eq!(sum, figure.amount.minor, "{figure:#?}");
    }
}

fn amount(found: &Explanation, kind: Kind) -> Money {
    found.figures.iter().find(|figure| figure.kind == kind).map(|figure| figure.amount).unwrap()
}

fn amounts(lines: &[Line]) -> Vec<Money> {
    lines.iter().map(|line| line.amount).collect()
}

fn lines(found: &Explanation) -> Vec<Money> {
    found.figures.iter().filter(|figure| figure.kind == Kind::Line).map(|figure| figure.amount).collect()
}

#[tokio::test]
async fn an_invoice_is_explained_from_its_price_to_its_rows_in_the_books() {
    let world = world().await;
    let account = world.account();
    let mut sold = offer(1190, Term::MONTH);
    sold.setup_fee = Some(eur(500));
    let used = coupon(&world, Benefit::Percent { bp: 1000 }, Lasting::Once);
    let quote = world.quote_with(Some(account), sold.clone(), false, Some(&used)).await;
    let quoted = world.billing.explain_quote(world.brand, quote, Some(account)).await.unwrap();
    assert_adds_up(&quoted);
    let stranger = world.billing.explain_quote(world.brand, quote, None).await.unwrap_err();
    assert!(stranger.is("QUOTE_NOT_FOUND"));

    let placed = world.billing.place_order(world.brand, placing(quote, account), None).await.unwrap();
    let invoice = world.invoice_of(&placed).await;
    let mut paid = world.payment_of(&invoice);
    paid.fee = Some(eur(30));
    world.settle(&paid).await;
    let mut tx = world.tx().await;
    let known = world.invoice(invoice.id).await;
    credit::issue(&mut tx, world.brand, &known, eur(100), "An evening without picture", world.now()).await.unwrap();
    tx.commit().await.unwrap();

    let found = world.billing.explain_invoice(world.brand, invoice.id, None).await.unwrap();
    assert_adds_up(&found);
    assert_eq!(lines(&found), amounts(&invoice.lines));
    assert_eq!(lines(&found), lines(&quoted), "what is charged came about as what was quoted");
    assert_eq!(amount(&found, Kind::Total), invoice.totals.total);
    assert_eq!((amount(&found, Kind::Paid), amount(&found, Kind::Remaining)), (invoice.totals.total, eur(0)));
    assert_eq!(amount(&found, Kind::CreditNote), eur(100));
    let taken_back = found.figures.iter().find(|figure| figure.kind == Kind::CreditNoteTax).unwrap();
    let share = taken_back.steps[0].share.unwrap();
    assert_eq!(
        (share.part, share.whole),
        (100, invoice.totals.total.minor),
        "1.00 of the invoice, with its share of the tax"
    );
    let price = found.figures[0].steps[0].price.clone().unwrap();
    assert_eq!((price.price_id, price.plan_version_id), (sold.price_id, sold.plan_version_id));
    let kinds: Vec<_> = found.postings.iter().map(|row| row.kind.as_str()).collect();
    for kind in ["invoice.finalised", "payment.settled", "payment.fee", "credit_note.issued"] {
        assert!(kinds.contains(&kind), "{kind} is missing in {kinds:?}");
    }

    let own = world.billing.explain_invoice(world.brand, invoice.id, Some(account)).await.unwrap();
    assert_eq!(own.figures, found.figures);
    assert!(own.postings.iter().all(|row| row.kind != "payment.fee"), "what the provider keeps is not the customer's");
    let other = world.billing.explain_invoice(world.brand, invoice.id, Some(world.account())).await.unwrap_err();
    assert!(other.is("INVOICE_NOT_FOUND"));
}

#[tokio::test]
async fn the_next_charge_is_explained_as_it_is_then_billed() {
    let world = world().await;
    let day = AnchorDay::try_new(1).unwrap();
    let by_calendar = Offer { anchor: AnchorRule::Day(day), ..offer(3100, Term::MONTH) };
    for sold in [offer(1190, Term::MONTH), by_calendar, offer(9990, Term::YEAR)] {
        let account = world.account();
        let used = coupon(&world, Benefit::Percent { bp: 3333 }, Lasting::Forever);
        let quote = world.quote_with(Some(account), sold, false, Some(&used)).await;
        let placed = world.billing.place_order(world.brand, placing(quote, account), None).await.unwrap();
        let id = placed.order.subscription;
        let before = world.billing.explain_subscription(world.brand, id, Some(account)).await.unwrap();
        assert_eq!(before.invoice, placed.order.invoice, "the first invoice waits");
        world.pay(&world.invoice_of(&placed).await).await;

        let told = world.billing.explain_subscription(world.brand, id, Some(account)).await.unwrap();
        assert_adds_up(&told);
        assert_eq!(told.invoice, None);
        let end = world.subscription(id).await.paid_through.unwrap();
        assert_eq!(told.at, Some(end));
        world.advance_to(end - TimeDelta::hours(72)).await;
        let billed = world.open_invoice(id).await.unwrap();
        assert_eq!(lines(&told), amounts(&billed.lines));
        assert_eq!(amount(&told, Kind::Total), billed.totals.total);
        assert_eq!(amount(&told, Kind::Tax), billed.totals.tax);
        let after = world.billing.explain_subscription(world.brand, id, Some(account)).await.unwrap();
        assert_eq!((after.invoice, lines(&after)), (Some(billed.id), lines(&told)));
        world.pay(&billed).await;
    }
}

#[tokio::test]
async fn what_is_over_or_ends_has_no_next_charge_and_says_why() {
    let world = world().await;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let actor = ottery_testkit::actor::customer(world.brand, subscription.account);
    world.billing.cancel(world.brand, subscription.id, None, "", &actor).await.unwrap();
    let told = world.billing.explain_subscription(world.brand, subscription.id, None).await.unwrap();
    assert!(told.figures.is_empty() && told.note.contains("ends on"), "{told:?}");
    world.advance(TimeDelta::days(32)).await;
    let told = world.billing.explain_subscription(world.brand, subscription.id, None).await.unwrap();
    assert!(told.note.contains("is over"), "{told:?}");
}

#[tokio::test]
async fn a_change_of_plan_is_explained_by_what_is_left_of_the_old_price_and_the_new_one() {
    for second in [prorated(2500), Offer { term: Term::YEAR, ..prorated(9000) }] {
        let changer = Changer::with_coupon(prorated(1000), Some(Lasting::Forever)).await;
        let world = changer.world();
        world.advance(TimeDelta::hours(300)).await;
        let price = changer.served.sell_offer(second);
        let changed = changer.confirm(price).await.unwrap();
        let invoice = world.invoice(changed.invoice.unwrap()).await;
        let found = world.billing.explain_invoice(world.brand, invoice.id, None).await.unwrap();
        assert_adds_up(&found);
        assert_eq!(lines(&found), amounts(&invoice.lines));
        for line in &invoice.lines {
            assert_eq!(line.how.total(Currency::EUR).unwrap(), line.amount, "{line:?}");
        }
        assert!(found.figures.iter().any(|figure| figure.name.starts_with("Unused time of")), "{found:#?}");
    }
}
