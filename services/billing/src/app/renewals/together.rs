//! Steps that concern several subscriptions of one customer: issuing what is due on one day as one invoice, and charging and
//! reminding of such an invoice, which happens once for all of its parts.
//!
//! The batch leaves these steps out and keeps their claims. Here all subscriptions of the customer are locked, in the order of
//! their ids, and what one claim finds due is done for all of them in one transaction: whoever comes second finds it done. Parts
//! count reminders and charges in step, so it does not matter which of them is claimed first, or is gone.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, InvoiceId, Money, PaymentMethodId, SubscriptionId};
use ottery_kit::crash;

use super::batch::{RETRY_DEFECT, hand_back, keep_changed, set_aside, take};
use super::{Means, asks, drafted, issued, leaves_too_little};
use crate::app::schedule::{Case, cases};
use crate::app::unit::{Unit, UnitError};
use crate::app::{Billing, dunning, profile};
use crate::domain::consolidated::{self, PARTS_MAX, Together};
use crate::domain::dunning::campaign::Channel;
use crate::domain::dunning::{Settings, Standing, Step};
use crate::domain::invoice::{self, Invoice};
use crate::events::publish;
use crate::store;
use crate::store::due::Claim;
use crate::store::notice::Notice;
use crate::store::payment::{AttemptKind, AttemptRequest};
use crate::store::share::Share;

/// Whether a step is taken for all parts of a consolidated invoice at once.
pub(super) fn is_shared(case: &Case, step: Step) -> bool {
    group_of(case, step).is_some()
}

/// The consolidated invoice a step is about.
pub(super) fn group_of(case: &Case, step: Step) -> Option<InvoiceId> {
    let (Step::Charge(id) | Step::ChargeOther { invoice: id, .. } | Step::Remind { invoice: id, .. }) = step else {
        return None;
    };
    let invoice = case.open.iter().find(|invoice| invoice.id == id)?;
    Some(invoice.part?.group)
}

impl Billing {
    /// Takes the steps of claimed subscriptions of one customer, with the other subscriptions they concern, in one transaction.
    /// Claims that were lost meanwhile are left alone.
    ///
    /// # Errors
    /// When the database fails or something stored contradicts itself.
    pub async fn work_together(&self, brand: BrandId, claims: &[Claim]) -> anyhow::Result<()> {
        let (mut tx, now) = self.begin(brand).await?;
        let claimed: Vec<SubscriptionId> = claims.iter().map(|claim| claim.subscription).collect();
        let wanted = store::subscription::of_same_customers(&mut tx, &claimed).await?;
        let locked = store::subscription::lock_all(&mut tx, &wanted).await?;
        let mine = store::due::still_mine(&mut tx, claims).await?;
        if mine.is_empty() {
            return Ok(());
        }
        let mut cases = cases(&mut tx, brand, locked).await?;
        let mut profile = profile(&mut tx, brand).await?;
        profile.minimums = self.minimums(&mut tx, brand, &profile.currencies).await?;
        let settings = self.config.dunning(&profile);
        let mut unit = Unit::new(brand, profile, now);
        let is_mine = |case: &Case| mine.iter().any(|claim| claim.subscription == case.subscription.id);
        let mut due: Vec<Option<Step>> =
            cases.iter().map(|case| due_step(case, &settings, now).filter(|_| is_mine(case))).collect();
        dunning::admit(&mut tx, brand, &mut cases, &mut due, &settings, now).await?;
        let held = self.hold_for_vat(&mut tx, &unit, &cases, &mut due).await?;
        let steps: Vec<_> = cases.iter().zip(&due).filter_map(|(case, step)| Some((case, (*step)?))).collect();
        let mut means = Means::gather(&mut tx, &mut unit, &steps).await?;
        let groups: BTreeSet<InvoiceId> = steps.iter().filter_map(|(case, step)| group_of(case, *step)).collect();
        let groups: Vec<InvoiceId> = groups.into_iter().collect();
        let parts = store::invoice::parts_of(&mut tx, &groups).await?;

        let mut account = Account::new(cases, parts);
        let mut failed: Vec<(SubscriptionId, anyhow::Error)> = Vec::new();
        for (index, step) in due.into_iter().enumerate() {
            // What an earlier one did was done for this one, too.
            let Some(step) = step.filter(|step| due_step(&account.cases[index], &settings, now) == Some(*step)) else {
                continue;
            };
            let (before, wallets) = (account.cases.clone(), means.clone());
            if let Err(error) = unit.attempt(|unit| account.perform(unit, index, step, &mut means)) {
                failed.push((before[index].subscription.id, error.into()));
                (account.cases, means) = (before, wallets);
            }
        }

        let has_failed = |id: SubscriptionId| failed.iter().any(|(failed, _)| *failed == id);
        let next = |case: &Case| {
            let id = case.subscription.id;
            let planned = case.next(&settings, now).map(|(at, _)| at);
            if has_failed(id) { Some(now + RETRY_DEFECT) } else { held.get(&id).copied().or(planned) }
        };
        let (mut planned, mut others) = (Vec::new(), Vec::new());
        for (index, case) in account.cases.iter().enumerate() {
            let id = case.subscription.id;
            match mine.iter().find(|claim| claim.subscription == id) {
                Some(claim) => planned.push((*claim, next(case))),
                None if account.touched.contains(&index) => others.push((id, next(case))),
                None => {}
            }
        }
        unit.write_unnumbered(&mut tx).await?;
        set_aside(&mut tx, brand, &failed, now).await?;
        hand_back(&mut tx, &planned).await?;
        store::due::set(&mut tx, brand, &others).await?;
        unit.write_numbered(&mut tx).await?;
        crash::point("renewal.together");
        tx.commit().await?;
        Ok(())
    }
}

