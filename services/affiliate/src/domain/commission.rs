//! Commissions: earned on the first settled invoice of a referred customer, taken back by refunds.

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
    /// The part that refunds took back.
    pub reversed: Money,
    /// Where it stands.
    pub state: CommissionState,
    /// Grows with every change.
    pub version: i64,
    /// When it was earned.
    pub created_at: DateTime<Utc>,
    /// End of the hold window.
    pub approve_after: DateTime<Utc>,
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
    /// Takes back the share of everything refunded so far: `refunded` of an invoice of `total`, both gross. Saying it again
    /// changes nothing, and it never takes back more than was earned.
    #[must_use]
    pub fn refunded(&self, refunded_minor: i64, total_minor: i64) -> Option<Self> {
        let share = refunded_minor.clamp(0, total_minor);
        let reversed = self.amount.mul_ratio(share, total_minor.max(1), Rounding::HalfUp).ok()?;
        if reversed.minor <= self.reversed.minor {
            return None;
        }
        let state = if reversed == self.amount { CommissionState::Reversed } else { self.state };
        Some(Self { reversed, state, version: self.version + 1, ..self.clone() })
    }

    /// Ends the hold window.
    #[must_use]
    pub fn approve(&self, now: DateTime<Utc>) -> Option<Self> {
        match self.state {
            CommissionState::Pending if self.approve_after <= now => {
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
        let half = earned().refunded(595, 1190).unwrap();
        assert_eq!((half.reversed, half.state), (eur(100), CommissionState::Pending));
        assert_eq!(half.refunded(595, 1190), None);
        let whole = half.refunded(1190, 1190).unwrap();
        assert_eq!((whole.reversed, whole.state), (eur(200), CommissionState::Reversed));
        assert_eq!(whole.refunded(9999, 1190), None);
        assert_eq!(whole.approve(now() + TimeDelta::days(99)), None);
    }

    #[test]
    fn a_commission_is_approved_after_its_hold_window() {
        let commission = earned();
        assert_eq!(commission.approve(now() + TimeDelta::days(13)), None);
        assert_eq!(commission.approve(now() + TimeDelta::days(14)).unwrap().state, CommissionState::Approved);
    }
}
