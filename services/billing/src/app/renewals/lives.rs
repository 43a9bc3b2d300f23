//! Random lives of customers, through the decisions of production and without a database.
//!
//! A life is a list of deeds: the scheduler takes the next step (in time or late), the customer orders, pays, pays a part, tops
//! the wallet up, renews early, cancels, resumes, pauses, changes the plan, its options and add-ons. After every deed the books, invoices and periods
//! must be as they always have to be. A life that fails is shrunk to the deeds that matter. Half of the customers get consolidated
//! invoices, and half of those a tax that is rounded on the total.
//!
//! `OTTERY_LIVES_STEPS` says how many deeds there are together (100 000 unless it does): a million takes some minutes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use ottery_kernel::{
    AccountId, AnchorDay, AnchorRule, BrandId, ChangePolicy, ChangeTiming, Currency, EntityId, InvoiceId, LateRenewal,
    Money, PlanId, PriceId, SubscriptionId, Term,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::batch::take;
use super::together::{Account as Together, group_of};
use super::{Means, issue};
use crate::app::change::offered;
use crate::app::order::{Place, draft, draft_of, new_subscription, number_draft, start_trial};
use crate::app::schedule::{Case, Facts};
use crate::app::unit::{Decided, Unit, UnitError};
use crate::config::tests::defaults;
use crate::domain::addon::Product;
use crate::domain::addon::tests::sport;
use crate::domain::address::Source;
use crate::domain::consolidated;
use crate::domain::coupon::{Benefit, Coupon, Lasting, Redeemed};
use crate::domain::dunning::{Settings, Step};
use crate::domain::invoice::{Buyer, Invoice, Purpose, State as InvoiceState};
use crate::domain::ledger::{self, Account, Booking};
use crate::domain::line::{Line, Totals};
use crate::domain::offer::Offer;
use crate::domain::option::tests::{quantity, with_options};
use crate::domain::profile::{Entity, Profile};
use crate::domain::proration::Effect;
use crate::domain::quote::{Asked, Quote};
use crate::domain::rules::InvoiceRules;
use crate::domain::subscription::{Command, State, Subscription, SuspendCause};
use crate::domain::tax::{Round, Settings as TaxSettings, inside};
use crate::domain::wallet::Purse;
use crate::store::customer::Customer;
use crate::store::quote::Stored;

const STEPS_VARIABLE: &str = "OTTERY_LIVES_STEPS";
const STEPS: u64 = 100_000;
/// Lives between two looks at how many deeds there were.
const LIVES: u32 = 100;
/// Deeds of one life: some years of a customer with three monthly subscriptions.
const DEEDS: usize = 250;
const SUBSCRIPTIONS_MAX: usize = 3;

/// Something that happens; numbers choose among what is possible then.
#[derive(Clone, Debug)]
enum Deed {
    Order {
        offer: u8,
        streams: u8,
        addon: bool,
        coupon: Option<u8>,
        trial: bool,
    },
    /// The scheduler takes the next step, so many hours late.
    Step {
        which: u8,
        late_hours: u16,
    },
    Pay {
        which: u8,
        part: u8,
    },
    TopUp {
        minor: i64,
    },
    RenewEarly {
        which: u8,
    },
    Cancel {
        which: u8,
    },
    Resume {
        which: u8,
    },
    Pause {
        which: u8,
    },
    TakeUp {
        which: u8,
    },
    Suspend {
        which: u8,
    },
    Change {
        which: u8,
        offer: u8,
    },
    /// Other quantities of the plan there is.
    Choose {
        which: u8,
        streams: u8,
        lock: bool,
    },
    /// Adds the add-on, or takes it away when it is there.
    AddOn {
        which: u8,
    },
}

/// How somebody is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bills {
    /// An invoice for each subscription.
    Apart,
    /// One for what is due on a day.
    Together,
    /// The same, of a seller who rounds tax on the total.
    TogetherOnTotal,
}

fn bills() -> impl Strategy<Value = Bills> {
    prop_oneof![2 => Just(Bills::Apart), 1 => Just(Bills::Together), 1 => Just(Bills::TogetherOnTotal)]
}

fn deed() -> impl Strategy<Value = Deed> {
    let which = any::<u8>();
    prop_oneof![
        2 => (any::<u8>(), any::<u8>(), any::<bool>(), proptest::option::weighted(0.4, any::<u8>()), any::<bool>())
            .prop_map(|(offer, streams, addon, coupon, trial)| Deed::Order { offer, streams, addon, coupon, trial }),
        24 => (which, prop_oneof![6 => Just(0), 1 => 0_u16..2_400])
            .prop_map(|(which, late_hours)| Deed::Step { which, late_hours }),
        12 => (which, prop_oneof![4 => Just(100), 1 => 1_u8..100]).prop_map(|(which, part)| Deed::Pay { which, part }),
        2 => (1_i64..6_000).prop_map(|minor| Deed::TopUp { minor }),
        2 => which.prop_map(|which| Deed::RenewEarly { which }),
        1 => which.prop_map(|which| Deed::Cancel { which }),
        2 => which.prop_map(|which| Deed::Resume { which }),
        1 => which.prop_map(|which| Deed::Pause { which }),
        2 => which.prop_map(|which| Deed::TakeUp { which }),
        1 => which.prop_map(|which| Deed::Suspend { which }),
        3 => (which, any::<u8>()).prop_map(|(which, offer)| Deed::Change { which, offer }),
        3 => (which, any::<u8>(), any::<bool>()).prop_map(|(which, streams, lock)| Deed::Choose { which, streams, lock }),
        2 => which.prop_map(|which| Deed::AddOn { which }),
    ]
}

