//! Accounts at payment providers as operators enter them.

use billing::app::payment::PutAccount;
use billing::store::provider_account::ProviderAccount;
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;
use ottery_testkit::recorder::outbox;

use crate::shop::{SECRET, Shop, shop};

const KEY: &str = "sk_sandbox_demo";

impl Shop {
    async fn put(
        &self,
        key: &str,
        secrets: &[&str],
        version: u64,
        is_dry_run: bool,
    ) -> Result<ProviderAccount, Problem> {
        let put = PutAccount {
            id: self.account.parse().ok(),
            provider: "sandbox".into(),
            base_url: format!("http://{}", self.sandbox.addresses().payments),
            api_key: Secret::new(key),
            webhook_secrets: secrets.iter().map(|secret| Secret::new(*secret)).collect(),
            terms: None,
            expected_version: version,
            is_dry_run,
        };
        let owner = ottery_testkit::actor::owner(self.world.brand);
        self.world.billing.put_provider_account(&owner, self.world.brand, put).await
    }

    async fn audited(&self) -> usize {
        outbox(&self.world.database.pool)
            .await
            .iter()
            .filter(|event| event.r#type == "billing.audit.recorded.v1")
            .count()
    }
}

#[tokio::test]
async fn saying_the_same_again_changes_nothing_and_any_other_secret_is_noticed() {
    let shop = shop().await;
    let audited = shop.audited().await;
    for (key, secrets) in [(KEY, &[SECRET][..]), ("", &[]), (KEY, &[]), ("", &[SECRET])] {
        assert_eq!(shop.put(key, secrets, 1, false).await.unwrap().version, 1, "{key} {secrets:?}");
    }
    assert_eq!(shop.audited().await, audited, "nothing happened, nothing is told");
    // The same last characters, by which people tell keys apart, are not the same key.
    assert_eq!(shop.put("sk_sandbox_other_demo", &[], 1, false).await.unwrap().version, 2);
    assert_eq!(shop.put("", &["whsec_rotated", SECRET], 2, false).await.unwrap().version, 3);
    assert_eq!(shop.put("", &[SECRET, "whsec_rotated"], 3, false).await.unwrap().version, 4, "the newest is the last");
    assert_eq!(shop.audited().await, audited + 3);
}

#[tokio::test]
async fn whoever_changes_an_account_that_changed_meanwhile_overwrites_nothing() {
    let shop = shop().await;
    shop.put("", &["whsec_first"], 1, false).await.unwrap();
    let refused = shop.put("", &["whsec_second"], 1, false).await.unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.metadata["version"].as_str()), ("VERSION_CONFLICT", "2"));
    assert_eq!(shop.put("", &["whsec_first"], 2, false).await.unwrap().version, 2);
}

#[tokio::test]
async fn a_dry_run_answers_what_would_be_and_leaves_nothing() {
    let shop = shop().await;
    let audited = shop.audited().await;
    assert_eq!(shop.put("", &["whsec_other"], 1, true).await.unwrap().version, 2);
    assert_eq!(shop.put("", &[SECRET], 1, true).await.unwrap().version, 1);
    assert_eq!(shop.audited().await, audited);
    assert_eq!(shop.world.billing.provider_accounts(shop.world.brand).await.unwrap()[0].version, 1);
}
