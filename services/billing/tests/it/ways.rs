//! By which account a customer pays: what is offered, what they choose, and what an amount decides.

use billing::app::order::{Place, Placed};
use billing::app::payment::{HostedPage, PutAccount, open_checkout};
use billing::domain::amount_limit::AmountLimit;
use billing::domain::provider::{ProviderAccountId, Route, Terms};
use ottery_kernel::Currency;
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;

use crate::shop::{SECRET, Shop, shop};
use crate::world::{self, eur};

/// Nobody listens there: a call surely does nothing.
fn nowhere() -> String {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it has one");
    format!("http://{closed}")
}

fn named(name: &str) -> Terms {
    Terms { name: name.into(), ..Terms::default() }
}

fn limited(name: &str, min: Option<i64>, max: Option<i64>) -> Terms {
    Terms { amounts: vec![AmountLimit { currency: Currency::EUR, min, max }], ..named(name) }
}

fn route(minor: i64) -> Route<'static> {
    Route::of(eur(minor), "DE")
}

impl Shop {
    fn here(&self) -> String {
        format!("http://{}", self.sandbox.addresses().payments)
    }

    async fn add(&self, terms: Terms, base_url: &str) -> Result<ProviderAccountId, Problem> {
        let put = PutAccount {
            id: None,
            provider: "sandbox".into(),
            base_url: base_url.to_owned(),
            api_key: Secret::new("sk_sandbox_demo"),
            webhook_secrets: vec![Secret::new(SECRET)],
            terms: Some(terms),
            expected_version: 0,
            is_dry_run: false,
        };
        let owner = ottery_testkit::actor::owner(self.world.brand);
        Ok(self.world.billing.put_provider_account(&owner, self.world.brand, put).await?.id)
    }

    /// An order for 12.99 of somebody who chose.
    async fn choose(&self, chosen: Option<ProviderAccountId>) -> Result<Placed, Problem> {
        let account = self.world.account();
        let quote = self.world.quote(Some(account), world::offer(1299, world::week()), false).await;
        let place = Place { chosen, ..world::placing(quote, account) };
        self.world.billing.place_order(self.world.brand, place, None).await
    }

    /// The account at which the order's page was made.
    async fn page_of(&self, placed: &Placed) -> Result<Option<ProviderAccountId>, Problem> {
        let id = placed.payment.expect("something is due");
        open_checkout(&self.world.billing, self.world.brand, id).await?;
        Ok(self.payment(id).await.provider_account)
    }

    async fn offered(&self, minor: i64) -> Vec<String> {
        let ways = self.world.billing.pay_ways(self.world.brand, route(minor)).await.expect("a list");
        ways.into_iter().map(|way| way.terms.name).collect()
    }
}

#[tokio::test]
async fn the_account_a_customer_chose_makes_the_page_and_the_next_one_too() {
    let shop = shop().await;
    let card = shop.add(named("Card"), &shop.here()).await.unwrap();
    let bank = shop.add(named("By bank"), &shop.here()).await.unwrap();
    assert_eq!(shop.offered(1299).await, ["By bank", "Card", ""], "in the order in which they are asked");
    let free = shop.choose(None).await.unwrap();
    assert_eq!(shop.page_of(&free).await.unwrap(), Some(bank), "without a choice the newest");

    let placed = shop.choose(Some(card)).await.unwrap();
    assert_eq!(shop.page_of(&placed).await.unwrap(), Some(card));
    let again = async |chosen| {
        let address = || "https://tv.example/".to_owned();
        let page = HostedPage { chosen, ..HostedPage::any(address(), address()) };
        let invoice = placed.order.invoice.expect("due");
        let (id, _) = shop.world.billing.pay_invoice(shop.world.brand, invoice, None, page).await.expect("a page");
        shop.payment(id).await.provider_account
    };
    assert_eq!(again(None).await, Some(card), "who tries again means the same");
    assert_eq!(again(Some(bank)).await, Some(bank));
    assert_eq!(again(None).await, Some(bank));
}

#[tokio::test]
async fn case_075_a_way_to_pay_that_does_not_serve_refuses_the_order_and_leaves_nothing() {
    let shop = shop().await;
    let dollars = Terms { currencies: vec![Currency::USD], ..named("Dollars") };
    let abroad = Terms { countries: vec!["US".into()], ..named("Abroad") };
    let off = Terms { is_enabled: false, ..named("Off") };
    for terms in [dollars, abroad, off, limited("Large", Some(1_300), None)] {
        let name = terms.name.clone();
        let chosen = shop.add(terms, &shop.here()).await.unwrap();
        let refused = shop.choose(Some(chosen)).await.unwrap_err();
        assert_eq!(refused.reason, "PAY_WAY_UNAVAILABLE", "{name}");
        assert_eq!(refused.field.as_deref(), Some("provider_account_id"), "{name}");
    }
    assert_eq!(shop.choose(Some(ProviderAccountId::fresh())).await.unwrap_err().reason, "PAY_WAY_UNAVAILABLE");
    assert_eq!((shop.count("orders").await, shop.count("invoice").await, shop.count("payment").await), (0, 0, 0));
    assert_eq!(shop.offered(1299).await, [""]);
}

#[tokio::test]
async fn only_what_reads_alike_stands_in_for_the_account_that_was_chosen() {
    let shop = shop().await;
    let dead = shop.add(named("Card"), &nowhere()).await.unwrap();
    let placed = shop.choose(Some(dead)).await.unwrap();
    assert_eq!(shop.page_of(&placed).await.unwrap_err().reason, "PROVIDER_AWAY", "nobody chose the other one");
    let alike = shop.add(named("Card"), &shop.here()).await.unwrap();
    assert_eq!(shop.offered(1299).await, ["Card", ""], "nobody could tell them apart");
    let placed = shop.choose(Some(dead)).await.unwrap();
    assert_eq!(shop.page_of(&placed).await.unwrap(), Some(alike));
}

#[tokio::test]
async fn an_amount_decides_which_account_is_asked() {
    let shop = shop().await;
    let small = shop.add(limited("Small", None, Some(1_299)), &shop.here()).await.unwrap();
    shop.add(limited("Large", Some(1_300), None), &shop.here()).await.unwrap();
    assert_eq!(shop.offered(1_299).await, ["Small", ""]);
    assert_eq!(shop.offered(1_300).await, ["Large", ""]);
    let placed = shop.choose(None).await.unwrap();
    assert_eq!(shop.page_of(&placed).await.unwrap(), Some(small));
    // The limits come back as they were entered.
    let accounts = shop.world.billing.provider_accounts(shop.world.brand).await.unwrap();
    let stored = accounts.iter().find(|account| account.id == small).unwrap();
    assert_eq!(stored.terms.amounts, limited("", None, Some(1_299)).amounts);
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused_by_their_field() {
    let shop = shop().await;
    for terms in [
        limited("", None, None),
        limited("", Some(0), None),
        limited("", Some(2), Some(1)),
        Terms { currencies: vec![Currency::USD], ..limited("", Some(1), None) },
    ] {
        let refused = shop.add(terms, &shop.here()).await.unwrap_err();
        assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("AMOUNTS_INVALID", Some("amounts")));
    }
}
