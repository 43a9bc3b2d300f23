//! The paper of an invoice.

use billing::domain::invoice::State;
use billing::domain::profile::Profile;
use chrono::TimeDelta;
use ottery_kernel::Term;

use crate::world::{offer, world};

#[tokio::test]
async fn case_042_the_document_is_rebuilt_from_the_snapshot_however_late_and_whatever_changed() {
    let mut world = world().await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    let invoice = world.invoice_of(&placed).await;
    world.pay(&invoice).await;
    let paper = async |world: &crate::world::World| {
        let paper = world.billing.invoice_document(world.brand, invoice.id, None, None).await.unwrap();
        serde_json::from_str::<serde_json::Value>(&paper.json).unwrap()
    };
    let then = paper(&world).await;
    // Nobody drew it then. The seller has moved, the brand has a new name and the state a new tax since.
    world.host.clock.advance(TimeDelta::days(400));
    let mut profile =
        Profile { name: "Südwind TV".into(), tax_rate_bp: 2500, tax_name: "MOMS".into(), ..world.profile.clone() };
    profile.entity.name = "Südwind AB".into();
    profile.entity.address_lines = vec!["Drottninggatan 1".into()];
    profile.entity.tax_id = "SE556677889901".into();
    profile.entity.series = "SW".into();
    world.know_version(&profile, 2).await;
    world.profile = profile;
    let newer = world.invoice_of(&world.order(world.account(), offer(1190, Term::MONTH)).await).await;
    assert_eq!((newer.snapshot.seller.name.as_str(), newer.number_text().as_str()), ("Südwind AB", "SW-2027-000001"));
    assert_eq!(paper(&world).await, then);
    assert_eq!(then["seller"]["legal_name"], "Nordlicht Medien GmbH");
    let now = world.invoice(invoice.id).await;
    assert_eq!((now.state, now.number_text()), (State::Closed, "INV-2026-000001".to_owned()));
    world.assert_sound().await;
}
