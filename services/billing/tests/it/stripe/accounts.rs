//! Several accounts of a brand.

use billing::app::payment::{PutAccount, open_checkout};
use billing::domain::payment::State;
use billing::domain::provider::Terms;
use ottery_kernel::{Currency, PaymentId};
use ottery_kit::secret::Secret;

use super::front::{KEY, SECRET};
use super::till::{GOOD, Till, till};
use crate::world;

impl Till {
    async fn try_put(&self, change: impl FnOnce(&mut PutAccount)) -> Result<String, String> {
        let mut put = PutAccount {
            id: None,
            provider: "stripe".into(),
            base_url: self.base_url(),
            api_key: Secret::new(KEY),
            webhook_secrets: vec![Secret::new(SECRET)],
            terms: None,
            expected_version: 0,
            is_dry_run: false,
        };
        change(&mut put);
        let owner = ottery_testkit::actor::owner(self.world.brand);
        let kept = self.world.billing.put_provider_account(&owner, self.world.brand, put).await;
        kept.map(|account| account.id.to_string()).map_err(|problem| problem.reason.into_owned())
    }

    async fn chosen(&self) -> String {
        self.order().await.provider_account.expect("sent").to_string()
    }
}

#[tokio::test]
async fn an_attempt_goes_to_the_default_account_where_it_serves_and_to_the_newest_elsewhere() {
    let till = till().await;
    let second = till.add_account(Terms::default()).await.id.to_string();
    assert_eq!(till.chosen().await, second, "the newest");
    till.set(&till.account, |terms| terms.is_default = true).await;
    assert_eq!(till.chosen().await, till.account, "the default one");
    till.set(&till.account, |terms| terms.countries = vec!["AT".into()]).await;
    assert_eq!(till.chosen().await, second, "customers are in Germany");
    till.set(&till.account, |terms| {
        terms.countries = vec!["DE".into()];
        terms.currencies = vec![Currency::USD];
    })
    .await;
    assert_eq!(till.chosen().await, second, "and pay in euros");
    till.set(&second, |terms| terms.is_default = true).await;
    assert!(!till.stored(&till.account).await.terms.is_default, "there is one default");
}

#[tokio::test]
async fn payment_method_and_refund_remember_their_account() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    let other = till.add_account(Terms { is_default: true, ..Terms::default() }).await.id.to_string();
    assert_ne!(other, till.account);
    let renewal = till.charge(&payment).await;
    till.drain().await;
    let renewal = till.payment(renewal.id).await;
    assert_eq!(renewal.provider_account.unwrap().to_string(), till.account);
    let method = till.world.billing.payment_methods(till.world.brand, payment.account).await.unwrap().remove(0);
    assert_eq!(method.provider_account.to_string(), till.account);
    assert_eq!(till.chosen().await, other);
}

#[tokio::test]
async fn an_account_is_checked_when_it_is_entered() {
    let till = till().await;
    let put = async |change: fn(&mut PutAccount)| till.try_put(change).await.unwrap_err();
    assert_eq!(put(|put| put.api_key = Secret::new("pk_test_123456")).await, "KEY_KIND");
    assert_eq!(put(|put| put.api_key = Secret::default()).await, "MISSING");
    assert_eq!(put(|put| put.provider = "other".into()).await, "PROVIDER_UNKNOWN");
    assert_eq!(put(|put| put.base_url = "http://10.0.0.1/".into()).await, "URL_REFUSED");
    let terms = |terms: Terms| till.try_put(|put| put.terms = Some(terms));
    let bad = |change: fn(&mut Terms)| {
        let mut changed = Terms::default();
        change(&mut changed);
        changed
    };
    assert_eq!(terms(bad(|terms| terms.countries = vec!["Germany".into()])).await.unwrap_err(), "COUNTRY_INVALID");
    assert_eq!(terms(bad(|terms| terms.name = "x".repeat(61))).await.unwrap_err(), "NAME_INVALID");
    let unclear = bad(|terms| terms.currencies = vec!["UGX".parse().unwrap()]);
    assert_eq!(terms(unclear).await.unwrap_err(), "CURRENCY_UNSUPPORTED");
    // Stripe makes the secret when it is told the address, so an account may wait for it; nothing is taken in meanwhile.
    let waiting = till.try_put(|put| put.webhook_secrets = Vec::new()).await.unwrap();
    assert!(till.stored(&waiting).await.secrets_sealed.is_empty());
}

#[tokio::test]
async fn case_076_a_key_of_the_other_mode_is_another_account() {
    let till = till().await;
    assert!(till.stored(&till.account).await.is_test);
    let stored = till.stored(&till.account).await;
    let refused = till
        .try_put(|put| {
            put.id = Some(stored.id);
            put.expected_version = stored.version.cast_unsigned();
            put.api_key = Secret::new("sk_live_123456");
        })
        .await;
    assert_eq!(refused.unwrap_err(), "KEY_MODE");
    let live = till.try_put(|put| put.api_key = Secret::new("sk_live_123456")).await.unwrap();
    assert!(!till.stored(&live).await.is_test);
}

#[tokio::test]
async fn an_account_is_tested_by_a_harmless_question() {
    let till = till().await;
    let test = async |id: &str| {
        till.world.billing.test_provider_account(till.world.brand, id.parse().unwrap()).await.expect("an answer")
    };
    assert_eq!(test(&till.account).await, Ok(()));
    till.front.fault("GET /v1/balance", 401, false);
    assert!(test(&till.account).await.unwrap_err().contains("key"));
    // It says it moves test money, and its key says otherwise.
    let live = till.try_put(|put| put.api_key = Secret::new("sk_live_123456")).await.unwrap();
    assert_eq!(test(&live).await, Err("the key is of the other mode".to_owned()));
}