struct Life {
    now: DateTime<Utc>,
    settings: Settings,
    profile: Profile,
    customer: Customer,
    cases: Vec<Case>,
    invoices: HashMap<InvoiceId, Invoice>,
    /// Debits less credits.
    books: BTreeMap<(Account, Currency), i64>,
    credited: HashMap<SubscriptionId, i64>,
    /// Invoices that changed since they were looked at.
    changed: Vec<InvoiceId>,
    /// Invoices whose time was not over when a change began a new period: it was given back, so that its days may be billed anew.
    given_back: BTreeSet<InvoiceId>,
    deeds: u64,
}

impl Life {
    fn new(bills: Bills) -> Self {
        // Shortly before the end of a month, in a zone that changes its clocks.
        let now = Utc.with_ymd_and_hms(2027, 1, 30, 22, 17, 5).unwrap();
        let buyer = Buyer {
            name: "Ada".into(),
            email: "ada@example.com".into(),
            country: "DE".into(),
            locale: "en".into(),
            address: None,
        };
        let mut profile = profile(now);
        if bills == Bills::TogetherOnTotal {
            profile.entity.tax.round = Round::Total;
        }
        let is_together = bills != Bills::Apart;
        let mut life = Self {
            now,
            settings: defaults().dunning(&profile),
            profile,
            customer: Customer {
                account: AccountId::new(now),
                buyer,
                source: Source::Order,
                standing: None,
                referral_code: String::new(),
                first_settled_at: None,
                consolidated: Some(is_together),
            },
            cases: Vec::new(),
            invoices: HashMap::new(),
            books: BTreeMap::new(),
            credited: HashMap::new(),
            changed: Vec::new(),
            given_back: BTreeSet::new(),
            deeds: 0,
        };
        if is_together {
            // Begun on one day, which random lives seldom do.
            for offer in [0, 4, 8] {
                life.live(&Deed::Order { offer, streams: 0, addon: offer == 4, coupon: None, trial: false });
                life.live(&Deed::Pay { which: offer / 4, part: 100 });
                life.check();
            }
        }
        life
    }

    fn unit(&self) -> Unit {
        let mut unit = Unit::new(self.profile.brand, self.profile.clone(), self.now);
        unit.know([self.customer.clone()]);
        unit
    }

    fn means(&self) -> Means {
        let account = self.customer.account;
        let wallets = self.books.iter().filter_map(|((code, currency), net)| {
            let purse = Purse { paid: Money::new(-net, *currency), credits: Vec::new() };
            (*code == Account::Wallet(account)).then_some(((account, *currency), purse))
        });
        Means { wallets: wallets.collect() }
    }

    /// Chooses a case, if there is any.
    fn choose(&self, which: u8) -> Option<usize> {
        (!self.cases.is_empty()).then(|| usize::from(which) % self.cases.len())
    }

    /// What a transaction would write, written.
    fn write(&mut self, unit: Unit) {
        let Decided { new_invoices, changed_invoices, transfers, allocations, released, first_settled } =
            unit.decided();
        for mut invoice in new_invoices {
            invoice.paid.minor = 0;
            self.changed.push(invoice.id);
            self.invoices.insert(invoice.id, invoice);
        }
        for invoice in changed_invoices {
            let paid = self.invoices[&invoice.id].paid;
            self.changed.push(invoice.id);
            self.invoices.insert(invoice.id, Invoice { paid, ..invoice });
        }
        for allocation in allocations {
            // What is paid is what was allocated, not what somebody says.
            self.invoices.get_mut(&allocation.invoice).unwrap().paid.minor += allocation.amount.minor;
        }
        for transfer in transfers {
            self.book(transfer.debit, transfer.credit, transfer.amount);
        }
        for id in released {
            // Nothing but the wallet had paid, and nobody grants credit here.
            let invoice = self.invoices.get_mut(&id).unwrap();
            let (account, nothing) = (invoice.account, Money::zero(invoice.paid.currency));
            let amount = std::mem::replace(&mut invoice.paid, nothing);
            self.book(Account::Receivable(account), Account::Wallet(account), amount);
        }
        self.give_back();
        if !first_settled.is_empty() {
            assert_eq!(self.customer.first_settled_at, None, "somebody is new only once");
            self.customer.first_settled_at = Some(self.now);
        }
    }

