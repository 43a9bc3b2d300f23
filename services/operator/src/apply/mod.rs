//! Making a running system agree with documents.

mod convert;
mod error;
mod grpc;
mod parse;
mod target;

use std::collections::BTreeMap;

use ottery_proto::billing::v1::PutProviderAccountRequest;
use ottery_proto::catalog::v1::{Brand as BrandState, PutPlanRequest, plan};
use ottery_proto::provisioning::v1::Panel as PanelState;

pub use error::ApplyError;
pub use grpc::GrpcTarget;
pub use parse::{Document, parse};
pub use target::Target;

use crate::types::{Brand, Panel, PaymentsSpec, Plan, SaleState};

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Created,
    /// It was different.
    Configured,
    /// It agreed already.
    Unchanged,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        })
    }
}

/// One document and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// `brand/nordlicht`.
    pub what: String,
    /// Id in the system.
    pub id: String,
    /// What became of it.
    pub change: Change,
}

/// Applies every document of a YAML stream: brands, then panels, then plans. Stops at the first refusal; what was applied
/// before stays, and applying again goes on from there.
///
/// # Errors
/// A document that cannot be read (with its place), or the system's refusal (with the document's name and field).
pub async fn apply(target: &dyn Target, text: &str) -> Result<Vec<Applied>, ApplyError> {
    let documents = parse(text)?;
    let mut run = Run { target, brands: BTreeMap::new(), applied: Vec::new() };
    for document in &documents {
        if let Document::Brand(brand) = document {
            run.brand(brand).await?;
        }
    }
    for document in &documents {
        if let Document::Panel(panel) = document {
            run.panel(panel).await?;
        }
    }
    for document in &documents {
        if let Document::Plan(plan) = document {
            run.plan(plan).await?;
        }
    }
    Ok(run.applied)
}

struct Run<'a> {
    target: &'a dyn Target,
    /// Slug to id, of brands seen so far.
    brands: BTreeMap<String, String>,
    applied: Vec<Applied>,
}

