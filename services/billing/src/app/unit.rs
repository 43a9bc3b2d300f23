//! One transaction's worth of decisions: everything is decided first, purely, then written in sets.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use ottery_kernel::{
    AccountId, BrandId, CreditNoteId, InvoiceId, LateRenewal, Money, MoneyError, OrderId, PaymentId, Period,
    PeriodError, SubscriptionId,
};
use ottery_kit::grpc::Problem;
use ottery_kit::outbox::{self, Event};
use sqlx::postgres::PgTransaction;

use super::credit::credit_series;
use super::deferral::{self, Paid, Passing};
use super::order::proforma_series;
use super::tax::load_rules;
use super::{broken, wallet};
use crate::domain::calendar::Stretch;
use crate::domain::consolidated;
use crate::domain::coupon::Redeemed;
use crate::domain::deferral::{net_of_time, net_unused};
use crate::domain::entitlement;
use crate::domain::invoice::{self, Invoice, Part, Proforma, Purpose, number_year};
use crate::domain::ledger::{self, Account, Booking, LedgerError, Transfer};
use crate::domain::line::Totals;
use crate::domain::next_bill::BillError;
use crate::domain::offer::Offer;
use crate::domain::order;
use crate::domain::profile::Profile;
use crate::domain::rules::UnpaidAtEnd;
use crate::domain::subscription::{Command, EndCause, Refused, State, Subscription};
use crate::domain::tax::{Book, Decision};
use crate::domain::wallet::{Pocket, Purse, Taken};
use crate::events::publish;
use crate::store;
use crate::store::credit_note::CreditNote;
use crate::store::customer::Customer;
use crate::store::invoice::Allocation;
use crate::store::notice::Notice;
use crate::store::order::Order;
use crate::store::payment::AttemptRequest;