    fn give_back(&mut self) {
        let restarts = |invoice: &&Invoice| {
            invoice.purpose == Purpose::Upgrade && invoice.state == InvoiceState::Closed && invoice.period.is_some()
        };
        let restarted: BTreeSet<_> = self
            .changed
            .iter()
            .map(|id| &self.invoices[id])
            .filter(restarts)
            .map(|invoice| invoice.subscription)
            .collect();
        let is_left = |invoice: &&Invoice| {
            invoice.purpose != Purpose::Upgrade && invoice.period.is_some_and(|period| period.end() > self.now)
        };
        let left = self.invoices.values().filter(|invoice| restarted.contains(&invoice.subscription)).filter(is_left);
        self.given_back.extend(left.map(|invoice| invoice.id));
    }

    fn book(&mut self, debit: Account, credit: Account, amount: Money) {
        *self.books.entry((debit, amount.currency)).or_default() += amount.minor;
        *self.books.entry((credit, amount.currency)).or_default() -= amount.minor;
    }

    fn booking(&mut self, booking: Booking) {
        for transfer in booking.into_transfers() {
            self.book(transfer.debit, transfer.credit, transfer.amount);
        }
    }

    /// Does it when it is possible; whether it was.
    fn live(&mut self, deed: &Deed) -> bool {
        let done = match *deed {
            Deed::Order { offer, streams, addon, coupon, trial } => {
                let offer = offer_of(offer, streams, addon);
                self.order(offer, coupon, trial)
            }
            Deed::Step { which, late_hours } => self.step(which, late_hours),
            Deed::Pay { which, part } => self.pay(which, part),
            Deed::TopUp { minor } => {
                let (account, amount) = (self.customer.account, Money::new(minor, Currency::EUR));
                self.book(Account::Provider("sandbox".into()), Account::Wallet(account), amount);
                true
            }
            Deed::RenewEarly { which } => self.renew_early(which),
            Deed::Cancel { which } => self.cancel(which),
            Deed::Resume { which } => self.change_case(which, |life, case, unit| {
                let before = case.subscription.clone();
                let is_cancelled =
                    before.cancel_at.is_some() && !before.state.has_ended() && life.now < before.cancel_at?;
                is_cancelled.then(|| {
                    case.subscription.cancel_at = None;
                    unit.touch(&before, &mut case.subscription, "resumed")
                })
            }),
            Deed::Pause { which } => self.change_case(which, |life, case, unit| {
                let before = case.subscription.clone();
                let may = before.state == State::Active && before.cancel_at.is_none() && case.open.is_empty();
                may.then(|| {
                    case.subscription.pause(Some(life.now + TimeDelta::days(20)), life.now)?;
                    unit.touch(&before, &mut case.subscription, "paused")
                })
            }),
            Deed::TakeUp { which } => self.change_case(which, |life, case, unit| {
                let before = case.subscription.clone();
                let command = match before.state {
                    State::Paused => Command::Unpause,
                    State::Suspended { cause: SuspendCause::Staff } => Command::Lift {
                        is_paid: before.calendar.pause.is_some()
                            || before.paid_through.is_some_and(|end| end > life.now),
                        grace_until: life.now + life.profile.grace(),
                    },
                    _ => return None,
                };
                Some((|| {
                    case.subscription.apply(command, life.now)?;
                    case.subscription.take_up(life.now)?;
                    unit.touch(&before, &mut case.subscription, "taken_up")
                })())
            }),
            Deed::Suspend { which } => self.change_case(which, |life, case, unit| {
                let before = case.subscription.clone();
                let runs = matches!(before.state, State::Active | State::PastDue { .. } | State::Paused);
                runs.then(|| {
                    case.subscription.apply(Command::Suspend(SuspendCause::Staff), life.now)?;
                    unit.touch(&before, &mut case.subscription, "staff")
                })
            }),
            Deed::Change { which, offer } => self.change(which, |own| {
                let to = self::offer(offer);
                Some(if to.price_id == own.price_id { own.clone() } else { to.keeping(own) })
            }),
            Deed::Choose { which, streams, lock } => self.change(which, |own| choose(own.clone(), streams, lock)),
            Deed::AddOn { which } => self.change(which, |own| {
                let product = addon();
                match own.clone().dropping(product.plan_id) {
                    Ok(without) => Some(without),
                    Err(_) => Some(own.clone().adding(product.on(own, "family").ok()?).unwrap()),
                }
            }),
        };
        self.deeds += u64::from(done);
        done
    }

    fn change_case(
        &mut self,
        which: u8,
        change: impl FnOnce(&Self, &mut Case, &mut Unit) -> Option<Result<(), UnitError>>,
    ) -> bool {
        let Some(place) = self.choose(which) else { return false };
        let (mut unit, mut case) = (self.unit(), self.cases[place].clone());
        let Some(outcome) = change(self, &mut case, &mut unit) else { return false };
        outcome.unwrap();
        self.write(unit);
        self.cases[place] = case;
        true
    }

