//! Identifiers: one type per thing, time-ordered, with a readable prefix.
//!
//! Inside is a UUIDv7; outside (JSON, protobuf, logs, addresses) it is the prefix and 32 hexadecimal digits, for
//! example `sub_0192f0c1a2b37c4d8e5f60718293a4b5`. An id of one thing is never an id of another. Ids sort by their
//! instant and, within a millisecond, in the order in which a process made them: on a test clock that stands still too.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use uuid::{Timestamp, Uuid};

use crate::text::serde_as_text;

/// Why text is not the id that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text starts with something else than this id's prefix.
    #[error("expected an id that starts with `{expected}`, got `{got}`")]
    Prefix {
        /// The prefix this id has, with its underscore.
        expected: &'static str,
        /// What was given, cut to a printable length.
        got: String,
    },
    /// The prefix is right, what follows is not 32 lower-case hexadecimal digits.
    #[error("expected `{expected}` followed by 32 lower-case hexadecimal digits, got `{got}`")]
    Digits {
        /// The prefix this id has, with its underscore.
        expected: &'static str,
        /// What was given, cut to a printable length.
        got: String,
    },
}

/// Bits that order the ids of one millisecond; what follows them is random.
const ORDER_BITS: u8 = 42;

/// A UUIDv7 of that instant. Its milliseconds are those of the argument, always: brands on test clocks are years apart in
/// one process, so the usual way out, holding back a time that is behind the last one, would give ids wrong times.
/// Instead every millisecond has a starting point that only this process knows, and all ids share one count on top of
/// it: ids of one millisecond sort in the order they were made, ids of different ones say nothing about the count.
fn uuid_at(now: DateTime<Utc>) -> Uuid {
    static STARTS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static MADE: AtomicU64 = AtomicU64::new(0);
    // Instants before 1970 have no UUIDv7; they only occur with a manual clock and sort first.
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    // Both below half of what fits, so that the sum does: 2 * 10^12 ids are more than a process lives to make.
    let half = (1_u64 << (ORDER_BITS - 1)) - 1;
    let order = (STARTS.hash_one(millis) & half) + (MADE.fetch_add(1, Ordering::Relaxed) & half);
    let (seconds, nanos) = (millis / 1_000, u32::try_from(millis % 1_000).unwrap_or(0) * 1_000_000);
    Uuid::new_v7(Timestamp::from_unix_time(seconds, nanos, u128::from(order), ORDER_BITS))
}

fn parse(text: &str, expected: &'static str) -> Result<Uuid, IdError> {
    // Errors travel into logs and answers, so a hostile megabyte is cut.
    let got = || text.chars().take(48).collect();
    let digits = text.strip_prefix(expected).ok_or_else(|| IdError::Prefix { expected, got: got() })?;
    let canonical = digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !canonical {
        return Err(IdError::Digits { expected, got: got() });
    }
    Uuid::try_parse(digits).map_err(|_| IdError::Digits { expected, got: got() })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// What the text form starts with.
            pub const PREFIX: &'static str = $prefix;

            /// A fresh id of that instant. Ids of later milliseconds sort after it, and so do those of the same one
            /// that this process makes later.
            #[must_use]
            pub fn new(now: DateTime<Utc>) -> Self {
                Self(uuid_at(now))
            }

            /// The id stored as this UUID.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID to store.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse(text, $prefix).map(Self)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        serde_as_text!($name);
    )*

    /// Every prefix in use, in the order of declaration.
    pub const ID_PREFIXES: &[&str] = &[$($prefix),*];
    };
}

