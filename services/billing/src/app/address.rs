//! Billing addresses: where invoices go, and what decides on their tax.

use ottery_kernel::{AccountId, BrandId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, ActorKind, Problem};
use serde_json::json;

use super::{Billing, profile};
use crate::domain::address::{Address, Kept, Source};
use crate::domain::vat::{VatNumber, VatNumberError};
use crate::store;

impl From<VatNumberError> for Problem {
    fn from(error: VatNumberError) -> Self {
        let reason = match &error {
            VatNumberError::Prefix => "VAT_NUMBER_PREFIX",
            VatNumberError::Form { .. } => "VAT_NUMBER_FORM",
            VatNumberError::CheckDigit { .. } => "VAT_NUMBER_CHECK_DIGIT",
        };
        Self::invalid("vat_number", reason, format!("vat_number: {error}"))
    }
}

impl Billing {
    /// The customer's billing address; none when nobody ever typed one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn billing_address(&self, brand: BrandId, account: AccountId) -> Result<Option<Kept>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::address::get(&mut tx, brand, account).await?)
    }

    /// Keeps a billing address. Invoices that were issued keep the older one; a new VAT number is asked about at once.
    ///
    /// # Errors
    /// When the VAT number is none, or of another country than the address; when the address was changed meanwhile.
    pub async fn put_billing_address(
        &self,
        brand: BrandId,
        account: AccountId,
        mut address: Address,
        expected_version: i64,
        actor: &Actor,
    ) -> Result<Kept, Problem> {
        let number = match address.vat_number.as_str() {
            "" => None,
            text => Some(VatNumber::parse(text)?),
        };
        if let Some(number) = &number {
            if number.country() != address.country {
                let message = format!(
                    "vat_number: `{number}` is a number of {}, and the address is in {}; give the number of the country the business is in",
                    number.country(),
                    address.country
                );
                return Err(Problem::invalid("vat_number", "VAT_NUMBER_COUNTRY", message));
            }
            address.vat_number = number.to_string();
        }
        let (mut tx, now) = self.begin(brand).await?;
        // Due rows before addresses, as the scheduler locks them: an invoice that waits for the older number need not.
        store::due::nudge(&mut tx, brand, account, now).await?;
        let before = store::address::lock(&mut tx, brand, account).await?;
        let found = before.as_ref().map_or(0, |before| before.version);
        if expected_version != found {
            let message = format!("version {expected_version} is not the newest, which is {found}; read it again");
            return Err(Problem::conflict("STALE_VERSION", message).with("version", found));
        }
        let source = if actor.kind == ActorKind::Customer { Source::Customer } else { Source::Staff };
        if let Some(before) = before.as_ref().filter(|before| before.address == address) {
            return Ok(before.clone());
        }
        let known = before.as_ref().filter(|before| before.address.vat_number == address.vat_number);
        let standing = match (&number, known.and_then(|before| before.standing.clone())) {
            (None, _) => None,
            (Some(_), Some(standing)) => Some(standing),
            (Some(number), None) => {
                let wait = profile(&mut tx, brand).await?.entity.tax.vat_wait();
                Some(self.ask_about(&mut tx, brand, account, number, None, wait, now).await?)
            }
        };
        let kept = Kept { address, source, standing, version: found + 1 };
        store::address::put(&mut tx, brand, account, &kept, now).await?;
        let written = |kept: &Kept| {
            let (address, source) = (&kept.address, kept.source.as_str());
            json!({ "country": address.country, "region": address.region, "postal_code": address.postal_code,
                    "vat_number": address.vat_number, "source": source })
        };
        let (old, new) = (before.as_ref().map(written), written(&kept));
        audit::append(&mut tx, actor, "billing_address.update", account, old, Some(new)).await?;
        tx.commit().await?;
        Ok(kept)
    }
}