    fn order(&mut self, offer: Offer, coupon: Option<u8>, trial: bool) -> bool {
        if self.cases.len() >= SUBSCRIPTIONS_MAX {
            self.cases.retain(|case| !case.subscription.state.has_ended());
        }
        if self.cases.len() >= SUBSCRIPTIONS_MAX {
            return false;
        }
        let coupon = coupon.map(self::coupon);
        let asked = Asked { currency: None, trial: trial && offer.trial_days > 0, coupon: coupon.as_ref() };
        let sold = &self.profile.currencies;
        let taxed = self.unit().tax(self.customer.account, &offer);
        let Ok(quote) = Quote::price(&offer, asked, sold, &taxed, self.profile.zone, self.now) else { return false };
        let preview = quote.due_now;
        let place = Place {
            quote: Uuid::nil(),
            account: self.customer.account,
            buyer: self.customer.buyer.clone(),
            referral_code: String::new(),
            return_url: String::new(),
            cancel_url: String::new(),
            save_method: false,
            chosen: None,
            coupon: String::new(),
            visit: None,
        };
        let quote = Stored { id: Uuid::nil(), account: None, offer, quote, country: "DE".into(), vat_until: None };
        let redeemed = coupon.map(|coupon| Redeemed { redemption: Uuid::now_v7(), coupon, periods_used: 0 });
        let order = ottery_kernel::OrderId::new(self.now);
        let mut subscription = new_subscription(&place, &quote, order, redeemed, self.now);
        let mut unit = self.unit();
        let mut open = Vec::new();
        if quote.quote.is_trial {
            start_trial(&mut unit, &mut subscription, quote.quote.trial_days).unwrap();
        } else {
            let mut invoice = draft_of(&self.profile, place.buyer, &quote, &subscription, self.now).unwrap();
            assert_eq!(invoice.totals.total, preview, "an order is charged what its quote said");
            number_draft(&mut invoice, None, self.now).unwrap();
            unit.issue(&invoice).unwrap();
            unit.settle_if_paid(&mut invoice, Some(&mut subscription), None).unwrap();
            unit.keep_new(invoice.clone());
            open.extend(Some(invoice).filter(|invoice| invoice.state == InvoiceState::Open));
        }
        self.write(unit);
        self.cases.push(Case { subscription, open, standings: HashMap::new(), facts: Facts::default() });
        true
    }

    fn step(&mut self, which: u8, late_hours: u16) -> bool {
        let Some(place) = self.choose(which) else { return false };
        let Some((at, _)) = self.cases[place].next(&self.settings, self.now) else { return false };
        self.now = self.now.max(at + TimeDelta::hours(late_hours.into()));
        // What the others have to do by then comes first or later; each looks at its own.
        let (_, step) = self.cases[place].next(&self.settings, self.now).unwrap();
        let group = group_of(&self.cases[place], step);
        if group.is_some() || (step == Step::IssueInvoice && self.customer.consolidated == Some(true)) {
            self.step_together(place, step, group);
            return true;
        }
        let (mut unit, mut means, mut case) = (self.unit(), self.means(), self.cases[place].clone());
        let before = case.subscription.clone();
        let (preview, with_setup) = (before.renewal_price().unwrap(), before.is_setup_due);
        let known: BTreeSet<InvoiceId> = case.open.iter().map(|invoice| invoice.id).collect();
        unit.attempt(|unit| take(unit, &mut case, step, &mut means)).unwrap();
        self.write(unit);
        self.cases[place] = case;
        if step == Step::IssueInvoice {
            let new = self.newest_of(before.id, &known);
            assert_eq!(
                new.period.unwrap().start(),
                before.paid_through.unwrap(),
                "renewals go on where the paid time ends"
            );
            if !with_setup {
                assert_eq!(new.totals.total, preview, "a renewal costs what was shown before");
            }
        }
        true
    }

    /// A step that is taken for several subscriptions at once, as their customer's transaction does.
    fn step_together(&mut self, place: usize, step: Step, group: Option<InvoiceId>) {
        let (mut unit, mut means) = (self.unit(), self.means());
        let before: Vec<Subscription> = self.cases.iter().map(|case| case.subscription.clone()).collect();
        let known: BTreeSet<InvoiceId> = self.invoices.keys().copied().collect();
        let parts = group.map(|group| self.parts_of(group)).unwrap_or_default();
        let mut account = Together::new(self.cases.clone(), parts);
        unit.attempt(|unit| account.perform(unit, place, step, &mut means)).unwrap();
        self.write(unit);
        self.cases = account.cases;
        for new in self.invoices.values().filter(|invoice| !known.contains(&invoice.id)) {
            let before = before.iter().find(|before| new.subscription == Some(before.id)).unwrap();
            assert_eq!(
                new.period.unwrap().start(),
                before.paid_through.unwrap(),
                "renewals go on where the paid time ends"
            );
            if !before.is_setup_due {
                let preview = before.renewal_price().unwrap();
                assert_eq!(new.totals.total, preview, "a part costs what was shown before");
            }
        }
    }