/// A decision that contradicts what is stored; always a defect.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// An amount that does not fit or has another currency.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// A date beyond the calendar.
    #[error(transparent)]
    Period(#[from] PeriodError),
    /// A bill that cannot be computed.
    #[error(transparent)]
    Bill(#[from] BillError),
    /// A booking that is none.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Something every subscription with periods has is missing.
    #[error("{0} has no anchor or no customer, so its next period cannot be billed")]
    Incomplete(SubscriptionId),
    /// A move of a subscription its state forbids.
    #[error(transparent)]
    Subscription(#[from] Refused),
    /// A move of an invoice its state forbids.
    #[error(transparent)]
    Invoice(#[from] invoice::Refused),
}

/// Something to tell. What names the number of an invoice is put into words when the number is known.
#[derive(Debug)]
enum Told {
    /// As it is.
    Event(Event),
    /// A new invoice was issued.
    Finalised(InvoiceId),
    /// Nothing is left to pay on a new invoice.
    Settled { invoice: InvoiceId, is_first: bool, payment: Option<PaymentId> },
    /// Nothing is left to pay on the new consolidated invoice this is a part of.
    WholeSettled(InvoiceId),
}

/// A credit note over the whole of a part that is taken back; its number is given when the unit is written.
#[derive(Clone, Debug)]
struct TakenBack {
    id: CreditNoteId,
    part: Invoice,
}

/// What the credit note of a part says that is not billed any more.
const TAKEN_BACK: &str = "Not renewed";

/// What one transaction will write.
#[derive(Debug)]
pub struct Unit {
    /// The brand it works in.
    pub brand: BrandId,
    /// The brand's settings.
    pub profile: Profile,
    /// The brand's present.
    pub now: DateTime<Utc>,
    taxes: Book,
    customers: HashMap<AccountId, Customer>,
    orders: HashMap<OrderId, Order>,
    /// As they were before.
    changed_orders: Vec<Order>,
    first_settled: Vec<AccountId>,
    new_invoices: Vec<Invoice>,
    changed_invoices: Vec<Invoice>,
    subscriptions: Vec<Subscription>,
    transfers: Vec<Transfer>,
    allocations: Vec<Allocation>,
    /// Charges to ask for.
    pub attempts: Vec<AttemptRequest>,
    withdrawn: Vec<InvoiceId>,
    /// Withdrawn invoices whose money goes back to the wallet.
    released: Vec<InvoiceId>,
    /// Parts of consolidated invoices that were withdrawn.
    taken_back: Vec<TakenBack>,
    passings: Vec<Passing>,
    given_back: Vec<Redeemed>,
    /// Orders that were given up: what they held of limited plans is free again.
    given_up: Vec<SubscriptionId>,
    /// What customers read in their accounts.
    pub notices: Vec<Notice>,
    told: Vec<Told>,
}

/// How much was decided at some moment.
struct Mark {
    changed_orders: usize,
    first_settled: usize,
    new_invoices: usize,
    changed_invoices: usize,
    subscriptions: usize,
    transfers: usize,
    allocations: usize,
    attempts: usize,
    withdrawn: usize,
    released: usize,
    taken_back: usize,
    passings: usize,
    given_back: usize,
    given_up: usize,
    notices: usize,
    told: usize,
}

impl Unit {
    /// Nothing decided yet.
    #[must_use]
    pub fn new(brand: BrandId, profile: Profile, now: DateTime<Utc>) -> Self {
        Self {
            brand,
            taxes: Book::new(&profile),
            profile,
            now,
            customers: HashMap::new(),
            orders: HashMap::new(),
            changed_orders: Vec::new(),
            first_settled: Vec::new(),
            new_invoices: Vec::new(),
            changed_invoices: Vec::new(),
            subscriptions: Vec::new(),
            transfers: Vec::new(),
            allocations: Vec::new(),
            attempts: Vec::new(),
            withdrawn: Vec::new(),
            released: Vec::new(),
            taken_back: Vec::new(),
            passings: Vec::new(),
            given_back: Vec::new(),
            given_up: Vec::new(),
            notices: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Decides something that stands alone: when it fails, nothing of it stays, and what was decided before does.
    ///
    /// # Errors
    /// What `decide` answers.
    pub fn attempt<T>(&mut self, decide: impl FnOnce(&mut Self) -> Result<T, UnitError>) -> Result<T, UnitError> {
        let mark = self.mark();
        let outcome = decide(self);
        if outcome.is_err() {
            self.rewind(&mark);
        }
        outcome
    }

    /// Named one by one, so that nothing that is ever added can be forgotten in [`Unit::rewind`].
    fn mark(&self) -> Mark {
        let Self {
            brand: _,
            profile: _,
            taxes: _,
            now: _,
            customers: _,
            orders: _,
            changed_orders,
            first_settled,
            new_invoices,
            changed_invoices,
            subscriptions,
            transfers,
            allocations,
            attempts,
            withdrawn,
            released,
            taken_back,
            passings,
            given_back,
            given_up,
            notices,
            told,
        } = self;
        Mark {
            changed_orders: changed_orders.len(),
            first_settled: first_settled.len(),
            new_invoices: new_invoices.len(),
            changed_invoices: changed_invoices.len(),
            subscriptions: subscriptions.len(),
            transfers: transfers.len(),
            allocations: allocations.len(),
            attempts: attempts.len(),
            withdrawn: withdrawn.len(),
            released: released.len(),
            taken_back: taken_back.len(),
            passings: passings.len(),
            given_back: given_back.len(),
            given_up: given_up.len(),
            notices: notices.len(),
            told: told.len(),
        }
    }

    fn rewind(&mut self, mark: &Mark) {
        for before in self.changed_orders.drain(mark.changed_orders..).rev() {
            self.orders.insert(before.id, before);
        }
        for account in self.first_settled.drain(mark.first_settled..) {
            if let Some(customer) = self.customers.get_mut(&account) {
                customer.first_settled_at = None;
            }
        }
        self.new_invoices.truncate(mark.new_invoices);
        self.changed_invoices.truncate(mark.changed_invoices);
        self.subscriptions.truncate(mark.subscriptions);
        self.transfers.truncate(mark.transfers);
        self.allocations.truncate(mark.allocations);
        self.attempts.truncate(mark.attempts);
        self.withdrawn.truncate(mark.withdrawn);
        self.released.truncate(mark.released);
        self.taken_back.truncate(mark.taken_back);
        self.passings.truncate(mark.passings);
        self.given_back.truncate(mark.given_back);
        self.given_up.truncate(mark.given_up);
        self.notices.truncate(mark.notices);
        self.told.truncate(mark.told);
    }

    /// Loads and locks the customers decisions are about.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lock_customers(&mut self, tx: &mut PgTransaction<'_>, accounts: &[AccountId]) -> sqlx::Result<()> {
        let found = store::customer::lock_all(tx, accounts).await?;
        load_rules(tx, self.brand, &mut self.taxes, found.iter().map(|customer| customer.taxed_as(self.now))).await?;
        self.know(found);
        Ok(())
    }

    /// Decisions may be about these customers.
    pub fn know(&mut self, customers: impl IntoIterator<Item = Customer>) {
        self.customers.extend(customers.into_iter().map(|customer| (customer.account, customer)));
    }

    /// Loads and locks the orders decisions may close.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lock_orders(&mut self, tx: &mut PgTransaction<'_>, orders: &[OrderId]) -> sqlx::Result<()> {
        let found = store::order::lock_all(tx, orders).await?;
        self.orders.extend(found.into_iter().map(|order| (order.id, order)));
        Ok(())
    }

    /// A customer that was locked.
    #[must_use]
    pub fn customer(&self, account: AccountId) -> Option<&Customer> {
        self.customers.get(&account)
    }

    /// How an offer is taxed for a customer that was locked; anybody else is taxed as at home.
    #[must_use]
    pub fn tax(&self, account: AccountId, offer: &Offer) -> Decision {
        let buyer = self.customers.get(&account).map(|customer| customer.taxed_as(self.now)).unwrap_or_default();
        self.taxes.decide_offer(&buyer, offer, self.now)
    }

    /// Tells one more event.
    pub fn tell(&mut self, event: Event) {
        self.told.push(Told::Event(event));
    }

    /// A booking of this moment, in the books of the entity that issued `invoice`.
    #[must_use]
    pub fn booking(&self, invoice: &Invoice, kind: &'static str, reference: impl ToString) -> Booking {
        Booking::new(invoice.snapshot.seller.id, kind, reference, self.now)
    }

    /// Books.
    pub fn book(&mut self, booking: Booking) {
        self.transfers.extend(booking.into_transfers());
    }

    /// Issues an invoice: books what is owed and tells it. One without a number gets it when the unit is written; it has
    /// to be new. Call [`Unit::settle_if_paid`] next.
    ///
    /// # Errors
    /// When a total is negative.
    pub fn issue(&mut self, invoice: &Invoice) -> Result<(), UnitError> {
        // A pro forma only asks: nothing is sold and nothing is owed yet.
        if !invoice.is_proforma() {
            self.book(self.sold(invoice)?);
        }
        let number = invoice.number.as_ref().or(invoice.proforma.as_ref().and_then(|asked| asked.number.as_ref()));
        match (number, invoice.part) {
            (Some(_), _) => self.tell(publish::invoice_finalised(self.brand, invoice, self.now)),
            // Of parts the whole is told, once.
            (None, Some(Part { number: 2.., .. })) => {}
            (None, _) => self.told.push(Told::Finalised(invoice.id)),
        }
        let unproved =
            self.customer(invoice.account).and_then(|customer| customer.unproved(self.now)).map(str::to_owned);
        if let Some(number) = unproved {
            let (buyer, decided) = (&invoice.snapshot.buyer, publish::Decided::Unanswered);
            self.tell(publish::vat_decided(self.brand, invoice.account, &number, decided, buyer, self.now));
        }
        Ok(())
    }

    /// Money comes for a pro forma: it becomes the invoice, of today and with an invoice's number, and is owed. Nothing happens
    /// to what is one already. Whoever calls holds its lock.
    ///
    /// # Errors
    /// When the database fails, or a total is negative.
    pub async fn make_invoice(&mut self, tx: &mut PgTransaction<'_>, invoice: &mut Invoice) -> Result<(), Problem> {
        if !invoice.is_proforma() {
            return Ok(());
        }
        let seller = &invoice.snapshot.seller;
        let year = number_year(self.now, seller.zone);
        invoice.number = store::number::take(tx, seller.id, &seller.series, year, 1).await?.pop();
        invoice.issued_at = Some(self.now);
        store::invoice::issue_proforma(tx, invoice).await?;
        self.book(self.sold(invoice).map_err(broken)?);
        Ok(())
    }

    /// What issuing an invoice puts into the books.
    fn sold(&self, invoice: &Invoice) -> Result<Booking, LedgerError> {
        let booking = self.booking(invoice, "invoice.finalised", invoice.id);
        match invoice.purpose {
            Purpose::TopUp => ledger::top_up_finalised(booking, invoice.account, invoice.totals.total),
            Purpose::First | Purpose::Renewal | Purpose::Upgrade | Purpose::Manual => {
                ledger::invoice_finalised(booking, invoice.account, invoice.totals)
            }
        }
    }

    /// Pays as much of the invoice from the wallet as there is; returns what is left in it. What is taken stays taken while
    /// the invoice is open, and does not expire meanwhile.
    ///
    /// # Errors
    /// When an amount does not fit.
    pub fn pay_from_wallet(&mut self, invoice: &mut Invoice, purse: &Purse) -> Result<Purse, UnitError> {
        let mut left = purse.clone();
        for Taken { pocket, amount } in left.take(invoice.remaining()?, self.now)? {
            let booking = self.booking(invoice, "wallet.applied", invoice.id);
            let (from, owed) = (ledger::pocket(invoice.account, pocket), Account::Receivable(invoice.account));
            self.book(booking.post(from, owed, amount)?);
            let source = match pocket {
                Pocket::Paid => invoice.id.to_string(),
                Pocket::Credit { id, .. } => id.to_string(),
            };
            self.allocate(invoice, "wallet", source, amount)?;
            invoice.from_wallet = invoice.from_wallet.checked_add(amount)?;
        }
        Ok(left)
    }

    /// Counts `amount` as paid on the invoice.
    ///
    /// # Errors
    /// When the currencies differ.
    pub fn allocate(
        &mut self,
        invoice: &mut Invoice,
        source: &'static str,
        source_id: String,
        amount: Money,
    ) -> Result<(), UnitError> {
        invoice.paid = invoice.paid.checked_add(amount)?;
        self.allocations.push(Allocation { invoice: invoice.id, source, source_id, amount, at: self.now });
        Ok(())
    }

    /// Closes the invoice when nothing is left to pay, and gives the customer what was bought. True when it closed.
    ///
    /// # Errors
    /// When the stored state contradicts it.
    pub fn settle_if_paid(
        &mut self,
        invoice: &mut Invoice,
        subscription: Option<&mut Subscription>,
        payment: Option<PaymentId>,
    ) -> Result<bool, UnitError> {
        if !invoice.remaining()?.is_zero() {
            return Ok(false);
        }
        match invoice.state.on(invoice::Command::Close, invoice.paid, invoice.totals.total)? {
            invoice::Outcome::AlreadyThere => return Ok(false),
            invoice::Outcome::Moved(state) => invoice.state = state,
        }
        invoice.closed_at = Some(self.now);
        if let Some(order) = invoice.order {
            self.move_order(order, order::Command::Pay);
        }
        // What was carried forward was given then.
        if let Some(subscription) = subscription.filter(|_| invoice.carried_at.is_none()) {
            self.give(invoice, subscription)?;
        }
        if invoice.purpose == Purpose::TopUp {
            let booking = self.booking(invoice, "wallet.topped_up", invoice.id);
            self.book(ledger::topped_up(booking, invoice.account, invoice.totals.total)?);
        }
        let is_first = self.settled_first(invoice);
        self.told.push(match invoice.number {
            Some(_) => {
                let customer = self.customers.get(&invoice.account);
                Told::Event(publish::invoice_settled(self.brand, invoice, customer, is_first, payment, self.now))
            }
            None => Told::Settled { invoice: invoice.id, is_first, payment },
        });
        Ok(true)
    }

    /// Gives the customer what an invoice bought.
    fn give(&mut self, invoice: &Invoice, subscription: &mut Subscription) -> Result<(), UnitError> {
        let before = subscription.clone();
        self.given_back.extend(grant(subscription, invoice, &self.profile, self.now)?);
        self.passings.extend(paid_time(invoice, &before, subscription, self.now)?);
        self.touch(&before, subscription, grant_reason(&before, invoice))
    }

    /// What is owed is too little for a payment of its own: the customer gets what was billed, and it is asked for with the
    /// next invoice.
    ///
    /// # Errors
    /// When the stored state contradicts it.
    pub fn carry(&mut self, invoice: &mut Invoice, subscription: &mut Subscription) -> Result<(), UnitError> {
        invoice.carried_at = Some(self.now);
        self.give(invoice, subscription)
    }

    fn settled_first(&mut self, invoice: &Invoice) -> bool {
        let Some(customer) = self.customers.get_mut(&invoice.account) else { return false };
        // Nothing was bought by a top-up.
        let is_sale = invoice.purpose != Purpose::TopUp && invoice.totals.total.is_positive();
        let is_first = customer.first_settled_at.is_none() && is_sale;
        if is_first {
            customer.first_settled_at = Some(self.now);
            self.first_settled.push(invoice.account);
        }
        is_first
    }

    /// An order that staff had to look at is not accepted: they said so, or nobody looked in time. Its customer hears of it,
    /// unless they took it back themselves.
    fn tell_declined(&mut self, subscription: &Subscription, cause: EndCause) {
        let Some(order) = self.orders.get(&subscription.order) else { return };
        if order.state == order::State::UnderReview && cause != EndCause::Cancelled {
            let buyer = self.customers.get(&subscription.account).map(|customer| &customer.buyer);
            let event = publish::order_declined(self.brand, order, buyer, self.now);
            self.tell(event);
        }
    }

    /// Staff accept an order: it waits for the payment of this invoice, or is free.
    pub(super) fn approve_order(&mut self, id: OrderId, invoice: Option<InvoiceId>) {
        if let Some(order) = self.orders.get_mut(&id) {
            order.invoice = invoice;
        }
        self.move_order(id, order::Command::Approve);
        if invoice.is_none() {
            self.move_order(id, order::Command::Pay);
        }
    }

    fn move_order(&mut self, id: OrderId, command: order::Command) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        // An order that was given up stays so; its invoice is void and never gets here.
        if let Ok(order::Outcome::Moved(state)) = order.state.on(command) {
            self.changed_orders.push(order.clone());
            order.state = state;
            order.paid_at = (state == order::State::Paid).then_some(self.now);
        }
    }

    /// Takes an open invoice back; what was paid on it already makes that a write-off of the rest.
    ///
    /// # Errors
    /// When a total is negative.
    pub fn withdraw(&mut self, invoice: &mut Invoice) -> Result<(), UnitError> {
        let total = invoice.totals.total;
        // What only the wallet paid goes back there, as if the invoice had never been.
        if invoice.state == invoice::State::Open && invoice.paid == invoice.from_wallet && !invoice.paid.is_zero() {
            (invoice.paid, invoice.from_wallet) = (Money::zero(total.currency), Money::zero(total.currency));
            self.released.push(invoice.id);
        }
        let (state, booking) = match invoice.state.on(invoice::Command::Void, invoice.paid, total) {
            Ok(invoice::Outcome::AlreadyThere)
            | Err(invoice::Refused::Move { .. } | invoice::Refused::Unpaid { .. }) => {
                return Ok(());
            }
            Ok(invoice::Outcome::Moved(state)) => (state, self.taking_back(invoice)?),
            Err(invoice::Refused::Paid { .. }) => return self.write_off(invoice),
        };
        invoice.state = state;
        self.book(booking);
        self.withdrawn.push(invoice.id);
        // A coupon that came with it was never used. That of an order stays with its subscription: the next invoice has it.
        let applied = &invoice.snapshot.applied;
        self.given_back.extend(applied.redeemed.clone().filter(|_| applied.is_new));
        Ok(())
    }

    /// The booking that undoes an invoice nobody paid. The number of a part is that of others, too, which still owe: a credit note
    /// takes the part back.
    fn taking_back(&mut self, invoice: &Invoice) -> Result<Booking, UnitError> {
        let booking = self.booking(invoice, "invoice.voided", invoice.id);
        // A pro forma is in no books.
        if invoice.is_proforma() {
            return Ok(booking);
        }
        if invoice.part.is_none() || !invoice.totals.total.is_positive() {
            return Ok(ledger::invoice_voided(booking, invoice.account, invoice.totals)?);
        }
        let id = CreditNoteId::new(self.now);
        self.taken_back.push(TakenBack { id, part: invoice.clone() });
        let booking = self.booking(invoice, "credit_note.issued", id);
        let Totals { subtotal, tax, .. } = invoice.totals;
        Ok(ledger::credit_note_issued(booking, invoice.account, subtotal, tax)?)
    }

    /// Gives up what is still owed: it was sold, so it stays revenue, and what is missing is a loss.
    ///
    /// # Errors
    /// When its state forbids it.
    pub fn write_off(&mut self, invoice: &mut Invoice) -> Result<(), UnitError> {
        match invoice.state.on(invoice::Command::WriteOff, invoice.paid, invoice.totals.total)? {
            invoice::Outcome::AlreadyThere => return Ok(()),
            invoice::Outcome::Moved(state) => invoice.state = state,
        }
        let booking = self.booking(invoice, "invoice.written_off", invoice.id);
        let rest = invoice.remaining()?;
        self.book(booking.post(Account::BadDebt, Account::Receivable(invoice.account), rest)?);
        self.withdrawn.push(invoice.id);
        let applied = &invoice.snapshot.applied;
        self.given_back.extend(applied.redeemed.clone().filter(|_| applied.is_new));
        Ok(())
    }

    /// What becomes of an invoice whose subscription ends. A renewal whose period had begun was served for a while, and the
    /// brand says whether that stays a claim; everything else was never served.
    fn part_with(&mut self, invoice: &mut Invoice) -> Result<(), UnitError> {
        let was_served =
            invoice.purpose == Purpose::Renewal && invoice.period.is_some_and(|period| period.start() <= self.now);
        match self.profile.rules.unpaid_at_end {
            UnpaidAtEnd::WriteOff if was_served && invoice.state == invoice::State::Open && !invoice.is_proforma() => {
                self.write_off(invoice)
            }
            UnpaidAtEnd::WriteOff | UnpaidAtEnd::Void => self.withdraw(invoice),
        }
    }

    /// Ends a subscription: open invoices are withdrawn, an unpaid order is cancelled. False when it was over already.
    ///
    /// # Errors
    /// When a total is negative.
    pub fn end(
        &mut self,
        subscription: &mut Subscription,
        cause: EndCause,
        open: &mut [Invoice],
    ) -> Result<bool, UnitError> {
        let before = subscription.clone();
        if !subscription.apply(Command::End(cause), self.now)? {
            return Ok(false);
        }
        for invoice in open.iter_mut() {
            self.part_with(invoice)?;
        }
        if before.state == State::Pending {
            self.tell_declined(subscription, cause);
            self.move_order(subscription.order, order::Command::Cancel);
            self.given_up.push(subscription.id);
        }
        let unused = subscription.discounts.coupon.clone().filter(|coupon| coupon.periods_used == 0);
        self.given_back.extend(unused);
        self.touch(&before, subscription, cause.as_str())?;
        Ok(true)
    }

    /// Raises the versions for what differs from `before`, and tells it.
    ///
    /// # Errors
    /// When the price is too large to compute with.
    pub fn touch(&mut self, before: &Subscription, after: &mut Subscription, reason: &str) -> Result<(), UnitError> {
        if before == after {
            return Ok(());
        }
        self.passings.extend(passed(before, after));
        after.version += 1;
        let tax = self.tax(after.account, &after.offer).tax;
        let buyer = self.customers.get(&after.account).map(|customer| &customer.buyer);
        let brand = self.brand;
        let mut events =
            vec![publish::subscription_changed(brand, after, before.state, buyer, &tax, reason, self.now)?];
        let grace = self.profile.grace();
        let entitlement = entitlement::of(after, grace);
        let differs = entitlement != entitlement::of(before, grace)
            || before.offer != after.offer
            || before.account != after.account
            || (before.state == State::Trialing) != (after.state == State::Trialing);
        // An order that was never paid ends without anybody ever having heard of it.
        let was_never_told = before.entitlement_version == 0 && after.state.has_ended();
        let is_new = differs && !was_never_told;
        if let Some(entitlement) = entitlement.filter(|_| is_new) {
            after.entitlement_version += 1;
            events.push(publish::entitlement_changed(brand, after, entitlement, buyer, self.now));
        }
        self.told.extend(events.into_iter().map(Told::Event));
        Ok(())
    }

    /// A coupon nobody used is somebody else's to use.
    pub fn keep_for_others(&mut self, unused: Option<Redeemed>) {
        self.given_back.extend(unused);
    }

    /// Gives coupons back now instead of at the end, because one of them is wanted again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn give_back(&mut self, tx: &mut PgTransaction<'_>) -> sqlx::Result<()> {
        store::redemption::give_back(tx, &std::mem::take(&mut self.given_back), self.now).await
    }

    /// This subscription is written as it now is.
    pub fn keep(&mut self, subscription: Subscription) {
        self.subscriptions.push(subscription);
    }

    /// This new invoice is written as it now is.
    pub fn keep_new(&mut self, invoice: Invoice) {
        self.new_invoices.push(invoice);
    }

    /// As [`Unit::keep_new`], when there is one.
    pub fn keep_new_all(&mut self, invoices: impl IntoIterator<Item = Invoice>) {
        self.new_invoices.extend(invoices);
    }

    /// State and dunning progress of this invoice are written as they now are.
    pub fn keep_invoice(&mut self, invoice: Invoice) {
        self.changed_invoices.push(invoice);
    }

    /// Writes everything, each kind in one statement.
    ///
    /// # Errors
    /// When the database refuses; the transaction is then lost.
    pub async fn flush(mut self, tx: &mut PgTransaction<'_>) -> sqlx::Result<Vec<PaymentId>> {
        self.write_unnumbered(tx).await?;
        self.write_numbered(tx).await
    }

    /// The first half of [`Unit::flush`]: all that needs no number. The counter of a series is locked from the taking of a
    /// number until the commit, and everybody who issues waits for it; so it is taken as late as possible.
    ///
    /// # Errors
    /// When the database refuses; the transaction is then lost.
    pub async fn write_unnumbered(&mut self, tx: &mut PgTransaction<'_>) -> sqlx::Result<()> {
        store::subscription::save_all(tx, self.brand, &self.subscriptions).await?;
        store::invoice::save_all(tx, &self.changed_invoices).await?;
        if !self.withdrawn.is_empty() {
            store::payment::cancel_open(tx, self.brand, &self.withdrawn, self.now).await?;
        }
        if !self.released.is_empty() {
            let (transfers, allocations) = wallet::release(tx, &self.released, self.now).await?;
            self.transfers.extend(transfers);
            self.allocations.extend(allocations);
        }
        store::ledger::append(tx, self.brand, &self.transfers).await?;
        store::notice::insert_all(tx, self.brand, &self.notices).await?;
        store::customer::first_settled(tx, &self.first_settled, self.now).await?;
        let orders: Vec<Order> =
            self.changed_orders.iter().filter_map(|before| self.orders.remove(&before.id)).collect();
        store::order::save_states(tx, &orders).await
    }

    /// The second half of [`Unit::flush`]: new invoices with their numbers, and what names or needs them.
    ///
    /// # Errors
    /// When the database refuses; the transaction is then lost.
    pub async fn write_numbered(mut self, tx: &mut PgTransaction<'_>) -> sqlx::Result<Vec<PaymentId>> {
        self.number(tx).await?;
        store::invoice::insert_all(tx, self.brand, &self.new_invoices).await?;
        store::invoice::allocate(tx, self.brand, &self.allocations).await?;
        let passings = std::mem::take(&mut self.passings);
        if !passings.is_empty() {
            let zone = self.profile.entity.zone;
            let transfers = deferral::write(tx, self.brand, zone, passings, self.now).await?;
            store::ledger::append(tx, self.brand, &transfers).await?;
        }
        self.write_taken_back(tx).await?;
        store::redemption::give_back(tx, &self.given_back, self.now).await?;
        store::stock::give_back(tx, &self.given_up, self.now).await?;
        store::trial::give_back(tx, &self.given_up).await?;
        let attempts = if self.attempts.is_empty() {
            Vec::new()
        } else {
            store::payment::request(tx, self.brand, &self.attempts, self.now).await?
        };
        outbox::append_all(tx, self.into_events().map_err(|error| sqlx::Error::Encode(Box::new(error)))?).await?;
        Ok(attempts)
    }

    /// Writes the credit notes of parts that were withdrawn.
    async fn write_taken_back(&mut self, tx: &mut PgTransaction<'_>) -> sqlx::Result<()> {
        for TakenBack { id, part } in std::mem::take(&mut self.taken_back) {
            let seller = &part.snapshot.seller;
            let series = credit_series(&seller.series);
            let taken = store::number::take(tx, seller.id, &series, number_year(self.now, seller.zone), 1).await?;
            for number in taken {
                let note = CreditNote {
                    id,
                    invoice: part.id,
                    account: part.account,
                    entity: seller.id,
                    number,
                    amount: part.totals.total,
                    tax: part.totals.tax,
                    reason: TAKEN_BACK.to_owned(),
                    lines: Vec::new(),
                    issued_at: self.now,
                };
                store::credit_note::insert(tx, self.brand, &note).await?;
            }
        }
        Ok(())
    }

    /// Gives new invoices that were issued without a number theirs: one range per series, in the order of the series, so
    /// that two transactions never wait for each other. Parts of one whole, which are kept one after the other, have one number.
    async fn number(&mut self, tx: &mut PgTransaction<'_>) -> sqlx::Result<()> {
        let mut series: BTreeMap<_, Vec<Vec<&mut Invoice>>> = BTreeMap::new();
        for invoice in &mut self.new_invoices {
            let seller = &invoice.snapshot.seller;
            let (name, at) = match (&invoice.number, invoice.issued_at, &invoice.proforma) {
                (None, Some(at), _) => (seller.series.clone(), at),
                (None, None, Some(Proforma { number: None, at })) => (proforma_series(&seller.series), *at),
                _ => continue,
            };
            let key = (seller.id, name, number_year(at, seller.zone));
            let documents = series.entry(key).or_default();
            let group = invoice.part.map(|part| part.group);
            let is_next = |parts: &&mut Vec<&mut Invoice>| {
                group.is_some() && parts.first().and_then(|first| first.part).map(|part| part.group) == group
            };
            match documents.last_mut().filter(is_next) {
                Some(parts) => parts.push(invoice),
                None => documents.push(vec![invoice]),
            }
        }
        for ((entity, series, year), documents) in series {
            let numbers = store::number::take(tx, entity, &series, year, documents.len()).await?;
            for (invoices, number) in documents.into_iter().zip(numbers) {
                for invoice in invoices {
                    match &mut invoice.proforma {
                        Some(proforma) if invoice.issued_at.is_none() => proforma.number = Some(number.clone()),
                        Some(_) | None => invoice.number = Some(number.clone()),
                    }
                }
            }
        }
        Ok(())
    }

    /// What there is to tell, in the order in which it happened.
    fn into_events(self) -> Result<Vec<Event>, MoneyError> {
        let Self { brand, now, customers, new_invoices, told, .. } = self;
        let new: HashMap<InvoiceId, &Invoice> = new_invoices.iter().map(|invoice| (invoice.id, invoice)).collect();
        let invoice = |id| *new.get(&id).expect("only a new invoice is issued without a number, and new ones are kept");
        // The parts of one whole are issued together.
        let whole = |part: &Invoice| {
            let group = part.part.map(|part| part.group);
            let parts = new_invoices.iter().filter(|other| other.part.map(|part| part.group) == group);
            consolidated::view(parts.cloned().collect())
        };
        let event = |told: Told| -> Result<Event, MoneyError> {
            Ok(match told {
                Told::Event(event) => event,
                Told::Finalised(id) => {
                    let invoice = invoice(id);
                    let whole = if invoice.part.is_some() { whole(invoice)? } else { None };
                    publish::invoice_finalised(brand, whole.as_ref().unwrap_or(invoice), now)
                }
                Told::Settled { invoice: id, is_first, payment } => {
                    let invoice = invoice(id);
                    publish::invoice_settled(brand, invoice, customers.get(&invoice.account), is_first, payment, now)
                }
                Told::WholeSettled(id) => {
                    let invoice = invoice(id);
                    let whole = whole(invoice)?;
                    publish::consolidated_settled(brand, whole.as_ref().unwrap_or(invoice), now)
                }
            })
        };
        told.into_iter().map(event).collect()
    }

    /// Tells that nothing is left to pay on a new consolidated invoice this is a part of.
    pub fn tell_whole_settled(&mut self, part: InvoiceId) {
        self.told.push(Told::WholeSettled(part));
    }

    /// Whether the renewals of a customer that was locked are one invoice when they are due on one day.
    #[must_use]
    pub fn consolidates(&self, account: AccountId) -> bool {
        self.profile.rules.consolidates(self.customers.get(&account).and_then(|customer| customer.consolidated))
    }
}

fn grant_reason(before: &Subscription, invoice: &Invoice) -> &'static str {
    match (invoice.purpose, before.state) {
        (Purpose::Upgrade, _) => "upgraded",
        (Purpose::First, State::Pending) => "activated",
        (Purpose::First, _) => "converted",
        (Purpose::Renewal, State::Suspended { .. }) => "reactivated",
        (Purpose::Renewal, _) => "renewed",
        (Purpose::Manual | Purpose::TopUp, _) => "paid",
    }
}

