//! Accounts whose payments people record.

use billing::domain::by_hand::ByHandTerms;
use billing::domain::provider::Terms;
use ottery_kit::secret::Secret;

use super::till::{asked, till, told};
use crate::world;

#[tokio::test]
async fn an_account_needs_what_payers_are_told_and_nothing_for_programs() {
    let world = world::world().await;
    let owner = ottery_testkit::actor::owner(world.brand);
    let wrong = async |put| world.billing.put_provider_account(&owner, world.brand, put).await.unwrap_err().field;
    let bank = || asked("bank_transfer", told());
    let field = |name: &str| Some(name.to_owned());
    let iban = ByHandTerms { iban: "DE88 3704 0044 0532 0130 00".into(), ..told() };
    assert_eq!(wrong(asked("bank_transfer", iban)).await, field("iban"));
    assert_eq!(wrong(asked("cash", told())).await, field("iban"));
    let none = billing::app::payment::PutAccount { terms: Some(Terms::default()), ..bank() };
    assert_eq!(wrong(none).await, field("beneficiary"));
    let key = billing::app::payment::PutAccount { api_key: Secret::new("a key of somebody"), ..bank() };
    assert_eq!(wrong(key).await, field("api_key"));
    let address = billing::app::payment::PutAccount { base_url: "https://bank.example".into(), ..bank() };
    assert_eq!(wrong(address).await, field("base_url"));
}

#[tokio::test]
async fn what_payers_are_told_is_changed_and_kept() {
    let till = till().await;
    let owner = ottery_testkit::actor::owner(till.world.brand);
    assert_eq!(till.account.terms.by_hand.as_ref().unwrap().iban, "DE89370400440532013000");
    let version = u64::try_from(till.account.version).unwrap();
    let renamed = billing::app::payment::PutAccount {
        id: Some(till.account.id),
        terms: Some(Terms { name: "By bank".into(), ..Terms::default() }),
        expected_version: version,
        ..asked("bank_transfer", told())
    };
    let kept = till.world.billing.put_provider_account(&owner, till.world.brand, renamed).await.expect("kept");
    assert_eq!((kept.terms.name.as_str(), &kept.terms.by_hand), ("By bank", &till.account.terms.by_hand));
    assert_eq!(till.world.billing.test_provider_account(till.world.brand, kept.id).await.expect("there"), Ok(()));
}