fn due_step(case: &Case, settings: &Settings, now: DateTime<Utc>) -> Option<Step> {
    case.next(settings, now).filter(|(at, _)| *at <= now).map(|(_, step)| step)
}

/// The subscriptions of one customer, locked.
pub(super) struct Account {
    pub(super) cases: Vec<Case>,
    /// All parts of the consolidated invoices that are worked on, as they were before.
    parts: Vec<Invoice>,
    /// Which of the cases were changed.
    touched: BTreeSet<usize>,
}

impl Account {
    /// All subscriptions of the customer, and all parts of the invoices the steps are about.
    pub(super) const fn new(cases: Vec<Case>, parts: Vec<Invoice>) -> Self {
        Self { cases, parts, touched: BTreeSet::new() }
    }

    /// Takes a step of one of them, and with it what is done for others at once.
    pub(super) fn perform(
        &mut self,
        unit: &mut Unit,
        index: usize,
        step: Step,
        means: &mut Means,
    ) -> Result<(), UnitError> {
        let account = self.cases[index].subscription.account;
        match (step, group_of(&self.cases[index], step)) {
            // Too little of the whole is left for a payment.
            (step, _) if asks(step) && self.cases[index].is_small(&unit.profile.minimums) => {
                self.touched.insert(index);
                take(unit, &mut self.cases[index], step, means)
            }
            (Step::IssueInvoice, _) if unit.consolidates(account) => self.issue(unit, index, means),
            (Step::Charge(_), Some(group)) => {
                match self.cases[index].subscription.method.as_ref().map(|method| method.id) {
                    Some(method) => self.charge(unit, index, group, method),
                    None => Ok(()),
                }
            }
            (Step::ChargeOther { method, .. }, Some(group)) => self.charge(unit, index, group, method),
            (Step::Remind { step, .. }, Some(group)) => self.remind(unit, group, step),
            (step, _) => take(unit, &mut self.cases[index], step, means),
        }
    }

    /// Changes these cases and keeps what became different.
    fn change(
        &mut self,
        unit: &mut Unit,
        members: &[usize],
        mut change: impl FnMut(&mut Unit, &mut Case) -> Result<(), UnitError>,
    ) -> Result<(), UnitError> {
        for index in members {
            let case = &mut self.cases[*index];
            let before = case.clone();
            change(unit, case)?;
            keep_changed(unit, &before, case);
            self.touched.insert(*index);
        }
        Ok(())
    }

    /// Issues what is due on the day of one subscription, with those of its others that can be: one invoice when they are
    /// several. A subscription whose bill cannot be computed is left to its own time, when it is set aside.
    fn issue(&mut self, unit: &mut Unit, index: usize, means: &mut Means) -> Result<(), UnitError> {
        let mut drafts = Vec::new();
        for member in self.due_with(unit, index) {
            match drafted(unit, &self.cases[member]) {
                Ok(draft) => drafts.push((member, draft)),
                Err(error) if member == index => return Err(error),
                Err(error) => tracing::warn!(%error, "a subscription is left out of a consolidated invoice"),
            }
        }
        let (members, mut parts): (Vec<usize>, Vec<Invoice>) = drafts.into_iter().unzip();
        consolidated::join(InvoiceId::new(unit.now), &mut parts)?;
        let first = parts.first().map(|part| part.id).filter(|_| parts.len() > 1);
        let open = members.iter().flat_map(|member| &self.cases[*member].open);
        let is_small = leaves_too_little(unit, &parts, open, means)?;
        let mut parts = parts.into_iter();
        self.change(unit, &members, |unit, case| match parts.next() {
            Some(part) => issued(unit, case, part, is_small, means),
            None => Ok(()),
        })?;
        let is_open = |index: &usize| self.cases[*index].open.iter().any(|invoice| invoice.part.is_some());
        if let Some(first) = first.filter(|_| !members.iter().any(is_open)) {
            unit.tell_whole_settled(first);
        }
        Ok(())
    }