/// What a settled invoice paid for, and for which time.
fn paid_time(
    invoice: &Invoice,
    before: &Subscription,
    after: &Subscription,
    now: DateTime<Utc>,
) -> Result<Option<Passing>, UnitError> {
    // Who pays for what is over pays for time that has passed.
    if after.state.has_ended() {
        return Ok(None);
    }
    let currency = invoice.totals.total.currency;
    let last = after.calendar.paid.last().map(|stretch| stretch.period);
    let (period, replaces) = match invoice.purpose {
        Purpose::First | Purpose::Renewal => (last, None),
        Purpose::Upgrade if restarts(invoice, before) => (last, Some(net_unused(currency, &invoice.lines)?)),
        Purpose::Upgrade => (after.paid_through.and_then(|end| Period::try_new(now, end).ok()), None),
        Purpose::Manual | Purpose::TopUp => (None, None),
    };
    let net = net_of_time(currency, &invoice.lines)?;
    let net = Money::new(net.minor.max(0), currency);
    Ok(period.filter(|_| net.is_positive() || replaces.is_some()).map(|period| {
        let (entity, subscription, invoice) = (invoice.snapshot.seller.id, after.id, invoice.id);
        Passing::Paid(Paid { entity, subscription, invoice, net, period, replaces })
    }))
}

