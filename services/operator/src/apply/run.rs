//! One run over checked documents: reads what is there, asks for what is wanted, tells what became of it.

use std::collections::{BTreeMap, BTreeSet};

use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1::{ChangePriceRequest, ProviderAccount, PutProviderAccountRequest};
use ottery_proto::catalog::v1::{Brand, Plan, PutBrandRequest, PutPlanRequest, plan};
use ottery_proto::provisioning::v1::{Panel, PutPanelRequest};

use super::check::{Checked, Wanted};
use super::field::{Of, of_document};
use super::{Applied, ApplyError, Cause, Change, FieldChange, Mode, Target, difference, stored};

pub(super) struct Run<'a> {
    target: &'a dyn Target,
    mode: Mode,
    done: &'a mut (dyn FnMut(Applied) + Send),
    /// Slug to id of brands that are there.
    brands: BTreeMap<String, String>,
    /// Brands a dry run would create: nothing can be asked about what is in them.
    imagined: BTreeSet<String>,
    /// What is in a brand, read once.
    panels: BTreeMap<String, Vec<Panel>>,
    plans: BTreeMap<String, Vec<Plan>>,
}

/// Where something was refused, and why.
struct Refusal {
    field: Option<String>,
    cause: Cause,
}

/// Reasons for which something new is refused when it is there after all.
const TAKEN: [&str; 2] = ["slug_taken", "panel_name_taken"];

impl Refusal {
    fn of(of: Of) -> impl Fn(Problem) -> Self {
        move |problem| Self {
            field: problem.field.as_deref().and_then(|field| of_document(of, field)),
            cause: problem.into(),
        }
    }

    /// As [`Self::of`], of something that was not there a moment ago: somebody else made it meanwhile.
    fn of_new(of: Of, is_new: bool) -> impl Fn(Problem) -> Self {
        move |problem| {
            let is_taken = TAKEN.iter().any(|reason| problem.reason.eq_ignore_ascii_case(reason));
            if is_new && is_taken {
                return Self { field: None, cause: Cause::Conflict(Box::new(problem)) };
            }
            Self::of(of)(problem)
        }
    }
}

/// What became of a thing: its id, whether it changed, and in which fields.
struct Outcome {
    id: String,
    change: Change,
    fields: Vec<FieldChange>,
}

impl Outcome {
    fn created(id: String) -> Self {
        Self { id, change: Change::Created, fields: Vec::new() }
    }

    fn unchanged(id: String) -> Self {
        Self { id, change: Change::Unchanged, fields: Vec::new() }
    }

    fn configured(id: String, fields: Vec<FieldChange>) -> Self {
        Self { id, change: Change::Configured, fields }
    }
}

impl<'a> Run<'a> {
    pub fn new(target: &'a dyn Target, mode: Mode, done: &'a mut (dyn FnMut(Applied) + Send)) -> Self {
        Self {
            target,
            mode,
            done,
            brands: BTreeMap::new(),
            imagined: BTreeSet::new(),
            panels: BTreeMap::new(),
            plans: BTreeMap::new(),
        }
    }

