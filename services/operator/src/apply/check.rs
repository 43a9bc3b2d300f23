//! What can be said about documents before anything is asked of a system: amounts, secrets, doubles.

use std::collections::BTreeMap;

use ottery_proto::billing::v1::PutProviderAccountRequest;
use ottery_proto::catalog::v1::{Brand as BrandState, PutPlanRequest};
use ottery_proto::provisioning::v1::Panel as PanelState;

use super::{ApplyError, Cause, Content, Document, Place, convert};
use crate::types::{Brand, Panel, PaymentsSpec, Plan, SecretSource};

/// A document that is right as far as it can be seen without the system.
#[derive(Clone, Debug)]
pub(super) struct Checked<'a> {
    pub place: &'a Place,
    /// `brand/nordlicht`
    pub what: String,
    pub wanted: Wanted<'a>,
}

/// What a document asks for, secrets read.
#[derive(Clone)]
pub(super) enum Wanted<'a> {
    Brand { brand: Box<BrandState>, payments: Vec<PutProviderAccountRequest> },
    Panel { brand: &'a str, panel: Box<PanelState>, api_key: String },
    Plan { brand: &'a str, plan: Box<PutPlanRequest>, notice_days: Option<u32> },
}

// Two of them hold secrets.
impl std::fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Brand { .. } => "Brand",
            Self::Panel { .. } => "Panel",
            Self::Plan { .. } => "Plan",
        })
    }
}

impl Wanted<'_> {
    /// What no two documents may speak of: kind, brand, and what tells things of that kind apart there.
    fn subject(&self) -> (&'static str, String, String) {
        match self {
            Self::Brand { brand, .. } => ("brand", brand.slug.clone(), String::new()),
            Self::Panel { brand, panel, .. } => ("panel", (*brand).to_owned(), panel.name.clone()),
            Self::Plan { brand, plan, .. } => ("plan", (*brand).to_owned(), plan.slug.clone()),
        }
    }
}

/// Checks all documents.
///
/// # Errors
/// The first one that cannot be right.
pub(super) fn all(documents: &[Document]) -> Result<Vec<Checked<'_>>, ApplyError> {
    let mut seen = BTreeMap::new();
    let mut checked = Vec::with_capacity(documents.len());
    for document in documents {
        let what = document.what();
        let wanted =
            one(document).map_err(|(field, cause)| ApplyError::at(&document.place, cause).of(&what).on(field))?;
        if let Some(first) = seen.insert(wanted.subject(), &document.place) {
            let cause = Cause::Invalid(format!("{first} declares the same one; keep one of the two"));
            return Err(ApplyError::at(&document.place, cause).of(&what).on("metadata.name"));
        }
        checked.push(Checked { place: &document.place, what, wanted });
    }
    Ok(checked)
}

fn one(document: &Document) -> Result<Wanted<'_>, (String, Cause)> {
    match &document.content {
        Content::Brand(brand) => self::brand(brand),
        Content::Panel(panel) => self::panel(panel),
        Content::Plan(plan) => self::plan(plan),
    }
}

fn brand(document: &Brand) -> Result<Wanted<'_>, (String, Cause)> {
    let slug = document.metadata.name.as_deref().unwrap_or_default();
    let mut payments: Vec<PutProviderAccountRequest> = Vec::new();
    for (n, declared) in document.spec.payments.iter().enumerate() {
        if payments.iter().any(|other| other.provider == declared.provider) {
            let text = format!("`{}` is declared twice; a brand has one account per provider", declared.provider);
            return Err((format!("spec.payments[{n}].provider"), Cause::Invalid(text)));
        }
        payments.push(account(n, declared)?);
    }
    Ok(Wanted::Brand { brand: Box::new(convert::brand(slug, &document.spec)), payments })
}

fn account(n: usize, declared: &PaymentsSpec) -> Result<PutProviderAccountRequest, (String, Cause)> {
    let mut webhook_secrets = Vec::with_capacity(declared.webhook_secrets_from.len());
    for (m, source) in declared.webhook_secrets_from.iter().enumerate() {
        webhook_secrets.push(secret(format!("spec.payments[{n}].webhookSecretsFrom[{m}]"), source)?);
    }
    Ok(PutProviderAccountRequest {
        provider: declared.provider.clone(),
        base_url: declared.base_url.clone(),
        api_key: secret(format!("spec.payments[{n}].apiKeyFrom"), &declared.api_key_from)?,
        webhook_secrets,
        ..PutProviderAccountRequest::default()
    })
}

