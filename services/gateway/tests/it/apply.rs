//! Documents applied over the public API, by somebody who is not alone.

use std::sync::Mutex;

use async_trait::async_trait;
use operator::{Applied, Change, HttpTarget, Mode, Target};
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;
use ottery_proto::billing::v1::{ChangePriceReply, ChangePriceRequest, ProviderAccount, PutProviderAccountRequest};
use ottery_proto::catalog::v1::{Brand, Plan, PutBrandRequest, PutPlanRequest};
use ottery_proto::provisioning::v1::{Panel, PutPanelRequest};
use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::world::{World, world};

const DOCUMENTS: &str = r##"
apiVersion: ottery.dev/v1alpha1
kind: Brand
metadata: {name: westwind}
spec:
  name: Westwind TV
  hosts: [West.example]
  entity:
    {name: Westwind Ltd, addressLines: [1 Quay], country: IE, timeZone: Europe/Dublin, invoiceSeries: WW, email: billing@west.example}
  locales: [en]
  currencies: [EUR]
  timeZone: Europe/Dublin
  supportEmail: help@west.example
  senderEmail: hello@west.example
  tokens: {accent: "#0b5d6b"}
  reminderHours: [24, -48]
  published: true
---
apiVersion: ottery.dev/v1alpha1
kind: Plan
metadata: {name: solo}
spec:
  brand: westwind
  state: OnSale
  name: Solo
  connections: 1
  mapping: {bouquetIds: [1], outputs: [hls]}
  prices: [{amount: 7.99 EUR, term: {count: 1, unit: Month}}]
"##;

impl World {
    /// The public API with a key that may do this, on the platform or in a brand.
    async fn target(&self, brand: Option<&str>, permissions: &[&str]) -> HttpTarget {
        let maker = brand.map(|brand| self.owner.with("ottery-brand", brand));
        let body = json!({ "name": "deploy", "permissions": permissions });
        let made = maker.as_ref().unwrap_or(&self.owner).post("/api/v1/api-keys", body).await.expect(201);
        HttpTarget::new(&format!("http://{}", self.address), Secret::new(made["secret"].as_str().unwrap())).unwrap()
    }

    async fn platform(&self) -> HttpTarget {
        self.target(None, &["brand.read", "brand.update", "plan.read", "plan.update"]).await
    }

    async fn westwind(&self) -> Value {
        self.owner.get("/api/v1/brands?slug=westwind").await.expect(200)["items"][0].clone()
    }
}

async fn apply(
    target: &dyn Target,
    text: &str,
    mode: Mode,
) -> Result<Vec<(String, Change)>, (Vec<Applied>, String, String)> {
    let mut applied = Vec::new();
    let documents = operator::parse("west.yaml", text).unwrap();
    match operator::apply(target, &documents, mode, &mut |one| applied.push(one)).await {
        Ok(()) => Ok(applied.into_iter().map(|one| (one.what, one.change)).collect()),
        Err(error) => Err((applied, error.cause.code(), error.to_string())),
    }
}

fn all(change: Change) -> Vec<(String, Change)> {
    vec![("brand/westwind".to_owned(), change), ("plan/solo".to_owned(), change)]
}

#[tokio::test]
async fn what_is_applied_twice_changes_nothing_the_second_time() {
    let world = world().await;
    let target = world.platform().await;
    assert_eq!(apply(&target, DOCUMENTS, Mode::DryRun).await.unwrap(), all(Change::Created));
    assert!(world.westwind().await.is_null(), "a dry run leaves nothing");
    assert_eq!(apply(&target, DOCUMENTS, Mode::Apply).await.unwrap(), all(Change::Created));
    let made = world.westwind().await;
    for mode in [Mode::DryRun, Mode::Apply] {
        assert_eq!(apply(&target, DOCUMENTS, mode).await.unwrap(), all(Change::Unchanged));
    }
    assert_eq!(world.westwind().await, made);
    let offer = world.browser("west.example").get("/api/v1/storefront/plans/solo").await.expect(200);
    assert_eq!(offer["prices"][0]["amount"], json!({ "currency": "EUR", "minor": 799 }));
}

