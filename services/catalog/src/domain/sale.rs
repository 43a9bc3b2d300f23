//! How many of a plan can be sold, and when.

use chrono::{DateTime, Utc};

use super::Invalid;

/// More than anybody sells of one plan; a typing mistake is.
const STOCK_MAX: u32 = 10_000_000;

/// Limits of a plan's sale. What was sold already renews whatever they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sale {
    /// How many can be ordered; none: no limit.
    pub stock: Option<u32>,
    /// Not sold before.
    pub from: Option<DateTime<Utc>>,
    /// Not sold from here on.
    pub until: Option<DateTime<Utc>>,
}

/// From when and until when, as it arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// None: since ever.
    pub from: Option<DateTime<Utc>>,
    /// None: for ever.
    pub until: Option<DateTime<Utc>>,
}

impl Sale {
    /// Checks what somebody wrote.
    ///
    /// # Errors
    /// The field that cannot be right.
    pub fn validate(self) -> Result<Self, Invalid> {
        if let Some(stock) = self.stock.filter(|stock| *stock > STOCK_MAX) {
            return Err(Invalid::new(
                "stock",
                "RANGE",
                format!("use 0 to {STOCK_MAX}, or none for no limit, got {stock}"),
            ));
        }
        if let (Some(from), Some(until)) = (self.from, self.until)
            && until <= from
        {
            let message = format!("a sale ends after it begins, {from}; got {until}");
            return Err(Invalid::new("sale.until", "SALE_BACKWARDS", message));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_sale_ends_after_it_begins_and_a_stock_is_one_somebody_has() {
        let from = DateTime::UNIX_EPOCH;
        let sale = |until, stock| Sale { stock, from: Some(from), until: Some(until) }.validate();
        assert!(sale(from + TimeDelta::seconds(1), Some(0)).is_ok());
        assert_eq!(sale(from, None).unwrap_err().field, "sale.until");
        assert_eq!(sale(from + TimeDelta::days(1), Some(u32::MAX)).unwrap_err().field, "stock");
        assert_eq!(Sale::default().validate(), Ok(Sale::default()));
    }
}
