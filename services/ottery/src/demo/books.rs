//! The ledger as the operator reads it: what each event must have booked, row by row.

use serde_json::Value;

use super::http::{Door, items, number, text};

/// The books of the brand.
#[derive(Clone, Debug)]
pub struct Books {
    operator: Door,
}

#[derive(Debug)]
struct Row {
    debit: String,
    credit: String,
    minor: i64,
    kind: String,
}

impl Books {
    /// Read with the operator's key.
    pub fn new(operator: &Door) -> Self {
        Self { operator: operator.clone() }
    }

    /// Debits equal credits.
    pub async fn balance(&self) -> anyhow::Result<()> {
        let balance = self.operator.get("/ledger/balance").await?;
        anyhow::ensure!(balance["balanced"] == true, "the ledger does not balance: {}", balance["balances"]);
        Ok(())
    }

    /// The invoice was booked once: what the customer owes, as revenue and tax.
    pub async fn invoice_is_booked(&self, invoice: &Value) -> anyhow::Result<()> {
        let (id, account) = (text(invoice, "/id")?, text(invoice, "/account_id")?);
        let (total, tax) = (number(invoice, "/total/minor")?, number(invoice, "/tax/minor")?);
        let rows = self.rows(id).await?;
        let owed = format!("receivable:{account}");
        let booked = |credit: &str| -> i64 {
            let is_it = |row: &&Row| row.kind == "invoice.finalised" && row.debit == owed && row.credit == credit;
            rows.iter().filter(is_it).map(|row| row.minor).sum()
        };
        anyhow::ensure!(
            booked("revenue") == total - tax && booked("tax") == tax,
            "invoice {id} of {total} with tax {tax} should be booked as revenue {} and tax {tax}, but the ledger has {rows:?}",
            total - tax
        );
        self.balance().await
    }

    /// The payment was booked once and paid what was owed.
    pub async fn payment_is_booked(&self, payment: &Value) -> anyhow::Result<()> {
        let (id, account) = (text(payment, "/id")?, text(payment, "/account_id")?);
        let (amount, provider) = (number(payment, "/amount/minor")?, text(payment, "/provider")?);
        let rows = self.rows(id).await?;
        let (at_provider, owed) = (format!("provider:{provider}"), format!("receivable:{account}"));
        let settled: Vec<&Row> = rows.iter().filter(|row| row.kind == "payment.settled").collect();
        let is_right =
            matches!(settled[..], [row] if row.debit == at_provider && row.credit == owed && row.minor == amount);
        anyhow::ensure!(
            is_right,
            "payment {id} should be booked once with {amount} from {owed} to {at_provider}, but the ledger has {rows:?}"
        );
        self.balance().await
    }

    /// Money went back: `amount` left the provider, and as much was taken back from revenue and tax.
    pub async fn refund_is_booked(&self, refund: &Value, account: &str, amount: i64) -> anyhow::Result<()> {
        let id = text(refund, "/id")?;
        let mut rows = self.rows(id).await?;
        if let Some(note) = refund["credit_note_id"].as_str() {
            rows.extend(self.rows(note).await?);
        }
        let owed = format!("receivable:{account}");
        let paid_out: i64 = rows
            .iter()
            .filter(|row| row.credit.starts_with("provider:") && row.debit == owed)
            .map(|row| row.minor)
            .sum();
        let taken_back: i64 = rows
            .iter()
            .filter(|row| row.credit == owed && (row.debit == "refunds" || row.debit == "tax"))
            .map(|row| row.minor)
            .sum();
        anyhow::ensure!(
            paid_out == amount && taken_back == amount,
            "refund {id} of {amount} should be paid out and taken back from sales and tax, but the ledger has {rows:?}"
        );
        self.balance().await
    }

    /// Nothing was booked about this.
    pub async fn nothing_about(&self, reference: &str) -> anyhow::Result<()> {
        let rows = self.rows(reference).await?;
        anyhow::ensure!(rows.is_empty(), "nothing should be booked about {reference}, but the ledger has {rows:?}");
        self.balance().await
    }

    async fn rows(&self, reference: &str) -> anyhow::Result<Vec<Row>> {
        let page = self.operator.get(&format!("/ledger/transfers?reference_id={reference}&limit=100")).await?;
        let mut rows = Vec::new();
        for item in items(&page)? {
            anyhow::ensure!(item["state"] == "posted", "a transfer about {reference} is {}", item["state"]);
            let word = |pointer| text(item, pointer).map(str::to_owned);
            let minor = number(item, "/amount/minor")?;
            rows.push(Row { debit: word("/debit")?, credit: word("/credit")?, minor, kind: word("/kind")? });
        }
        Ok(rows)
    }
}
