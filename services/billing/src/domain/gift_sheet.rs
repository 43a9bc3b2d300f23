//! The codes of a batch as CSV, for whoever prints or sells them.

use super::export::{Csv, instant, text};
use super::gift::{Batch, Code, Gives};

/// Columns of the CSV.
const HEAD: [&str; 6] = ["code", "last_four", "gives", "value", "currency", "expires_at"];

/// One row per code.
pub fn csv(batch: &Batch, codes: impl Iterator<Item = Code>) -> String {
    let mut sheet = Csv::new(Some(HEAD.as_slice()));
    let gives = match &batch.gives {
        Gives::Money { .. } => "credit".to_owned(),
        Gives::Plan { offer } => text(&offer.plan_name),
    };
    for code in codes {
        sheet.row([
            code.printed(&batch.prefix),
            code.last_four().to_owned(),
            gives.clone(),
            batch.value.to_decimal(),
            batch.value.currency.to_string(),
            batch.expires_at.map(instant).unwrap_or_default(),
        ]);
    }
    sheet.finish()
}