#[tokio::test]
async fn a_dry_run_tells_every_field_that_would_change() {
    let world = world().await;
    let target = world.platform().await;
    apply(&target, DOCUMENTS, Mode::Apply).await.unwrap();
    let changed =
        DOCUMENTS.replace("7.99 EUR", "8.49 EUR").replace("published: true", "graceDays: 7\n  published: true");
    let documents = operator::parse("west.yaml", &changed.replace(r##"{accent: "#0b5d6b"}"##, "{}")).unwrap();
    let mut told = Vec::new();
    operator::apply(&target, &documents, Mode::DryRun, &mut |one| {
        told.extend(one.fields.iter().map(ToString::to_string));
    })
    .await
    .unwrap();
    assert_eq!(
        told,
        [
            "spec.graceDays: 3 -> 7",
            "spec.tokens.accent: #0b5d6b -> #2f5bd7",
            "spec.prices[0].amount: 7.99 EUR -> 8.49 EUR"
        ]
    );
}

#[tokio::test]
async fn what_the_services_refuse_is_told_in_the_documents_words() {
    let world = world().await;
    let target = world.platform().await;
    for (good, bad, expected) in [
        ("name: Westwind TV", "name: W", "west.yaml, document 1, brand/westwind: spec.name: needs 2 to 60 characters"),
        ("hosts: [West.example]", "hosts: [shop.example]", "spec.hosts[0]: `shop.example` belongs to another brand"),
        ("hosts: [West.example]", "hosts: [admin.localhost]", "spec.hosts: `admin.localhost` serves the staff area"),
        ("name: westwind", "name: West Wind", "metadata.name: use 1 to 40 lower-case letters"),
        ("7.99 EUR", "7.99 CHF", "document 2, plan/solo: spec.prices[0].amount: `CHF` is not a currency of this brand"),
        ("bouquetIds: [1]", "bouquetIds: []", "plan/solo: spec.mapping.bouquetIds: name at least one bouquet"),
        ("brand: westwind", "brand: nowhere", "plan/solo: spec.brand: there is no brand `nowhere`"),
    ] {
        let (applied, _, said) = apply(&target, &DOCUMENTS.replacen(good, bad, 1), Mode::Apply).await.unwrap_err();
        assert!(said.contains(expected), "{said}");
        assert_eq!(applied.len(), usize::from(said.contains("plan/solo")), "{said}");
    }
    let reader = world.target(None, &["brand.read", "plan.read"]).await;
    let (_, code, said) = apply(&reader, DOCUMENTS, Mode::Apply).await.unwrap_err();
    assert_eq!(code, "permission_missing");
    assert!(said.contains("`brand.update`"), "{said}");
}

#[tokio::test]
async fn a_brands_key_applies_what_is_in_its_brand_and_makes_no_other() {
    let world = world().await;
    apply(&world.platform().await, DOCUMENTS, Mode::Apply).await.unwrap();
    let id = world.westwind().await["id"].as_str().unwrap().to_owned();
    let permissions = ["brand.read", "brand.update", "plan.read", "plan.update"];
    let own = world.target(Some(&id), &permissions).await;
    assert_eq!(apply(&own, DOCUMENTS, Mode::Apply).await.unwrap(), all(Change::Unchanged));
    let sibling = world.target(Some(&world.brand), &permissions).await;
    let (applied, code, said) = apply(&sibling, DOCUMENTS, Mode::Apply).await.unwrap_err();
    assert_eq!((applied, code.as_str()), (Vec::new(), "platform_key_needed"));
    assert!(said.contains("use a key of the platform"), "{said}");
    let wrong = HttpTarget::new(&format!("http://{}", world.address), Secret::new("otk_1_wrong")).unwrap();
    assert_eq!(apply(&wrong, DOCUMENTS, Mode::Apply).await.unwrap_err().1, "api_key_unknown");
}

/// Somebody who changes the same things between our reading and our writing.
struct Meddler<'a> {
    target: HttpTarget,
    owner: &'a Browser,
    /// What is changed next, and to what.
    next: Mutex<Option<(Method, String, Value)>>,
    brand: String,
}

impl Meddler<'_> {
    async fn meddle(&self) {
        let next = self.next.lock().unwrap().take();
        if let Some((method, path, body)) = next {
            let done = self.owner.with("ottery-brand", &self.brand).write(method, &path, body, None).await;
            assert!(done.status.is_success(), "{}", done.text);
        }
    }
}