    /// The parts of a consolidated invoice, in their order.
    fn parts_of(&self, group: InvoiceId) -> Vec<Invoice> {
        let is_ours = |invoice: &&Invoice| invoice.part.is_some_and(|part| part.group == group);
        let mut parts: Vec<Invoice> = self.invoices.values().filter(is_ours).cloned().collect();
        parts.sort_by_key(|part| part.part.map(|part| part.number));
        parts
    }

    fn newest_of(&self, id: SubscriptionId, known: &BTreeSet<InvoiceId>) -> &Invoice {
        let new =
            self.invoices.values().filter(|invoice| invoice.subscription == Some(id) && !known.contains(&invoice.id));
        new.max_by_key(|invoice| invoice.id).unwrap()
    }

    /// Pays an open invoice, or so many hundredths of what is left of it, as a settled payment does.
    fn pay(&mut self, which: u8, part: u8) -> bool {
        let Some(place) = self.choose(which) else { return false };
        let mut case = self.cases[place].clone();
        let Some(invoice) = case.open.first_mut() else { return false };
        if let Some(part_of) = invoice.part {
            self.pay_whole(part_of.group, part);
            return true;
        }
        let left = invoice.remaining().unwrap();
        let amount = Money::new((left.minor * i64::from(part) / 100).max(1), left.currency);
        let mut unit = self.unit();
        let payment = ottery_kernel::PaymentId::new(self.now);
        let booking = unit
            .booking(invoice, "payment.settled", payment)
            .post(Account::Provider("sandbox".into()), Account::Receivable(invoice.account), amount)
            .unwrap();
        unit.book(booking);
        unit.allocate(invoice, "payment", payment.to_string(), amount).unwrap();
        unit.settle_if_paid(invoice, Some(&mut case.subscription), Some(payment)).unwrap();
        unit.keep_invoice(invoice.clone());
        case.open.retain(|invoice| invoice.state == InvoiceState::Open);
        self.write(unit);
        self.cases[place] = case;
        true
    }

    /// Pays so many hundredths of what is left of a consolidated invoice: its parts in their order.
    fn pay_whole(&mut self, group: InvoiceId, part: u8) {
        let mut cases = self.cases.clone();
        let is_ours = |invoice: &Invoice| invoice.part.is_some_and(|part| part.group == group);
        let mut open: Vec<_> = cases
            .iter_mut()
            .flat_map(|case| {
                let Case { subscription, open, .. } = case;
                // One subscription has one part of a group.
                open.iter_mut().find(|invoice| is_ours(invoice)).map(|invoice| (subscription, invoice))
            })
            .collect();
        open.sort_by_key(|(_, invoice)| invoice.part.map(|part| part.number));
        let left: i64 = open.iter().map(|(_, invoice)| invoice.remaining().unwrap().minor).sum();
        let mut money = (left * i64::from(part) / 100).max(1);
        let mut unit = self.unit();
        let payment = ottery_kernel::PaymentId::new(self.now);
        for (subscription, invoice) in open {
            let own = invoice.remaining().unwrap();
            let amount = Money::new(own.minor.min(money), own.currency);
            if amount.is_zero() {
                break;
            }
            money -= amount.minor;
            let booking = unit
                .booking(invoice, "payment.settled", payment)
                .post(Account::Provider("sandbox".into()), Account::Receivable(invoice.account), amount)
                .unwrap();
            unit.book(booking);
            unit.allocate(invoice, "payment", payment.to_string(), amount).unwrap();
            unit.settle_if_paid(invoice, Some(subscription), Some(payment)).unwrap();
            unit.keep_invoice(invoice.clone());
        }
        for case in &mut cases {
            case.open.retain(|invoice| invoice.state == InvoiceState::Open);
        }
        self.write(unit);
        self.cases = cases;
    }

    fn renew_early(&mut self, which: u8) -> bool {
        let Some(place) = self.choose(which) else { return false };
        let (mut unit, mut means, mut case) = (self.unit(), self.means(), self.cases[place].clone());
        let is_possible = case.subscription.state == State::Active
            && case.subscription.cancel_at.is_none()
            && case.period_invoice().is_none()
            && case.open.iter().all(|invoice| invoice.purpose != Purpose::Upgrade);
        if !is_possible {
            return false;
        }
        issue(&mut unit, &mut case, &mut means).unwrap();
        self.write(unit);
        self.cases[place] = case;
        true
    }