impl Run<'_> {
    fn done(&mut self, what: String, id: String, change: Change) {
        self.applied.push(Applied { what, id, change });
    }

    async fn brand_id(&mut self, slug: &str, what: &str) -> Result<String, ApplyError> {
        if let Some(id) = self.brands.get(slug) {
            return Ok(id.clone());
        }
        let found = self.target.brand(slug).await.map_err(|problem| ApplyError::refused(what, problem))?;
        let brand = found.ok_or_else(|| ApplyError::Invalid {
            what: what.to_owned(),
            field: "spec.brand".to_owned(),
            reason: format!("there is no brand `{slug}`; apply it first or in the same file"),
        })?;
        self.brands.insert(slug.to_owned(), brand.id.clone());
        Ok(brand.id)
    }

    async fn brand(&mut self, document: &Brand) -> Result<(), ApplyError> {
        let slug = document.metadata.name.clone().unwrap_or_default();
        let what = format!("brand/{slug}");
        let refused = |problem| ApplyError::refused(&what, problem);
        let before = self.target.brand(&slug).await.map_err(refused)?;
        let (id, version) = before.as_ref().map_or((String::new(), 0), |brand| (brand.id.clone(), brand.version));
        let wanted = BrandState { id, ..convert::brand(&slug, &document.spec) };
        let after = self.target.put_brand(wanted, version).await.map_err(refused)?;
        let change = match before {
            None => Change::Created,
            Some(before) if before.version == after.version => Change::Unchanged,
            Some(_) => Change::Configured,
        };
        self.brands.insert(slug.clone(), after.id.clone());
        self.done(what, after.id.clone(), change);
        for payments in &document.spec.payments {
            self.payments(&slug, &after.id, payments).await?;
        }
        Ok(())
    }

    async fn payments(&mut self, slug: &str, brand: &str, payments: &PaymentsSpec) -> Result<(), ApplyError> {
        let what = format!("brand/{slug}/payments/{}", payments.provider);
        let refused = |problem| ApplyError::refused(&what, problem);
        let secret = |field: &str, error| ApplyError::secret(&what, field, error);
        let api_key = payments.api_key_from.read().map_err(|error| secret("apiKeyFrom", error))?;
        let mut webhook_secrets = Vec::new();
        for source in &payments.webhook_secrets_from {
            webhook_secrets.push(source.read().map_err(|error| secret("webhookSecretsFrom", error))?);
        }
        let accounts = self.target.provider_accounts(brand).await.map_err(refused)?;
        let before = accounts.into_iter().find(|account| account.provider == payments.provider);
        if let Some(before) = &before
            && before.base_url == payments.base_url
            && convert::hints_at(&before.api_key_hint, &api_key)
        {
            self.done(what, before.id.clone(), Change::Unchanged);
            return Ok(());
        }
        let request = PutProviderAccountRequest {
            id: before.as_ref().map(|account| account.id.clone()).unwrap_or_default(),
            provider: payments.provider.clone(),
            base_url: payments.base_url.clone(),
            api_key,
            webhook_secrets,
            expected_version: before.as_ref().map_or(0, |account| account.version),
            dry_run: false,
        };
        let after = self.target.put_provider_account(brand, request).await.map_err(refused)?;
        let change = if before.is_none() { Change::Created } else { Change::Configured };
        self.done(what, after.id, change);
        Ok(())
    }

    async fn panel(&mut self, document: &Panel) -> Result<(), ApplyError> {
        let name = document.metadata.name.clone().unwrap_or_default();
        let what = format!("panel/{name}");
        let brand = self.brand_id(&document.spec.brand, &what).await?;
        let refused = |problem| ApplyError::refused(&what, problem);
        let api_key =
            document.spec.api_key_from.read().map_err(|error| ApplyError::secret(&what, "apiKeyFrom", error))?;
        let wanted = convert::panel(&name, &document.spec);
        let before =
            self.target.panels(&brand).await.map_err(refused)?.into_iter().find(|panel| panel.name == wanted.name);
        if let Some(before) = &before
            && convert::same_panel(before, &wanted)
            && convert::hints_at(&before.api_key_hint, &api_key)
        {
            self.done(what, before.id.clone(), Change::Unchanged);
            return Ok(());
        }
        let (id, version) = before.as_ref().map_or((String::new(), 0), |panel| (panel.id.clone(), panel.version));
        let after =
            self.target.put_panel(&brand, PanelState { id, ..wanted }, api_key, version).await.map_err(refused)?;
        let change = if before.is_none() { Change::Created } else { Change::Configured };
        self.done(what, after.id, change);
        Ok(())
    }

    async fn plan(&mut self, document: &Plan) -> Result<(), ApplyError> {
        let name = document.metadata.name.clone().unwrap_or_default();
        let what = format!("plan/{name}");
        let brand = self.brand_id(&document.spec.brand, &what).await?;
        let refused = |problem| ApplyError::refused(&what, problem);
        let slug = if document.spec.slug.is_empty() { name } else { document.spec.slug.clone() };
        let content = convert::content(&document.spec).map_err(|(field, reason)| ApplyError::Invalid {
            what: what.clone(),
            field,
            reason,
        })?;
        let before = self.target.plans(&brand).await.map_err(refused)?.into_iter().find(|plan| plan.slug == slug);
        let (plan_id, version) = before.as_ref().map_or((String::new(), 0), |plan| (plan.id.clone(), plan.version));
        let request = PutPlanRequest {
            plan_id,
            slug,
            position: document.spec.position,
            featured: document.spec.featured,
            content: Some(content),
            expected_version: version,
            ..PutPlanRequest::default()
        };
        let mut after = self.target.put_plan(&brand, request).await.map_err(refused)?;
        let state = match document.spec.state {
            SaleState::Draft => plan::State::Draft,
            SaleState::OnSale => plan::State::OnSale,
            SaleState::Archived => plan::State::Archived,
        };
        if after.state() != state {
            after = self.target.set_plan_state(&brand, &after.id, state, after.version).await.map_err(refused)?;
        }
        let change = match before {
            None => Change::Created,
            Some(before) if before.version == after.version => Change::Unchanged,
            Some(_) => Change::Configured,
        };
        self.done(what, after.id, change);
        Ok(())
    }
}
