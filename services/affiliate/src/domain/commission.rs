//! Commissions: earned on the first settled invoice of a referred customer, taken back by refunds and lost
//! disputes, and held while a dispute is open.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, AffiliateId, CommissionId, InvoiceId, Money, Rounding};

/// Where a commission stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommissionState {
    /// In the hold window.
    Pending,
    /// Earned.
    Approved,
    /// Taken back whole.
    Reversed,
    /// Paid out.
    Paid,
}

impl CommissionState {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Reversed => "reversed",
            Self::Paid => "paid",
        }
    }

    /// From its stored form.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Pending, Self::Approved, Self::Reversed, Self::Paid].into_iter().find(|state| state.as_str() == text)
    }
}

/// A commission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commission {
    /// Identity.
    pub id: CommissionId,
    /// Who earns it.
    pub affiliate: AffiliateId,
    /// The referred order.
    pub order_id: String,
    /// The invoice that was settled.
    pub invoice: InvoiceId,
    /// Net amount it is a share of.
    pub base: Money,
    /// The share.
    pub amount: Money,
    /// The part that refunds and lost disputes took back.
    pub reversed: Money,
    /// Where it stands.
    pub state: CommissionState,
    /// Grows with every change.
    pub version: i64,
    /// When it was earned.
    pub created_at: DateTime<Utc>,
    /// End of the hold window.
    pub approve_after: DateTime<Utc>,
    /// A dispute is open: not approved before it is decided.
    pub is_held: bool,
}

/// What refunds and disputes say of an invoice, gross.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Refunded, or lost in disputes.
    pub gone_minor: i64,
    /// The invoice's total.
    pub total_minor: i64,
    /// A dispute is open.
    pub is_disputed: bool,
}

/// How a dispute stands for one invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disputed {
    /// Which.
    pub invoice: InvoiceId,
    /// Not decided yet.
    pub is_open: bool,
    /// Lost for good, gross.
    pub lost_minor: i64,
    /// The invoice's total.
    pub total_minor: i64,
}

/// A settled invoice that carries a referral code.
#[derive(Clone, Debug)]
pub struct Referral {
    /// The order.
    pub order_id: String,
    /// The invoice.
    pub invoice: InvoiceId,
    /// Who paid.
    pub buyer: AccountId,
    /// Where the buyer gets mail.
    pub buyer_email: String,
    /// What was paid, tax excluded.
    pub net: Money,
    /// Whether it is the buyer's first settled invoice.
    pub is_first: bool,
}

/// The affiliate a code belongs to.
#[derive(Clone, Debug)]
pub struct Referrer {
    /// Identity.
    pub id: AffiliateId,
    /// Their own account.
    pub account: AccountId,
    /// Where they get mail.
    pub email: String,
}

/// What a referral earns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A pending commission.
    Earned(Box<Commission>),
    /// Nothing, by design: a renewal, a zero rate, nothing paid.
    Nothing,
    /// Nothing, and staff should know.
    Flagged(&'static str),
}

/// Decides about a referral. `rate_bp` is in basis points of the net amount, rounded half away from zero.
#[must_use]
pub fn judge(
    referral: &Referral,
    referrer: Option<&Referrer>,
    rate_bp: u32,
    hold_days: u32,
    now: DateTime<Utc>,
) -> Verdict {
    let Some(referrer) = referrer else { return Verdict::Flagged("unknown_code") };
    if referrer.account == referral.buyer || same_person(&referrer.email, &referral.buyer_email) {
        return Verdict::Flagged("self_referral");
    }
    if !referral.is_first {
        return Verdict::Flagged("existing_customer");
    }
    let Ok(amount) = referral.net.mul_ratio(i64::from(rate_bp), 10_000, Rounding::HalfUp) else {
        return Verdict::Nothing;
    };
    if referral.net.minor <= 0 || amount.minor <= 0 {
        return Verdict::Nothing;
    }
    Verdict::Earned(Box::new(Commission {
        id: CommissionId::new(now),
        affiliate: referrer.id,
        order_id: referral.order_id.clone(),
        invoice: referral.invoice,
        base: referral.net,
        amount,
        reversed: Money { minor: 0, currency: amount.currency },
        state: CommissionState::Pending,
        version: 1,
        created_at: now,
        approve_after: now + TimeDelta::days(i64::from(hold_days)),
        is_held: false,
    }))
}

/// Whether two addresses reach one mailbox as far as anybody can tell: case and a `+tag` do not make a second person.
fn same_person(a: &str, b: &str) -> bool {
    let canonical = |address: &str| {
        let address = address.trim().to_lowercase();
        match address.split_once('@') {
            Some((local, domain)) => format!("{}@{domain}", local.split('+').next().unwrap_or(local)),
            None => address,
        }
    };
    canonical(a) == canonical(b)
}