    fn cancel(&mut self, which: u8) -> bool {
        self.change_case(which, |life, case, unit| {
            let before = case.subscription.clone();
            let paid_through = before.paid_through.filter(|end| *end > life.now)?;
            let runs = matches!(before.state, State::Trialing | State::Active | State::PastDue { .. });
            (runs && before.cancel_at.is_none()).then(|| {
                case.subscription.cancel_at = Some(paid_through);
                for invoice in &mut case.open {
                    unit.withdraw(invoice)?;
                    unit.keep_invoice(invoice.clone());
                }
                case.open.retain(|invoice| invoice.state == InvoiceState::Open);
                unit.touch(&before, &mut case.subscription, "cancel_scheduled")
            })
        })
    }

    fn change(&mut self, which: u8, to: impl FnOnce(&Offer) -> Option<Offer>) -> bool {
        let Some(place) = self.choose(which) else { return false };
        let (mut unit, means, mut case) = (self.unit(), self.means(), self.cases[place].clone());
        let Some(to) = to(&case.subscription.offer) else { return false };
        let Ok(offered) = offered(&case, &unit, &to, None, None) else { return false };
        let before = case.subscription.clone();
        let change = offered.change.clone();
        let paid = self.paid_of(before.id) - self.credited.get(&before.id).copied().unwrap_or_default();
        let given = change.unused_credit.minor;
        // The part that a refund or an earlier credit took is left out by the caller, under lock.
        let credit = Money::new(change.credit.minor.min(paid), change.credit.currency);
        assert!(given == 0 || given <= self.paid_of(before.id), "{given} is credited, {paid} was paid");
        let gives_way =
            |invoice: &&mut Invoice| invoice.purpose == Purpose::Upgrade || Some(invoice.id) == offered.repriced;
        for invoice in case.open.iter_mut().filter(gives_way) {
            unit.withdraw(invoice).unwrap();
            unit.keep_invoice(invoice.clone());
        }
        case.open.retain(|invoice| invoice.state == InvoiceState::Open);
        match change.effect {
            Effect::AtRenewal => {
                case.subscription.next_offer = (!to.buys_the_same(&before.offer)).then_some(to);
                unit.touch(&before, &mut case.subscription, "change_scheduled").unwrap();
            }
            Effect::Now if offered.lines.is_empty() => {
                case.subscription.is_setup_due |= before.state == State::Trialing && to.has_setup();
                case.subscription.take_offer(to);
                let running = case.subscription.period.map(|period| period.start());
                case.subscription.discounts.settle(&offered.applied, None, running);
                unit.touch(&before, &mut case.subscription, "changed").unwrap();
            }
            Effect::Now | Effect::NowRestarting => {
                let buyer = self.customer.buyer.clone();
                let mut invoice = draft(&self.profile, buyer, &before, Purpose::Upgrade, self.now);
                invoice.totals = Totals::of(to.price.currency, &offered.lines).unwrap();
                invoice.lines = offered.lines;
                let shown = (&before, &change, &invoice.lines);
                assert_eq!(invoice.totals.total, change.due_now, "a change is charged what was shown: {shown:#?}");
                (invoice.snapshot.offer, invoice.snapshot.applied) = (Some(to), offered.applied);
                invoice.period = change.first.map(|first| first.period);
                invoice.due_at = Some(self.now);
                number_draft(&mut invoice, None, self.now).unwrap();
                unit.issue(&invoice).unwrap();
                let wallet = (invoice.account, invoice.totals.total.currency);
                if let Some(purse) = means.wallets.get(&wallet) {
                    unit.pay_from_wallet(&mut invoice, purse).unwrap();
                }
                unit.settle_if_paid(&mut invoice, Some(&mut case.subscription), None).unwrap();
                unit.keep_new(invoice.clone());
                case.open.extend(Some(invoice).filter(|invoice| invoice.state == InvoiceState::Open));
            }
        }
        self.write(unit);
        self.cases[place] = case;
        if credit.is_positive() {
            let account = self.customer.account;
            let tax = inside(credit, self.profile.tax_rate_bp).unwrap();
            let net = credit.checked_sub(tax).unwrap();
            let booking = Booking::new(self.profile.entity.id, "credit_note.issued", "note", self.now);
            self.booking(ledger::credit_note_issued(booking, account, net, tax).unwrap());
            self.book(Account::Receivable(account), Account::Wallet(account), credit);
            *self.credited.entry(before.id).or_default() += credit.minor;
        }
        true
    }

    fn paid_of(&self, id: SubscriptionId) -> i64 {
        let own = self.invoices.values().filter(|invoice| invoice.subscription == Some(id));
        own.map(|invoice| invoice.paid.minor).sum()
    }

