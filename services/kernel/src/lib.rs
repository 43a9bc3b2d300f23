//! The words of the business: identifiers, money, time.
//!
//! Nothing here waits, reads a file or asks for the time by itself ([`clock::SystemClock`] excepted, whose job that
//! is). Every service speaks in these types, so that an amount without a currency, an id of the wrong thing or a
//! month that forgot its anchor day does not compile or does not parse.

mod text;

pub mod change;
pub mod clock;
pub mod coin;
pub mod currency;
pub mod id;
pub mod locale;
pub mod money;
pub mod period;

pub use change::{ChangePolicy, ChangeTiming, LateRenewal};
pub use clock::{Clock, ManualClock, SystemClock};
pub use coin::{Coin, CoinAmount, CoinError};
pub use currency::{Currency, CurrencyError};
pub use id::*;
pub use locale::{Locale, LocaleError};
pub use money::{Money, MoneyError, Rounding};
pub use period::{
    AnchorDay, AnchorRule, Beginning, BillingAnchor, Period, PeriodError, Term, TermUnit, instant_of, period_after,
};