    pub async fn all(mut self, documents: &[Checked<'_>]) -> Result<(), ApplyError> {
        for checked in documents {
            if let Wanted::Brand { brand, payments } = &checked.wanted {
                self.brand(checked, brand, payments).await?;
            }
        }
        for checked in documents {
            if let Wanted::Panel { brand, panel, api_key } = &checked.wanted {
                let outcome = self.panel(brand, panel, api_key).await;
                self.tell(checked, outcome)?;
            }
        }
        for checked in documents {
            if let Wanted::Plan { brand, plan, notice_days } = &checked.wanted {
                let outcome = self.plan(brand, plan, *notice_days).await;
                self.tell(checked, outcome)?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, checked: &Checked<'_>, outcome: Result<Outcome, Refusal>) -> Result<(), ApplyError> {
        match outcome {
            Ok(Outcome { id, change, fields }) => {
                let (place, what) = (checked.place.clone(), checked.what.clone());
                (self.done)(Applied { place, what, id, change, fields });
                Ok(())
            }
            Err(Refusal { field, cause }) => {
                let error = ApplyError::at(checked.place, cause).of(&checked.what);
                Err(match field {
                    Some(field) => error.on(field),
                    None => error,
                })
            }
        }
    }

    /// A brand and its payment accounts are one document. When an account is refused, what became of the brand itself is
    /// told before the refusal.
    async fn brand(
        &mut self,
        checked: &Checked<'_>,
        wanted: &Brand,
        payments: &[PutProviderAccountRequest],
    ) -> Result<(), ApplyError> {
        let mut outcome = match self.shop(wanted).await {
            Ok(outcome) => outcome,
            refused => return self.tell(checked, refused),
        };
        let refused = self.accounts(&mut outcome, payments).await;
        if refused.is_ok() || outcome.change != Change::Unchanged {
            self.tell(checked, Ok(outcome))?;
        }
        match refused {
            Ok(()) => Ok(()),
            Err(refusal) => self.tell(checked, Err(refusal)),
        }
    }

    async fn shop(&mut self, wanted: &Brand) -> Result<Outcome, Refusal> {
        let before = self.target.brand(&wanted.slug).await.map_err(Refusal::of(Of::Brand))?;
        let (id, expected_version) =
            before.as_ref().map_or((String::new(), 0), |brand| (brand.id.clone(), brand.version));
        let request = PutBrandRequest {
            brand: Some(Brand { id, ..wanted.clone() }),
            expected_version,
            dry_run: self.mode.is_dry_run(),
        };
        let after = self.target.put_brand(request).await.map_err(Refusal::of_new(Of::Brand, before.is_none()))?;
        let Some(before) = before else {
            if self.mode.is_dry_run() {
                self.imagined.insert(wanted.slug.clone());
                return Ok(Outcome::created(String::new()));
            }
            self.brands.insert(wanted.slug.clone(), after.id.clone());
            return Ok(Outcome::created(after.id));
        };
        self.brands.insert(wanted.slug.clone(), after.id.clone());
        if before.version == after.version {
            return Ok(Outcome::unchanged(after.id));
        }
        let id = after.id.clone();
        Ok(Outcome::configured(id, difference::between(&stored::brand(before), &stored::brand(after))))
    }

    async fn accounts(&mut self, brand: &mut Outcome, payments: &[PutProviderAccountRequest]) -> Result<(), Refusal> {
        // Nothing can be asked about a brand that a dry run only imagines.
        if payments.is_empty() || brand.id.is_empty() {
            return Ok(());
        }
        let there = self.target.provider_accounts(&brand.id).await.map_err(Refusal::of(Of::Payments(0)))?;
        for (n, wanted) in payments.iter().enumerate() {
            // The newest is the one that new payments use.
            let before = there.iter().rfind(|account| account.provider == wanted.provider);
            let request = PutProviderAccountRequest {
                id: before.map(|account| account.id.clone()).unwrap_or_default(),
                expected_version: before.map_or(0, |account| account.version),
                dry_run: self.mode.is_dry_run(),
                ..wanted.clone()
            };
            let put = self.target.put_provider_account(&brand.id, request).await;
            let after = put.map_err(Refusal::of(Of::Payments(n)))?;
            let fields = account_changes(n, before, &after);
            if !fields.is_empty() && brand.change == Change::Unchanged {
                brand.change = Change::Configured;
            }
            if brand.change == Change::Configured {
                brand.fields.extend(fields);
            }
        }
        Ok(())
    }

    /// The id of a brand; none when a dry run only imagines it.
    async fn brand_id(&mut self, slug: &str) -> Result<Option<String>, Refusal> {
        if self.imagined.contains(slug) {
            return Ok(None);
        }
        if let Some(id) = self.brands.get(slug) {
            return Ok(Some(id.clone()));
        }
        let found = self.target.brand(slug).await.map_err(Refusal::of(Of::Brand))?;
        let brand = found.ok_or_else(|| Refusal {
            field: Some("spec.brand".to_owned()),
            cause: Cause::Invalid(format!("there is no brand `{slug}`; declare it as well, or correct the name")),
        })?;
        self.brands.insert(slug.to_owned(), brand.id.clone());
        Ok(Some(brand.id))
    }

    async fn panel(&mut self, brand: &str, wanted: &Panel, api_key: &str) -> Result<Outcome, Refusal> {
        let Some(brand) = self.brand_id(brand).await? else { return Ok(Outcome::created(String::new())) };
        if !self.panels.contains_key(&brand) {
            let found = self.target.panels(&brand).await.map_err(Refusal::of(Of::Panel))?;
            self.panels.insert(brand.clone(), found);
        }
        let before = self.panels[&brand].iter().find(|panel| panel.name == wanted.name);
        let (id, expected_version) = before.map_or((String::new(), 0), |panel| (panel.id.clone(), panel.version));
        let request = PutPanelRequest {
            panel: Some(Panel { id, ..wanted.clone() }),
            api_key: api_key.to_owned(),
            expected_version,
            dry_run: self.mode.is_dry_run(),
        };
        let put = self.target.put_panel(&brand, request).await;
        let after = put.map_err(Refusal::of_new(Of::Panel, before.is_none()))?;
        let Some(before) = before else { return Ok(Outcome::created(self.real(after.id))) };
        if before.version == after.version {
            return Ok(Outcome::unchanged(after.id));
        }
        let id = after.id.clone();
        let mut fields = difference::between(&stored::panel(before.clone()), &stored::panel(after.clone()));
        if fields.is_empty() || before.api_key_hint != after.api_key_hint {
            fields.push(FieldChange::secret("spec.apiKeyFrom"));
        }
        Ok(Outcome::configured(id, fields))
    }

    async fn plan(
        &mut self,
        brand: &str,
        wanted: &PutPlanRequest,
        notice_days: Option<u32>,
    ) -> Result<Outcome, Refusal> {
        let Some(brand) = self.brand_id(brand).await? else { return Ok(Outcome::created(String::new())) };
        if !self.plans.contains_key(&brand) {
            let found = self.target.plans(&brand).await.map_err(Refusal::of(Of::Plan))?;
            self.plans.insert(brand.clone(), found);
        }
        let before = self.plans[&brand].iter().find(|plan| plan.slug == wanted.slug);
        let request = PutPlanRequest {
            plan_id: before.map(|plan| plan.id.clone()).unwrap_or_default(),
            expected_version: before.map_or(0, |plan| plan.version),
            dry_run: self.mode.is_dry_run(),
            ..wanted.clone()
        };
        let put = self.target.put_plan(&brand, request).await;
        let after = put.map_err(Refusal::of_new(Of::Plan, before.is_none()))?;
        let Some(before) = before else { return Ok(Outcome::created(self.real(after.id))) };
        let mut fields = if before.version == after.version {
            Vec::new()
        } else {
            difference::between(&stored::plan(before.clone()), &stored::plan(after.clone()))
        };
        let announced = match notice_days {
            Some(days) => self.announce(&brand, &after, days).await?,
            None => 0,
        };
        if announced > 0 {
            let told = format!("announced to {announced} subscriptions");
            fields.push(FieldChange { field: "spec.priceChange".to_owned(), before: None, after: Some(told) });
        }
        if before.version == after.version && announced == 0 {
            return Ok(Outcome::unchanged(after.id));
        }
        Ok(Outcome::configured(after.id, fields))
    }

    /// Announces every price that renews to those who have others. Prices that a dry run only imagines are of nobody yet.
    async fn announce(&self, brand: &str, plan: &Plan, notice_days: u32) -> Result<usize, Refusal> {
        if self.mode.is_dry_run() || plan.state() != plan::State::OnSale {
            return Ok(0);
        }
        let mut announced = 0;
        let version = plan.current.as_ref();
        for price in version.iter().flat_map(|version| &version.prices).filter(|price| !price.once) {
            loop {
                let request = ChangePriceRequest { to_price_id: price.id.clone(), notice_days, ..Default::default() };
                let told = self.target.change_price(brand, request).await.map_err(Refusal::of(Of::PriceChange))?;
                announced += told.rows.iter().filter(|row| row.effective_at.is_some()).count();
                if !told.more {
                    break;
                }
            }
        }
        Ok(announced)
    }

    /// The id of something new; a dry run's is the id of nothing.
    fn real(&self, id: String) -> String {
        if self.mode.is_dry_run() { String::new() } else { id }
    }
}

/// Secrets are never shown; that the account changed while nothing visible did says that one of them differs.
fn account_changes(n: usize, before: Option<&ProviderAccount>, after: &ProviderAccount) -> Vec<FieldChange> {
    let at = |field: &str| format!("spec.payments[{n}]{field}");
    let Some(before) = before else {
        return vec![FieldChange { field: at(".provider"), before: None, after: Some(after.provider.clone()) }];
    };
    if before.version == after.version {
        return Vec::new();
    }
    let mut fields = Vec::new();
    if before.base_url != after.base_url {
        let (was, is) = (before.base_url.clone(), after.base_url.clone());
        fields.push(FieldChange { field: at(".baseUrl"), before: Some(was), after: Some(is) });
    }
    if before.api_key_hint != after.api_key_hint {
        fields.push(FieldChange::secret(at(".apiKeyFrom")));
    }
    if fields.is_empty() {
        fields.push(FieldChange::secret(at("")));
    }
    fields
}