    /// What must be true after every deed, of what it touched.
    fn check(&mut self) {
        let mut sums: BTreeMap<Currency, i64> = BTreeMap::new();
        for ((account, currency), net) in &self.books {
            *sums.entry(*currency).or_default() += net;
            assert!(!matches!(account, Account::Wallet(_)) || *net <= 0, "a wallet is overdrawn by {net}");
        }
        assert!(sums.values().all(|sum| *sum == 0), "the books differ by {sums:?}");
        let mut groups = BTreeSet::new();
        for id in std::mem::take(&mut self.changed) {
            let invoice = &self.invoices[&id];
            sound(invoice);
            groups.extend(invoice.part.map(|part| part.group));
        }
        for group in groups {
            self.check_whole(group);
        }
        for case in &self.cases {
            let subscription = &case.subscription;
            let paid = &subscription.calendar.paid;
            assert!(
                paid.windows(2).all(|pair| pair[0].period.end() == pair[1].period.start()),
                "paid time has a hole or overlaps: {paid:?}"
            );
            if let Some(last) = paid.last() {
                assert_eq!(Some(last.period.end()), subscription.paid_through, "{subscription:#?}");
            }
            for open in &case.open {
                let kept = &self.invoices[&open.id];
                assert_eq!((open.state, open.paid), (kept.state, kept.paid), "the case is as the rows are");
            }
        }
    }

    /// What a consolidated invoice says adds up, and its parts fit.
    fn check_whole(&self, group: InvoiceId) {
        let parts = self.parts_of(group);
        let numbers: Vec<u32> = parts.iter().filter_map(|part| part.part.map(|part| part.number)).collect();
        assert!(numbers.len() > 1 && numbers.iter().copied().eq((1..).take(numbers.len())), "{numbers:?}");
        let subscriptions: BTreeSet<_> = parts.iter().map(|part| part.subscription).collect();
        assert_eq!(subscriptions.len(), parts.len(), "a subscription is billed once");
        assert!(parts.iter().all(|part| part.due_at == parts[0].due_at), "all are due together: {parts:#?}");
        let total: i64 = parts.iter().map(|part| part.totals.total.minor).sum();
        let open: i64 = parts
            .iter()
            .filter(|part| part.state == InvoiceState::Open)
            .map(|part| part.remaining().unwrap().minor)
            .sum();
        let whole = consolidated::view(parts).unwrap().unwrap();
        sound(&whole);
        assert_eq!(whole.totals.total.minor, total, "the whole is its parts");
        if whole.state == InvoiceState::Open {
            assert!(open <= whole.remaining().unwrap().minor, "what is given up is missing of the whole: {whole:#?}");
        } else {
            assert_eq!(open, 0, "{whole:#?}");
        }
        if self.profile.entity.tax.round == Round::Total {
            let mut by_rate: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
            for line in &whole.lines {
                let sum = by_rate.entry(line.tax_rate_bp).or_default();
                *sum = (sum.0 + line.amount.minor, sum.1 + line.tax.minor);
            }
            for (rate, (amount, tax)) in by_rate {
                let expected = inside(Money::new(amount, whole.totals.total.currency), rate).unwrap();
                assert_eq!(tax, expected.minor, "each rate is rounded once for all parts");
            }
        }
    }

    /// What must be true of the whole of it.
    fn look_back(&self) {
        let mut owed: BTreeMap<Currency, i64> = BTreeMap::new();
        let mut periods = BTreeSet::new();
        for invoice in self.invoices.values() {
            sound(invoice);
            let total = invoice.totals.total;
            if invoice.state == InvoiceState::Open {
                *owed.entry(total.currency).or_default() += total.minor - invoice.paid.minor;
            }
            if let (Purpose::First | Purpose::Renewal, Some(period)) = (invoice.purpose, invoice.period)
                && !matches!(invoice.state, InvoiceState::Void | InvoiceState::Uncollectible)
                && !self.given_back.contains(&invoice.id)
            {
                let is_new = periods.insert((invoice.subscription, period.start()));
                assert!(is_new, "a period is billed twice: {period:?}");
            }
        }
        for ((account, currency), net) in &self.books {
            if matches!(account, Account::Receivable(_)) {
                assert_eq!(*net, owed.get(currency).copied().unwrap_or_default(), "what is owed is what is open");
            }
        }
    }
}

/// What an invoice says adds up.
fn sound(invoice: &Invoice) {
    let Totals { subtotal, tax, total } = invoice.totals;
    let sum = |of: fn(&Line) -> i64| invoice.lines.iter().map(of).sum::<i64>();
    assert_eq!(total.minor, sum(|line| line.amount.minor), "an invoice is its lines");
    assert_eq!(tax.minor, sum(|line| line.tax.minor), "its tax is that of its lines");
    assert_eq!(subtotal.minor + tax.minor, total.minor);
    assert!(total.minor >= 0 && (0..=total.minor).contains(&invoice.paid.minor), "{invoice:#?}");
    assert_eq!(invoice.state == InvoiceState::Closed, invoice.closed_at.is_some());
}

