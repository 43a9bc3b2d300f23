//! Payments that no provider reports: money sent to the operator's bank account, or handed over in cash. People say what came.
//!
//! A payment waits under a [`Reference`]; what somebody says has come is a [record](RecordState), and above a limit a second person has to
//! agree before it is booked.

mod epc;
mod iban;
mod proof;
mod record;
mod reference;
mod standing;
mod terms;

pub use epc::{Transfer, TransferRefused};
pub use iban::{Bic, BicError, Iban, IbanError};
pub use proof::{FILE_BYTES_MAX, FILES_MAX, ProofKind, ProofRefused, safe_name};
pub use record::{
    Command as RecordCommand, Outcome as RecordOutcome, Person, Record, RecordRefused, State as RecordState,
};
pub use reference::{Reference, ReferenceError};
pub use standing::{Facts, Standing};
pub use terms::{AloneUpTo, ByHandTerms, TermsRefused};
