//! Billing addresses and VAT numbers as others read them.

use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::billing_address::VatState;

use super::timestamp;
use crate::domain::address::Kept;
use crate::domain::vat::{Evidence, Standing};

/// The proof that a number was valid.
#[must_use]
pub fn proof(evidence: &Evidence) -> proto::VatProof {
    proto::VatProof {
        vat_number: evidence.number.clone(),
        validator: evidence.validator.clone(),
        checked_at: Some(timestamp(evidence.checked_at)),
        check_id: evidence.check_id.clone(),
        reference: evidence.reference.clone(),
        name: evidence.name.clone(),
        address: evidence.address.clone(),
    }
}

/// A billing address with what is known of its number.
#[must_use]
pub fn billing_address(account: ottery_kernel::AccountId, kept: &Kept) -> proto::BillingAddress {
    let address = &kept.address;
    let (state, until, evidence) = match &kept.standing {
        None => (VatState::None, None, None),
        Some(Standing::Pending { until, before, .. }) => (VatState::Pending, Some(*until), before.as_ref()),
        Some(Standing::Valid(evidence)) => (VatState::Valid, None, Some(evidence)),
        Some(Standing::Invalid { .. }) => (VatState::Invalid, None, None),
    };
    proto::BillingAddress {
        account_id: account.to_string(),
        company: address.company.clone(),
        lines: address.lines.clone(),
        postal_code: address.postal_code.clone(),
        city: address.city.clone(),
        region: address.region.clone(),
        country: address.country.clone(),
        vat_number: address.vat_number.clone(),
        vat_state: state.into(),
        vat_pending_until: until.map(timestamp),
        vat_proof: evidence.map(proof),
        source: kept.source.as_str().to_owned(),
        version: kept.version.unsigned_abs(),
    }
}