fn panel(document: &Panel) -> Result<Wanted<'_>, (String, Cause)> {
    let name = document.metadata.name.as_deref().unwrap_or_default();
    Ok(Wanted::Panel {
        brand: &document.spec.brand,
        panel: Box::new(convert::panel(name, &document.spec)),
        api_key: secret("spec.apiKeyFrom".to_owned(), &document.spec.api_key_from)?,
    })
}

fn plan(document: &Plan) -> Result<Wanted<'_>, (String, Cause)> {
    let name = document.metadata.name.as_deref().unwrap_or_default();
    let plan = convert::plan(name, &document.spec).map_err(|(field, reason)| (field, Cause::Invalid(reason)))?;
    let notice_days = document.spec.price_change.as_ref().map(|change| change.notice_days);
    if notice_days.is_some() && document.spec.add_on.is_some() {
        let text = "who has an add-on keeps its price; leave priceChange out".to_owned();
        return Err(("spec.priceChange".to_owned(), Cause::Invalid(text)));
    }
    Ok(Wanted::Plan { brand: &document.spec.brand, plan: Box::new(plan), notice_days })
}

fn secret(field: String, source: &SecretSource) -> Result<String, (String, Cause)> {
    source.read().map_err(|error| (field, Cause::Secret(error)))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const PLAN: &str = "apiVersion: ottery.dev/v1alpha1\nkind: Plan\nmetadata: {name: solo}\nspec: {brand: nord, state: OnSale, name: Solo, connections: 1, mapping: {bouquetIds: [1], outputs: [hls]}, prices: [{amount: AMOUNT, term: {count: 1, unit: Month}}]}\n";

    fn refused(text: &str) -> String {
        all(&parse("a.yaml", text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn an_amount_finer_than_its_currency_is_refused_before_anything_is_asked() {
        let said = refused(&PLAN.replace("AMOUNT", "7.999 EUR"));
        assert!(said.starts_with("a.yaml, document 1, plan/solo: spec.prices[0].amount: "), "{said}");
    }

    #[test]
    fn what_a_plan_cannot_say_is_refused_with_its_field() {
        for (said, field) in [
            ("addOn: {}, priceChange: {noticeDays: 30}", "spec.priceChange: "),
            ("saleFrom: tomorrow", "spec.saleFrom: "),
            (
                "options: [{key: a, name: Aa, max: 2, prices: [{amount: 1.001 EUR, term: {count: 1, unit: Month}}]}]",
                "spec.options[0].prices[0].amount: ",
            ),
        ] {
            let text = PLAN.replace("AMOUNT", "7.99 EUR").replace("name: Solo,", &format!("name: Solo, {said},"));
            let refusal = refused(&text);
            assert!(refusal.contains(&format!("plan/solo: {field}")), "{refusal}");
        }
    }

    #[test]
    fn two_documents_do_not_speak_of_the_same_thing() {
        let plan = PLAN.replace("AMOUNT", "7.99 EUR");
        let said = refused(&format!("{plan}---\n{plan}"));
        assert!(said.contains("document 2, plan/solo: metadata.name: a.yaml, document 1 declares the same"), "{said}");
        // The same name in another brand is another plan.
        let other = plan.replace("brand: nord", "brand: sued");
        assert_eq!(all(&parse("a.yaml", &format!("{plan}---\n{other}")).unwrap()).unwrap().len(), 2);
    }

    #[test]
    fn a_secret_that_is_not_there_names_the_variable() {
        let said = refused(
            "apiVersion: ottery.dev/v1alpha1\nkind: Panel\nmetadata: {name: main}\nspec: {brand: nord, driver: xui, baseUrl: 'https://p.example/x', playerUrl: 'https://p.example', apiKeyFrom: {env: OTTERY_NO_SUCH_SECRET}}\n",
        );
        assert!(said.contains("panel/main: spec.apiKeyFrom: environment variable `OTTERY_NO_SUCH_SECRET`"), "{said}");
    }
}