/// What happened to a subscription's time beside being paid.
fn passed(before: &Subscription, after: &Subscription) -> Option<Passing> {
    if after.state.has_ended() {
        return (!before.state.has_ended()).then_some(Passing::Over(after.id));
    }
    match (before.calendar.pause, after.calendar.pause) {
        (None, Some(_)) => Some(Passing::Paused(after.id)),
        (Some(_), None) => Some(Passing::TakenUp(after.id)),
        (None, None) | (Some(_), Some(_)) => None,
    }
}

/// Whether a change of plan begins a period of its own.
fn restarts(invoice: &Invoice, before: &Subscription) -> bool {
    let offer = invoice.snapshot.offer.as_ref();
    invoice.period.is_some() || offer.is_some_and(|offer| offer.term != before.offer.term)
}

/// Gives what a settled invoice bought.
///
/// A first payment starts counting there and then. A renewal extends from the end of what was paid, however late it
/// comes, except after a suspension: when it outlasted the whole billed period nothing of it was used, and a new period
/// starts with the payment; a plan may say so for every suspension. Returns a coupon that had to
/// make room for another and was never used.
fn grant(
    subscription: &mut Subscription,
    invoice: &Invoice,
    profile: &Profile,
    now: DateTime<Utc>,
) -> Result<Option<Redeemed>, UnitError> {
    // An invoice for no subscription gives none.
    let Some(offer) = invoice.snapshot.offer.clone() else { return Ok(None) };
    let zone = subscription.anchor.map_or(profile.zone, |anchor| anchor.zone);
    let pays_for_a_period = match invoice.purpose {
        Purpose::First | Purpose::Renewal => {
            let is_unused = match offer.late_renewal {
                LateRenewal::FromOldEnd => invoice.period.is_some_and(|period| period.end() <= now),
                LateRenewal::FromPayment => subscription.paid_through.is_some_and(|end| end <= now),
            };
            let was_suspended = matches!(subscription.state, State::Suspended { .. });
            if subscription.anchor.is_none() || (was_suspended && is_unused) {
                restart(subscription, offer, invoice, zone, now)?;
            } else {
                subscription.extend(offer, now)?;
            }
            subscription.is_setup_due = false;
            subscription.apply(Command::Activate, now)?;
            true
        }
        // A change that restarts was billed for a period of its own.
        Purpose::Upgrade if restarts(invoice, subscription) => {
            restart(subscription, offer, invoice, zone, now)?;
            true
        }
        Purpose::Upgrade => {
            subscription.take_offer(offer);
            false
        }
        Purpose::Manual | Purpose::TopUp => false,
    };
    subscription.end_with_pass();
    let started = if pays_for_a_period { subscription.last_paid_start() } else { None };
    let running = subscription.period.map(Period::start);
    Ok(subscription.discounts.settle(&invoice.snapshot.applied, started, running))
}