    /// The subscriptions whose next period is billed with that one's, itself among them, in the order of their ids.
    fn due_with(&self, unit: &Unit, index: usize) -> Vec<usize> {
        let one = &self.cases[index].subscription;
        let zone = unit.profile.zone;
        let Some(wanted) = Together::of(one, zone) else { return vec![index] };
        let joins = |other: &usize| {
            let case = &self.cases[*other];
            *other == index
                || (case.open.iter().all(Invoice::is_carried)
                    && case.subscription.account == one.account
                    && Together::of(&case.subscription, zone) == Some(wanted))
        };
        let all: Vec<usize> = (0..self.cases.len()).filter(joins).collect();
        let mut invoices = all.chunks(PARTS_MAX);
        invoices.find(|members| members.contains(&index)).map_or(vec![index], <[usize]>::to_vec)
    }

    /// The subscriptions with an open part of the group, in the order of the parts, and those parts.
    fn open_parts(&self, group: InvoiceId) -> Vec<(usize, Invoice)> {
        let mut open: Vec<(usize, Invoice)> = Vec::new();
        for (index, case) in self.cases.iter().enumerate() {
            let parts = case.open.iter().filter(|invoice| invoice.part.is_some_and(|part| part.group == group));
            open.extend(parts.map(|part| (index, part.clone())));
        }
        open.sort_by_key(|(_, part)| part.part.map(|part| part.number));
        open
    }

    /// Asks for one charge of a saved method for all that is open of the group, together with what was carried forward.
    fn charge(
        &mut self,
        unit: &mut Unit,
        index: usize,
        group: InvoiceId,
        method: PaymentMethodId,
    ) -> Result<(), UnitError> {
        let open = self.open_parts(group);
        let Some((_, own)) = open.iter().find(|(member, _)| *member == index) else { return Ok(()) };
        let mut shares = Vec::new();
        for (member, part) in &open {
            shares.extend(self.cases[*member].carried(part)?);
            shares.push(Share { invoice: part.id, amount: part.remaining()? });
        }
        let amount = Money::sum(own.totals.total.currency, shares.iter().map(|share| share.amount))?;
        unit.attempts.push(AttemptRequest {
            invoice: own.id,
            account: own.account,
            subscription: own.subscription,
            amount,
            kind: AttemptKind::OffSession { method },
            shares: if shares.len() > 1 { shares } else { Vec::new() },
        });
        let members: Vec<usize> = open.iter().map(|(member, _)| *member).collect();
        self.change(unit, &members, |unit, case| {
            for part in case.open.iter_mut().filter(|part| part.part.is_some_and(|part| part.group == group)) {
                part.charges_made += 1;
                case.standings.insert(part.id, Standing::InFlight);
                case.facts.notes.entry(part.id).or_default().charged_at = Some(unit.now);
            }
            Ok(())
        })
    }

    /// Tells the customer once of all that is open of the group.
    fn remind(&mut self, unit: &mut Unit, group: InvoiceId, step: u32) -> Result<(), UnitError> {
        let open = self.open_parts(group);
        let members: Vec<usize> = open.iter().map(|(member, _)| *member).collect();
        let parts: Vec<Invoice> =
            self.parts.iter().filter(|part| part.part.is_some_and(|part| part.group == group)).cloned().collect();
        let whole = consolidated::view(parts)?.filter(|whole| whole.state == invoice::State::Open);
        let by = |channel| members.iter().any(|member| self.cases[*member].channels_of(step).contains(&channel));
        let (is_mailed, is_shown) = (by(Channel::Mail), by(Channel::InApp));
        let plan_name = whole.as_ref().map(|whole| consolidated::plan_names(&whole.parts)).unwrap_or_default();
        self.change(unit, &members, |unit, case| {
            let subscription = case.subscription.id;
            for part in case.open.iter_mut().filter(|part| part.part.is_some_and(|part| part.group == group)) {
                part.reminders_done = step;
                if is_shown {
                    // Shown once for all: any of them may be paid or taken back first.
                    let (invoice, plan_name) = (part.id, plan_name.clone());
                    unit.notices.push(Notice { invoice, step, subscription, plan_name, shown_from: unit.now });
                }
            }
            case.facts.contacted_at = Some(unit.now);
            Ok(())
        })?;
        if let Some(whole) = whole {
            unit.tell(publish::reminder_due(unit.brand, &whole, step, is_mailed, unit.now));
        }
        Ok(())
    }
}