ids! {
    /// A person or staff member who can sign in.
    AccountId "acc_";
    /// A signed-in session.
    SessionId "ses_";
    /// An API key.
    ApiKeyId "key_";
    /// A brand, which is the tenant.
    BrandId "brd_";
    /// A legal entity that issues invoices.
    EntityId "ent_";
    /// A plan.
    PlanId "pln_";
    /// A version of a plan.
    PlanVersionId "plv_";
    /// A price; never changes once somebody bought it.
    PriceId "prc_";
    /// A coupon.
    CouponId "cpn_";
    /// An order.
    OrderId "ord_";
    /// An invoice.
    InvoiceId "inv_";
    /// A credit note.
    CreditNoteId "crn_";
    /// A payment attempt.
    PaymentId "pay_";
    /// A refund.
    RefundId "ref_";
    /// A dispute (chargeback).
    DisputeId "dsp_";
    /// A subscription.
    SubscriptionId "sub_";
    /// A transfer in the ledger.
    TransferId "trf_";
    /// An account in the ledger.
    LedgerAccountId "lac_";
    /// A stored payment method.
    PaymentMethodId "pmt_";
    /// A streaming panel.
    PanelId "pnl_";
    /// A provisioned service (a line on a panel).
    ServiceId "svc_";
    /// A call made to a panel.
    CallId "cal_";
    /// A support ticket.
    TicketId "tkt_";
    /// A message in a ticket.
    MessageId "msg_";
    /// An affiliate.
    AffiliateId "aff_";
    /// A referral link.
    LinkId "lnk_";
    /// A commission.
    CommissionId "com_";
    /// A delivery of a notification.
    DeliveryId "dlv_";
    /// A notification template.
    TemplateId "tpl_";
    /// A grant of a role to a subject.
    GrantId "grt_";
    /// An event.
    EventId "evt_";
    /// A task waiting for staff.
    TaskId "tsk_";
    /// A difference between a panel and what is wanted there.
    DriftId "drf_";
    /// A movement of recurring revenue.
    MovementId "mov_";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn noon() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap()
    }

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = SubscriptionId::new(noon());
        let text = id.to_string();
        assert!(text.starts_with("sub_") && text.len() == 36, "{text}");
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(SubscriptionId::from_uuid(id.as_uuid()), id);
        assert_eq!(id.as_uuid().get_version_num(), 7);
    }

    #[test]
    fn an_id_of_another_thing_is_refused_with_what_was_expected() {
        let invoice = InvoiceId::new(noon()).to_string();
        let refused = invoice.parse::<SubscriptionId>().unwrap_err().to_string();
        assert!(refused.contains("`sub_`") && refused.contains(&invoice), "{refused}");
    }

    #[test]
    fn only_the_canonical_digits_are_read() {
        for text in [
            "sub_",
            "sub_0192",
            "sub_0192F0C1A2B37C4D8E5F60718293A4B5",
            "sub_0192f0c1-a2b3-7c4d-8e5f-60718293a4b5",
            "sub_0192f0c1a2b37c4d8e5f60718293a4b5 ",
            "sub_0192f0c1a2b37c4d8e5f60718293a4bg",
            "",
        ] {
            assert!(text.parse::<SubscriptionId>().is_err(), "{text:?} was accepted");
        }
        let long = "x".repeat(1_000_000);
        assert!(long.parse::<SubscriptionId>().unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn ids_sort_by_the_millisecond_they_were_made_in() {
        let early = PaymentId::new(noon());
        let late = PaymentId::new(noon() + chrono::TimeDelta::milliseconds(1));
        assert!(early < late);
        assert_ne!(PaymentId::new(noon()), PaymentId::new(noon()));
    }

    proptest! {
        /// Several brands, each at a time of its own, one of them standing still: whatever is asked for in between, ids of
        /// one millisecond are in the order they were made, later milliseconds sort later, and each says its own time.
        #[test]
        fn ids_of_one_instant_sort_as_they_were_made(
            asked in prop::collection::vec((0_i64..4, prop_oneof![Just(0_i64), 0_i64..3_000_000]), 2..200),
        ) {
            let made: Vec<(i64, MessageId)> = asked
                .iter()
                .map(|(brand, micros)| {
                    let now = noon() + chrono::TimeDelta::days(400 * brand) + chrono::TimeDelta::microseconds(*micros);
                    (now.timestamp_millis(), MessageId::new(now))
                })
                .collect();
            let mut sorted = made.clone();
            sorted.sort_by_key(|(_, id)| *id);
            let mut expected = made;
            // A stable sort: of one millisecond, first made is first.
            expected.sort_by_key(|(millis, _)| *millis);
            prop_assert_eq!(&sorted, &expected);
            for (millis, id) in &sorted {
                let (seconds, nanos) = id.as_uuid().get_timestamp().unwrap().to_unix();
                prop_assert_eq!(seconds * 1_000 + u64::from(nanos) / 1_000_000, u64::try_from(*millis).unwrap());
            }
            prop_assert_eq!(sorted.iter().map(|(_, id)| id).collect::<HashSet<_>>().len(), sorted.len());
        }
    }

    #[test]
    fn ids_of_one_instant_sort_across_threads_that_wait_for_each_other() {
        let mut ids = vec![TicketId::new(noon())];
        for _ in 0..50 {
            ids.push(std::thread::spawn(|| TicketId::new(noon())).join().unwrap());
            ids.push(TicketId::new(noon()));
        }
        assert!(ids.is_sorted());
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    }

    #[test]
    fn instants_before_the_epoch_come_first_and_keep_their_order() {
        let ids =
            [TicketId::new(DateTime::UNIX_EPOCH - chrono::TimeDelta::days(1)), TicketId::new(DateTime::UNIX_EPOCH)];
        assert!(ids.is_sorted() && ids[1] < TicketId::new(noon()));
    }

    #[test]
    fn prefixes_are_three_letters_and_unique() {
        let unique: HashSet<_> = ID_PREFIXES.iter().collect();
        assert_eq!(unique.len(), ID_PREFIXES.len());
        assert!(ID_PREFIXES.iter().all(|prefix| prefix.len() == 4 && prefix.ends_with('_')));
    }

    #[test]
    fn serde_uses_the_text() {
        let id = BrandId::from_uuid(Uuid::nil());
        let text = serde_json::to_string(&id).unwrap();
        assert_eq!(text, "\"brd_00000000000000000000000000000000\"");
        assert_eq!(serde_json::from_str::<BrandId>(&text).unwrap(), id);
        assert!(serde_json::from_str::<PlanId>(&text).is_err());
    }
}
