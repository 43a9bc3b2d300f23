//! A wallet's statement: what was in it, what moved, what is in it.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use ottery_kernel::{Money, MoneyError, TransferId};
use uuid::Uuid;

use super::export::{Csv, instant, text};
use super::wallet::CreditId;

/// A movement as the books have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The transfer.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// What happened.
    pub kind: String,
    /// To what.
    pub reference: String,
    /// The credit it is about; none for money that was paid.
    pub credit: Option<CreditId>,
    /// What came, below zero what went.
    pub amount: Money,
}

/// A row of the statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What moved.
    pub movement: Movement,
    /// What was in the wallet afterwards.
    pub balance: Money,
}

/// What moved in a wallet in some days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// Whose days.
    pub zone: Tz,
    /// When it was made: a statement of days that are not over is not final.
    pub made_at: DateTime<Utc>,
    /// What was in it before.
    pub opening: Money,
    /// What moved, oldest first.
    pub rows: Vec<Row>,
    /// What was in it at the end.
    pub closing: Money,
}

/// Columns of the CSV.
const HEAD: [&str; 8] = ["booked_at", "transfer_id", "kind", "what", "reference_id", "credit_id", "amount", "balance"];

impl Statement {
    /// Adds the movements up.
    ///
    /// # Errors
    /// When one has another currency or a balance does not fit.
    pub fn of(
        zone: Tz,
        (from, to): (NaiveDate, NaiveDate),
        made_at: DateTime<Utc>,
        opening: Money,
        movements: Vec<Movement>,
    ) -> Result<Self, MoneyError> {
        let mut balance = opening;
        let mut rows = Vec::with_capacity(movements.len());
        for movement in movements {
            balance = balance.checked_add(movement.amount)?;
            rows.push(Row { movement, balance });
        }
        Ok(Self { from, to, zone, made_at, opening, rows, closing: balance })
    }

    /// As CSV: the opening balance, the movements, the closing balance.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut sheet = Csv::new(Some(HEAD.as_slice()));
        let day = |date: NaiveDate, what: &str, balance: Money| {
            let none = String::new;
            [date.to_string(), none(), none(), what.to_owned(), none(), none(), none(), balance.to_decimal()]
        };
        sheet.row(day(self.from, "opening balance", self.opening));
        for Row { movement, balance } in &self.rows {
            sheet.row([
                instant(movement.at),
                TransferId::from_uuid(movement.id).to_string(),
                movement.kind.clone(),
                what(&movement.kind).to_owned(),
                text(&movement.reference),
                movement.credit.map(|credit| credit.to_string()).unwrap_or_default(),
                movement.amount.to_decimal(),
                balance.to_decimal(),
            ]);
        }
        sheet.row(day(self.to, "closing balance", self.closing));
        sheet.finish()
    }
}

/// A kind of movement in words.
#[must_use]
pub fn what(kind: &str) -> &'static str {
    match kind {
        "credit.granted" => "Credit granted",
        "credit.expired" => "Credit expired",
        "credit.to_wallet" => "Credit for an invoice",
        "payment.settled" => "Payment kept in the wallet",
        "refund.settled" => "Paid back",
        "wallet.applied" => "Used for an invoice",
        "wallet.released" => "Given back by an invoice",
        "wallet.topped_up" => "Topped up",
        "wallet.converted" => "Converted into another currency",
        "refund.reserved" => "Taken for a refund",
        "refund.released" => "Given back by a refund",
        _ => "Booked by staff",
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use ottery_kernel::Currency;
    use proptest::prelude::*;

    use super::*;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    fn movement(number: u32, minor: i64) -> Movement {
        Movement {
            id: Uuid::from_u128(number.into()),
            at: DateTime::UNIX_EPOCH + TimeDelta::days(number.into()),
            kind: if minor > 0 { "credit.granted" } else { "wallet.applied" }.into(),
            reference: "=inv_1".into(),
            credit: None,
            amount: eur(minor),
        }
    }

    fn statement(opening: i64, moves: &[i64]) -> Statement {
        let days = (DateTime::UNIX_EPOCH.date_naive(), DateTime::UNIX_EPOCH.date_naive() + TimeDelta::days(30));
        let movements = (1_u32..).zip(moves).map(|(number, minor)| movement(number, *minor)).collect();
        Statement::of(Tz::UTC, days, DateTime::UNIX_EPOCH, eur(opening), movements).unwrap()
    }

    #[test]
    fn the_sheet_begins_with_what_was_there_and_ends_with_what_is_left() {
        let csv = statement(1000, &[500, -1200]).csv();
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[1], "1970-01-01,,,opening balance,,,,10.00");
        assert!(lines[2].contains("Credit granted,'=inv_1,,5.00,15.00"), "{}", lines[2]);
        assert!(lines[3].ends_with("-12.00,3.00"), "{}", lines[3]);
        assert_eq!(lines[4], "1970-01-31,,,closing balance,,,,3.00");
    }

    proptest! {
        #[test]
        fn the_closing_balance_of_one_statement_is_the_opening_balance_of_the_next(
            opening in 0_i64..10_000, moves in proptest::collection::vec(-500_i64..500, 0..20), cut in 0_usize..20,
        ) {
            let cut = cut.min(moves.len());
            let first = statement(opening, &moves[..cut]);
            let second = statement(first.closing.minor, &moves[cut..]);
            prop_assert_eq!(second.closing, statement(opening, &moves).closing);
        }
    }
}
