//! Invoices that only ask first.

use billing::app::settlement::Settled;
use billing::domain::invoice::State;
use billing::domain::portion::Wanted;
use billing::domain::rules::InvoiceRules;
use billing::domain::subscription::State as Life;
use chrono::{TimeDelta, TimeZone as _, Utc};
use ottery_kernel::Term;
use ottery_testkit::actor;
use ottery_testkit::recorder::outbox;

use crate::world::{World, eur, offer, week, world};

impl World {
    /// The brand asks by pro forma from now on.
    async fn asking_first(self) -> Self {
        let wanted = InvoiceRules { proforma: true, ..InvoiceRules::default() };
        self.billing.put_invoice_rules(&actor::owner(self.brand), self.brand, wanted).await.unwrap();
        self
    }
}

#[tokio::test]
async fn a_pro_forma_is_in_no_books_and_becomes_the_invoice_when_it_is_paid() {
    let world = world().await.asking_first().await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    let asked = world.invoice_of(&placed).await;
    assert!(asked.is_proforma());
    assert_eq!((asked.number_text().as_str(), asked.state), ("INV-PF-2026-000001", State::Open));
    assert!(world.books().await.is_empty());
    let paper = world.billing.invoice_document(world.brand, asked.id, None, Some(asked.account)).await.unwrap();
    let document: serde_json::Value = serde_json::from_str(&paper.json).unwrap();
    assert_eq!(
        (document["kind"].as_str(), document["number"].as_str()),
        (Some("proforma"), Some("INV-PF-2026-000001"))
    );
    let no_tax_document = world.billing.invoice_ubl(world.brand, asked.id, None, None).await.unwrap_err();
    assert_eq!(no_tax_document.reason, "INVOICE_PROFORMA");
    world.assert_sound().await;

    assert_eq!(world.pay(&asked).await, Settled::Applied);
    let invoice = world.invoice(asked.id).await;
    assert_eq!((invoice.number_text().as_str(), invoice.state), ("INV-2026-000001", State::Closed));
    assert_eq!((invoice.proforma_text().as_str(), invoice.issued_at), ("INV-PF-2026-000001", Some(world.now())));
    assert_eq!(world.subscription(placed.order.subscription).await.state, Life::Active);
    assert!(
        world.billing.invoice_ubl(world.brand, asked.id, None, None).await.unwrap().xml.contains("INV-2026-000001")
    );
    world.assert_sound().await;
}

#[tokio::test]
async fn a_pro_forma_nobody_pays_burns_no_number_of_an_invoice() {
    let world = world().await.asking_first().await;
    let given_up = world.order(world.account(), offer(1190, Term::MONTH)).await;
    world.advance(TimeDelta::days(4)).await;
    let taken_back = world.invoice_of(&given_up).await;
    assert_eq!((taken_back.state, taken_back.number_text().as_str()), (State::Void, "INV-PF-2026-000001"));
    assert!(world.books().await.is_empty());
    let paid = world.order(world.account(), offer(1190, Term::MONTH)).await;
    world.pay(&world.invoice_of(&paid).await).await;
    assert_eq!(world.invoice_of(&paid).await.number_text(), "INV-2026-000001");
    world.assert_sound().await;
    // Money for what was taken back is kept, as ever.
    assert_eq!(world.pay(&taken_back).await, Settled::ToWallet);
    world.assert_sound().await;
}

#[tokio::test]
async fn renewals_ask_first_too_and_a_part_of_the_money_makes_an_invoice_of_them() {
    let world = world().await.asking_first().await;
    let subscription = world.subscriber(1190, week()).await;
    world.advance_to(subscription.paid_through.unwrap() - TimeDelta::hours(72)).await;
    let renewal = world.open_invoice(subscription.id).await.unwrap();
    assert_eq!((renewal.is_proforma(), renewal.number_text().as_str()), (true, "INV-PF-2026-000002"));
    let told = outbox(&world.database.pool).await;
    assert_eq!(told.iter().filter(|event| event.r#type == "billing.invoice.finalised.v1").count(), 2);
    world.settle(&world.payment(&renewal, eur(190), eur(190))).await;
    let part = world.invoice(renewal.id).await;
    assert_eq!(
        (part.state, part.number_text().as_str(), part.remaining().unwrap()),
        (State::Open, "INV-2026-000002", eur(1000))
    );
    world.assert_sound().await;
    world.pay(&part).await;
    assert_eq!(world.invoice(renewal.id).await.state, State::Closed);
    // What is left unpaid to the end was never sold.
    let again = world.subscription(subscription.id).await.paid_through.unwrap();
    world.advance_to(again - TimeDelta::hours(72)).await;
    let unpaid = world.open_invoice(subscription.id).await.unwrap();
    // Late, suspended, over: one after the other, however long nobody looked.
    for days in [10, 5, 15] {
        world.advance(TimeDelta::days(days)).await;
    }
    assert!(world.subscription(subscription.id).await.state.has_ended());
    assert_eq!(world.invoice(unpaid.id).await.state, State::Void);
    world.assert_sound().await;
}

#[tokio::test]
async fn what_is_paid_the_moment_it_is_issued_is_an_invoice_at_once() {
    let world = world().await.asking_first().await;
    let free = world.order(world.account(), offer(0, Term::MONTH)).await;
    assert_eq!(world.invoice_of(&free).await.number_text(), "INV-2026-000001");
    // Too much was paid: the wallet pays a part of the renewal.
    let placed = world.order(world.account(), offer(1190, week())).await;
    let asked = world.invoice_of(&placed).await;
    world.settle(&world.payment(&asked, eur(1500), eur(1500))).await;
    let subscription = world.subscription(placed.order.subscription).await;
    world.advance_to(subscription.paid_through.unwrap() - TimeDelta::hours(72)).await;
    let renewal = world.open_invoice(subscription.id).await.unwrap();
    assert_eq!((renewal.number_text().as_str(), renewal.paid), ("INV-2026-000003", eur(310)));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_040_a_pro_forma_of_december_becomes_an_invoice_of_january() {
    let world = world().await.asking_first().await;
    world.advance_to(Utc.with_ymd_and_hms(2026, 12, 31, 22, 30, 0).unwrap()).await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    let asked = world.invoice_of(&placed).await;
    assert_eq!(asked.number_text(), "INV-PF-2026-000001");
    // In Berlin the year is over.
    world.advance(TimeDelta::minutes(45)).await;
    world.pay(&asked).await;
    assert_eq!(world.invoice(asked.id).await.number_text(), "INV-2027-000001");
    world.assert_sound().await;
}

#[tokio::test]
async fn nothing_of_a_pro_forma_is_credited_or_written_off() {
    let world = world().await.asking_first().await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    let id = placed.order.invoice.unwrap();
    let owner = actor::owner(world.brand);
    let credit = world.billing.credit_invoice(&owner, world.brand, id, Wanted::Amount(eur(1)), "x", None).await;
    assert_eq!(credit.unwrap_err().reason, "INVOICE_PROFORMA");
    let give_up = world.billing.write_off_invoice(&owner, world.brand, id, "x").await;
    assert_eq!(give_up.unwrap_err().reason, "INVOICE_PROFORMA");
    world.assert_sound().await;
}
