//! Accounts: public keys, and nothing that could spend.

use super::till::{empty_till, frozen, till, wallet};

const XPRV: &str =
    "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";
const SEED: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

#[tokio::test]
async fn what_can_spend_is_refused_and_kept_nowhere() {
    let till = empty_till().await;
    for secret in [XPRV, SEED, &format!("wpkh({XPRV}/0/*)")] {
        let refused = till.put(secret).await.unwrap_err();
        assert!(refused.is("KEY_KIND"), "{refused:?}");
        let said = format!("{refused:?}");
        assert!(said.contains("private key or a seed") && !said.contains(secret), "{said}");
    }
    let admin = &till.world.database.admin_pool;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace",
    )
    .fetch_all(admin)
    .await
    .unwrap();
    assert!(tables.len() > 50);
    for table in tables {
        let sql = format!("SELECT count(*) FROM \"{table}\" AS t WHERE t::text ~ 'prv9s21|abandon abandon'");
        let kept: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(admin).await.unwrap();
        assert_eq!(kept, 0, "{table}");
    }
}

#[tokio::test]
async fn first_addresses_are_shown_for_comparing() {
    let till = empty_till().await;
    for (network, key, receiving) in frozen().into_iter().filter(|(network, ..)| network != "regtest") {
        let account = till.put(&key).await.unwrap();
        assert_eq!(account.is_test, network != "bitcoin");
        let shown = till.world.billing.first_addresses(till.world.brand, &account).unwrap();
        let shown: Vec<_> = shown.into_iter().map(|place| place.address).collect();
        assert_eq!(shown, receiving[..3], "{}", &key[..4]);
    }
}

#[tokio::test]
async fn an_account_is_tested_by_asking_its_chain() {
    let till = empty_till().await;
    let brand = till.world.brand;
    let test = till.put(&wallet().0).await.unwrap();
    assert_eq!(till.world.billing.test_provider_account(brand, test.id).await.unwrap(), Ok(()));
    let real = frozen().into_iter().find(|(_, key, _)| key.starts_with("zpub")).unwrap().1;
    let live = till.put(&real).await.unwrap();
    let tested = till.world.billing.test_provider_account(brand, live.id).await.unwrap();
    assert_eq!(tested, Err("the key is of the other mode".to_owned()));
    // And nobody is shown an address of it: the newest account is asked first, and the one before it after that.
    let (_, deposit) = till.order().await;
    assert_eq!(deposit.provider_account, test.id);
}

#[tokio::test]
async fn without_a_price_or_a_chain_there_is_no_page() {
    let till = till().await;
    till.front.held(|chain| chain.prices.insert("coinbase", "60000".to_owned()));
    let refused = till.try_order(till.world.account()).await.unwrap_err();
    assert!(refused.is("PROVIDER_AWAY"), "{refused:?}");
    till.front.price("50000");
    till.front.held(|chain| {
        chain.is_away = true;
    });
    let refused = till.try_order(till.world.account()).await.unwrap_err();
    assert!(refused.is("PROVIDER_AWAY"), "{refused:?}");
    let used: i64 = sqlx::query_scalar("SELECT count(*) FROM coin_deposit")
        .fetch_one(&till.world.database.admin_pool)
        .await
        .unwrap();
    assert_eq!(used, 0, "no address is spent on a page nobody sees");
}