/// Begins at `now`, by the plan's rule; what was billed for a period that is past already gets as much time instead.
fn restart(
    subscription: &mut Subscription,
    offer: Offer,
    invoice: &Invoice,
    zone: Tz,
    now: DateTime<Utc>,
) -> Result<(), UnitError> {
    // What follows a trial or a paid period gets here only when its own time was not used; the others may still use theirs.
    let follows = subscription.anchor.is_some() && invoice.purpose != Purpose::Upgrade;
    let is_unused = |period: &Period| follows || period.end() <= now;
    let past = match invoice.period.filter(is_unused) {
        Some(period) => Some(billed(subscription, &offer, invoice.purpose, period, zone)?),
        None => None,
    };
    let begun = offer.anchor.begin(now, zone, offer.term)?;
    subscription.take_offer(offer);
    subscription.discounts.periods.clear();
    match past {
        Some(stretch) => subscription.start_late(stretch, zone, now)?,
        None => subscription.start_paid(begun),
    }
    Ok(())
}

/// The stretch an invoice billed: only a part of a term when it was priced as one.
fn billed(
    subscription: &Subscription,
    offer: &Offer,
    purpose: Purpose,
    period: Period,
    zone: Tz,
) -> Result<Stretch, UnitError> {
    let stretch = match purpose {
        Purpose::Renewal => subscription.next_of(offer)?.map(|next| next.stretch),
        Purpose::First | Purpose::Upgrade | Purpose::Manual | Purpose::TopUp => {
            let begun = offer.anchor.begin(period.start(), zone, offer.term)?;
            Some(Stretch { period: begun.period, whole: begun.whole })
        }
    };
    Ok(stretch.filter(|stretch| stretch.period == period).unwrap_or(Stretch::term(period)))
}

/// What a unit would write, for tests that have no database.
#[cfg(test)]
pub struct Decided {
    pub new_invoices: Vec<Invoice>,
    pub changed_invoices: Vec<Invoice>,
    pub transfers: Vec<Transfer>,
    pub allocations: Vec<Allocation>,
    pub released: Vec<InvoiceId>,
    pub first_settled: Vec<AccountId>,
}

#[cfg(test)]
impl Unit {
    pub fn decided(self) -> Decided {
        let Self { new_invoices, changed_invoices, transfers, allocations, released, first_settled, .. } = self;
        Decided { new_invoices, changed_invoices, transfers, allocations, released, first_settled }
    }
}