fn profile(now: DateTime<Utc>) -> Profile {
    Profile {
        brand: BrandId::new(now),
        name: "Nordlicht TV".into(),
        entity: Entity {
            id: EntityId::new(now),
            name: "Nordlicht Medien GmbH".into(),
            address_lines: Vec::new(),
            country: "DE".into(),
            tax_id: String::new(),
            zone: Tz::Europe__Berlin,
            series: "INV".into(),
            email: String::new(),
            tax: TaxSettings::default(),
        },
        currencies: vec![Currency::EUR],
        zone: Tz::Europe__Berlin,
        grace_days: 3,
        terminate_after_days: 14,
        renewal_lead_hours: 72,
        reminder_hours: vec![-24, 24, 48],
        tax_rate_bp: 1900,
        tax_name: "VAT".into(),
        default_locale: "en".into(),
        support_email: String::new(),
        tokens: BTreeMap::new(),
        logo: String::new(),
        rules: InvoiceRules::default(),
        minimums: crate::domain::minimum::Minimums::default(),
    }
}

/// A handful of plans that differ in everything that matters to money.
fn offer(choice: u8) -> Offer {
    let terms = [Term::MONTH, Term::MONTH, Term::YEAR, Term::MONTH];
    let kind = usize::from(choice) % terms.len();
    let mut offer = with_options([1190, 1990, 9900, 333][kind], terms[kind]);
    offer.price_id = PriceId::from_uuid(Uuid::from_u128(u128::from(choice % 8) + 1));
    offer.setup_fee = (choice.is_multiple_of(3)).then(|| Money::new(500, Currency::EUR));
    offer.trial_days = u32::from(choice % 5);
    offer.anchor = match choice % 4 {
        1 => AnchorRule::Day(AnchorDay::try_new(31).unwrap()),
        _ => AnchorRule::Anniversary,
    };
    offer.late_renewal = if choice.is_multiple_of(7) { LateRenewal::FromPayment } else { LateRenewal::FromOldEnd };
    offer.changes = ChangePolicy {
        upgrade: ChangeTiming::ProrateNow,
        downgrade: if choice.is_multiple_of(2) { ChangeTiming::ProrateNow } else { ChangeTiming::AtRenewal },
        term: if choice.is_multiple_of(3) { ChangeTiming::FullPriceReset } else { ChangeTiming::ProrateNow },
    };
    offer
}

/// The same with so many streams and the add-on.
fn offer_of(choice: u8, streams: u8, has_addon: bool) -> Offer {
    let offer = choose(offer(choice), streams, choice.is_multiple_of(9)).unwrap();
    match addon().on(&offer, "family") {
        Ok(addon) if has_addon => offer.adding(addon).unwrap(),
        Ok(_) | Err(_) => offer,
    }
}

fn choose(offer: Offer, streams: u8, lock: bool) -> Option<Offer> {
    // Mostly what the plan includes.
    let streams = if streams < 128 { 2 } else { 2 + u32::from(streams % 5) };
    offer.choose(&[quantity("streams", streams), quantity("lock", u32::from(lock))]).ok()
}

/// Always the same one.
fn addon() -> Product {
    Product { plan_id: PlanId::from_uuid(Uuid::from_u128(99)), ..sport() }
}

fn coupon(choice: u8) -> Coupon {
    let benefit = match choice % 4 {
        0 => Benefit::Percent { bp: 10_000 },
        1 => Benefit::Percent { bp: 1_234 },
        2 => Benefit::Fixed { amounts: vec![Money::new(400, Currency::EUR)] },
        _ => Benefit::FreeSetup,
    };
    let lasting = match choice % 3 {
        0 => Lasting::Once,
        1 => Lasting::Periods { count: 3 },
        _ => Lasting::Forever,
    };
    Coupon { lasting, ..crate::domain::coupon::tests::coupon(benefit) }
}

#[test]
fn whatever_customers_do_the_books_balance_and_no_period_is_billed_twice_or_skipped() {
    let steps: u64 = std::env::var(STEPS_VARIABLE).ok().and_then(|steps| steps.parse().ok()).unwrap_or(STEPS);
    let (lived, consolidated) = (AtomicU64::new(0), AtomicU64::new(0));
    let config = ProptestConfig {
        cases: LIVES,
        max_shrink_iters: 4_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // What is not possible when its turn comes does not count, so nobody knows before how many lives it takes.
    while lived.load(Ordering::Relaxed) < steps {
        proptest!(config.clone(), |(bills in bills(), deeds in proptest::collection::vec(deed(), DEEDS))| {
            let mut life = Life::new(bills);
            for deed in &deeds {
                if life.live(deed) {
                    life.check();
                }
            }
            life.look_back();
            prop_assert!(life.deeds > 0, "nobody can do nothing all their life");
            let parts = life.invoices.values().filter(|invoice| invoice.part.is_some()).count() as u64;
            prop_assert!(bills != Bills::Apart || parts == 0);
            consolidated.fetch_add(parts, Ordering::Relaxed);
            lived.fetch_add(life.deeds, Ordering::Relaxed);
        });
    }
    // More than every customer's first one.
    let parts = consolidated.load(Ordering::Relaxed);
    assert!(parts * 100 > lived.load(Ordering::Relaxed), "{parts} parts of consolidated invoices");
}