impl Commission {
    /// Follows what refunds and disputes say now: takes the share of what is gone back, never more than was earned, and waits
    /// for what is not decided. Saying it again changes nothing. What comes back, when a lost dispute is won after all, is
    /// pending once more. What was paid out already is staff's to settle; it stays visible as reversed part of a paid commission.
    #[must_use]
    pub fn follow(&self, claims: Claims) -> Option<Self> {
        let share = claims.gone_minor.clamp(0, claims.total_minor);
        let reversed = self.amount.mul_ratio(share, claims.total_minor.max(1), Rounding::HalfUp).ok()?;
        let state = match self.state {
            CommissionState::Paid => CommissionState::Paid,
            CommissionState::Pending | CommissionState::Approved | CommissionState::Reversed
                if reversed == self.amount =>
            {
                CommissionState::Reversed
            }
            CommissionState::Reversed => CommissionState::Pending,
            as_it_was @ (CommissionState::Pending | CommissionState::Approved) => as_it_was,
        };
        let is_held = claims.is_disputed && state == CommissionState::Pending;
        if (reversed, state, is_held) == (self.reversed, self.state, self.is_held) {
            return None;
        }
        Some(Self { reversed, state, is_held, version: self.version + 1, ..self.clone() })
    }

    /// Ends the hold window.
    #[must_use]
    pub fn approve(&self, now: DateTime<Utc>) -> Option<Self> {
        match self.state {
            CommissionState::Pending if !self.is_held && self.approve_after <= now => {
                Some(Self { state: CommissionState::Approved, version: self.version + 1, ..self.clone() })
            }
            CommissionState::Pending
            | CommissionState::Approved
            | CommissionState::Reversed
            | CommissionState::Paid => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ottery_kernel::Currency;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    fn eur(minor: i64) -> Money {
        Money { minor, currency: Currency::EUR }
    }

    fn referral() -> Referral {
        Referral {
            order_id: "ord_1".into(),
            invoice: InvoiceId::new(now()),
            buyer: AccountId::new(now()),
            buyer_email: "bob@example.org".into(),
            net: eur(1000),
            is_first: true,
        }
    }

    fn referrer() -> Referrer {
        Referrer { id: AffiliateId::new(now()), account: AccountId::new(now()), email: "ada@example.org".into() }
    }

    fn gone(gone_minor: i64) -> Claims {
        Claims { gone_minor, total_minor: 1190, is_disputed: false }
    }

    fn earned() -> Commission {
        match judge(&referral(), Some(&referrer()), 2000, 14, now()) {
            Verdict::Earned(commission) => *commission,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_first_payment_earns_the_rate_of_its_net_amount() {
        let commission = earned();
        assert_eq!((commission.amount, commission.approve_after), (eur(200), now() + TimeDelta::days(14)));
        assert_eq!(judge(&referral(), Some(&referrer()), 0, 14, now()), Verdict::Nothing);
    }

    #[test]
    fn case_118_nobody_refers_themselves_or_an_old_customer() {
        let own = referrer();
        let same_account = Referral { buyer: own.account, ..referral() };
        assert_eq!(judge(&same_account, Some(&own), 2000, 14, now()), Verdict::Flagged("self_referral"));
        let plus = Referral { buyer_email: "Ada+tv@example.org".into(), ..referral() };
        assert_eq!(judge(&plus, Some(&own), 2000, 14, now()), Verdict::Flagged("self_referral"));
        let old = Referral { is_first: false, ..referral() };
        assert_eq!(judge(&old, Some(&own), 2000, 14, now()), Verdict::Flagged("existing_customer"));
        assert_eq!(judge(&referral(), None, 2000, 14, now()), Verdict::Flagged("unknown_code"));
    }

    #[test]
    fn case_120_refunds_take_back_their_share_once_and_never_more_than_was_earned() {
        let half = earned().follow(gone(595)).unwrap();
        assert_eq!((half.reversed, half.state), (eur(100), CommissionState::Pending));
        assert_eq!(half.follow(gone(595)), None);
        let whole = half.follow(gone(1190)).unwrap();
        assert_eq!((whole.reversed, whole.state), (eur(200), CommissionState::Reversed));
        assert_eq!(whole.follow(gone(9999)), None);
        assert_eq!(whole.approve(now() + TimeDelta::days(99)), None);
    }

    #[test]
    fn what_is_disputed_is_neither_approved_nor_taken_back_before_it_is_decided() {
        let (late, disputed) = (now() + TimeDelta::days(99), Claims { is_disputed: true, ..gone(0) });
        let held = earned().follow(disputed).unwrap();
        assert_eq!((held.state, held.reversed, held.approve(late)), (CommissionState::Pending, eur(0), None));
        assert_eq!(held.follow(disputed), None);
        let won = held.follow(gone(0)).unwrap();
        assert_eq!(won.approve(late).unwrap().state, CommissionState::Approved);
        let lost = held.follow(gone(1190)).unwrap();
        assert_eq!((lost.state, lost.is_held, lost.reversed), (CommissionState::Reversed, false, eur(200)));
        assert_eq!(lost.follow(disputed).unwrap().state, CommissionState::Pending);
        // What is approved or paid already waits for nothing, and is taken back all the same.
        let approved = earned().approve(late).unwrap();
        assert_eq!(approved.follow(disputed), None);
        assert_eq!(approved.follow(gone(1190)).unwrap().state, CommissionState::Reversed);
        let paid = Commission { state: CommissionState::Paid, ..approved };
        let settled = paid.follow(gone(1190)).unwrap();
        assert_eq!((settled.state, settled.reversed), (CommissionState::Paid, eur(200)));
    }

    #[test]
    fn a_commission_is_approved_after_its_hold_window() {
        let commission = earned();
        assert_eq!(commission.approve(now() + TimeDelta::days(13)), None);
        assert_eq!(commission.approve(now() + TimeDelta::days(14)).unwrap().state, CommissionState::Approved);
    }
}