#[async_trait]
impl Target for Meddler<'_> {
    async fn brand(&self, slug: &str) -> Result<Option<Brand>, Problem> {
        self.target.brand(slug).await
    }

    async fn put_brand(&self, request: PutBrandRequest) -> Result<Brand, Problem> {
        self.meddle().await;
        self.target.put_brand(request).await
    }

    async fn plans(&self, brand: &str) -> Result<Vec<Plan>, Problem> {
        self.target.plans(brand).await
    }

    async fn change_price(&self, brand: &str, request: ChangePriceRequest) -> Result<ChangePriceReply, Problem> {
        self.target.change_price(brand, request).await
    }

    async fn put_plan(&self, brand: &str, request: PutPlanRequest) -> Result<Plan, Problem> {
        self.meddle().await;
        self.target.put_plan(brand, request).await
    }

    async fn panels(&self, brand: &str) -> Result<Vec<Panel>, Problem> {
        self.target.panels(brand).await
    }

    async fn put_panel(&self, brand: &str, request: PutPanelRequest) -> Result<Panel, Problem> {
        self.target.put_panel(brand, request).await
    }

    async fn provider_accounts(&self, brand: &str) -> Result<Vec<ProviderAccount>, Problem> {
        self.target.provider_accounts(brand).await
    }

    async fn put_provider_account(
        &self,
        brand: &str,
        request: PutProviderAccountRequest,
    ) -> Result<ProviderAccount, Problem> {
        self.target.put_provider_account(brand, request).await
    }
}

#[tokio::test]
async fn a_change_between_reading_and_writing_is_a_conflict_and_overwrites_nothing() {
    let world = world().await;
    let target = world.platform().await;
    apply(&target, DOCUMENTS, Mode::Apply).await.unwrap();
    let brand = world.westwind().await;
    let id = brand["id"].as_str().unwrap().to_owned();
    let meddler = Meddler { target, owner: &world.owner, next: Mutex::new(None), brand: id.clone() };

    let mut body = crate::world::brand_body("westwind", "west.example");
    body["tagline"] = json!("Written by somebody else");
    body["version"] = brand["version"].clone();
    *meddler.next.lock().unwrap() = Some((Method::PUT, format!("/api/v1/brands/{id}"), body));
    let wanted = DOCUMENTS.replace("name: Westwind TV", "name: Westwind");
    let (applied, code, said) = apply(&meddler, &wanted, Mode::Apply).await.unwrap_err();
    assert_eq!((applied, code.as_str()), (Vec::new(), "conflict"));
    assert!(said.contains("brand/westwind: somebody else changed it") && said.contains("apply again"), "{said}");
    assert_eq!(world.westwind().await["tagline"], "Written by somebody else");

    let here = world.owner.with("ottery-brand", &id);
    let plan = here.get("/api/v1/plans").await.expect(200)["items"][0].clone();
    let body = json!({
        "slug": "solo", "name": "Solo", "connections": 3, "version": plan["version"],
        "prices": [{ "term": { "count": 1, "unit": "month" }, "amount": { "currency": "EUR", "minor": 799 } }],
        "mapping": { "bouquet_ids": [1], "outputs": ["hls"] },
    });
    let path = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());
    let plans_alone = wanted.split_once("---").unwrap().1.replace("7.99 EUR", "8.99 EUR");
    *meddler.next.lock().unwrap() = Some((Method::PUT, path.clone(), body.clone()));
    let (_, code, said) = apply(&meddler, &plans_alone, Mode::Apply).await.unwrap_err();
    assert_eq!(code, "conflict", "{said}");
    assert_eq!(here.get(&path).await.expect(200)["current"]["connections"], 3);
    // So is something that was not there to be read.
    let twin = plans_alone.replace("{name: solo}", "{name: duo}");
    let twins = json!({ "slug": "duo", "version": 0 });
    let body = body.as_object().into_iter().flatten().chain(twins.as_object().into_iter().flatten());
    let body = Value::Object(body.map(|(name, value)| (name.clone(), value.clone())).collect());
    *meddler.next.lock().unwrap() = Some((Method::POST, "/api/v1/plans".to_owned(), body));
    let (_, code, said) = apply(&meddler, &twin, Mode::Apply).await.unwrap_err();
    assert_eq!(code, "conflict", "{said}");
    // Whoever looks at it and applies again gets through.
    assert_eq!(apply(&meddler, &wanted, Mode::Apply).await.unwrap(), all(Change::Configured));
}