#[tokio::test]
async fn secure_s17_keys_secrets_and_tokens_are_sealed_and_never_shown() {
    let till = till().await;
    till.paid_with(GOOD).await;
    till.rotate("whsec_rotated_canary", 1).await;
    let dump: Vec<String> = sqlx::query_scalar(
        "SELECT row_to_json(a)::text || encode(api_key_sealed, 'escape') || encode(secrets_sealed[1], 'escape')
                || encode(secrets_sealed[2], 'escape') FROM provider_account a
         UNION ALL SELECT row_to_json(m)::text || encode(token_sealed, 'escape') FROM payment_method m
         UNION ALL SELECT convert_from(payload, 'LATIN1') FROM outbox",
    )
    .fetch_all(&till.world.database.admin_pool)
    .await
    .expect("readable");
    assert!(dump.len() > 2);
    let charged = till.front.get("/v1/payment_intents?limit=100").await;
    let method = charged["data"][0]["payment_method"].as_str().unwrap();
    for secret in [KEY, SECRET, "whsec_rotated_canary", method] {
        assert!(dump.iter().all(|row| !row.contains(secret)), "{secret}");
    }
    let accounts = till.world.billing.provider_accounts(till.world.brand).await.unwrap();
    let shown = format!("{accounts:?}");
    assert!(!shown.contains(SECRET) && !shown.contains(KEY), "{shown}");
}

#[tokio::test]
async fn a_currency_nobody_takes_has_no_page() {
    let till = till().await;
    till.set(&till.account, |terms| terms.currencies = vec![Currency::USD]).await;
    let account = till.world.account();
    let quote = till.world.quote(Some(account), world::offer(1299, world::week()), false).await;
    let placing = world::placing(quote, account);
    let placed = till.world.billing.place_order(till.world.brand, placing, None).await.expect("placed");
    let refused = open_checkout(&till.world.billing, till.world.brand, placed.payment.unwrap()).await.unwrap_err();
    assert_eq!(refused.reason, "NO_PROVIDER");
}

impl Till {
    /// An order whose page nobody has asked for.
    async fn placed(&self) -> PaymentId {
        let account = self.world.account();
        let quote = self.world.quote(Some(account), world::offer(1299, world::week()), false).await;
        let place = world::placing(quote, account);
        let placed = self.world.billing.place_order(self.world.brand, place, None).await.expect("placed");
        placed.payment.expect("something is due")
    }

    fn pages_asked(&self) -> usize {
        self.front.seen("POST /v1/checkout/sessions").len()
    }
}

#[tokio::test]
async fn a_page_is_made_at_the_next_account_when_the_first_surely_heard_nothing() {
    let till = till().await;
    let first = Terms { is_default: true, ..Terms::default() };
    let default = till.add_account(first).await.id.to_string();
    for status in [401, 403, 429] {
        let (id, before) = (till.placed().await, till.pages_asked());
        till.front.fault("POST /v1/checkout/sessions", status, false);
        open_checkout(&till.world.billing, till.world.brand, id).await.expect("a page of the other account");
        let payment = till.payment(id).await;
        assert_eq!(payment.provider_account.expect("sent").to_string(), till.account, "{status}");
        assert_eq!((payment.state, till.pages_asked() - before), (State::Pending, 2), "{status}");
    }
    // Nobody listens at the first one's address.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it has one");
    let nowhere = till.try_put(|put| {
        put.base_url = format!("http://{closed}");
        put.terms = Some(Terms { is_default: true, ..Terms::default() });
    });
    let nowhere = nowhere.await.expect("kept");
    till.set(&default, |terms| terms.is_enabled = false).await;
    let id = till.placed().await;
    open_checkout(&till.world.billing, till.world.brand, id).await.expect("a page of the other account");
    assert_eq!(till.payment(id).await.provider_account.expect("sent").to_string(), till.account);

    // When no account can be reached, it waits to be tried again.
    till.set(&till.account, |terms| terms.is_enabled = false).await;
    let id = till.placed().await;
    let away = open_checkout(&till.world.billing, till.world.brand, id).await.unwrap_err();
    assert_eq!((&*away.reason, till.payment(id).await.state), ("PROVIDER_AWAY", State::Requested));
    assert_ne!(nowhere, till.account);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn no_other_account_is_asked_when_the_first_may_have_done_it_or_refuses() {
    let till = till().await;
    let first = Terms { is_default: true, ..Terms::default() };
    let default = till.add_account(first).await.id.to_string();
    for (status, is_applied, reason, state) in [
        (500, true, "PROVIDER_AWAY", State::Unknown),
        (503, false, "PROVIDER_AWAY", State::Unknown),
        (400, false, "PROVIDER_REFUSED", State::Failed),
    ] {
        let (id, before) = (till.placed().await, till.pages_asked());
        till.front.fault("POST /v1/checkout/sessions", status, is_applied);
        let refused = open_checkout(&till.world.billing, till.world.brand, id).await.unwrap_err();
        let payment = till.payment(id).await;
        assert_eq!((&*refused.reason, payment.state), (reason, state), "{status}");
        assert_eq!(payment.provider_account.expect("sent").to_string(), default, "{status}");
        // Asked again, while nobody knows: still nobody else.
        assert!(open_checkout(&till.world.billing, till.world.brand, id).await.is_err());
        assert_eq!(till.pages_asked() - before, 1, "{status}");
    }
}
