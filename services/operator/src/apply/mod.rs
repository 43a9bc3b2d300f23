//! Making a running system agree with documents.

mod check;
mod convert;
mod difference;
mod error;
mod field;
mod grpc;
mod http;
mod parse;
mod run;
mod stored;
mod target;

use serde::Serialize;

pub use difference::FieldChange;
pub use error::{ApplyError, Cause};
pub use grpc::GrpcTarget;
pub use http::{AddressError, HttpTarget};
pub use parse::{Content, Document, Place, parse};
pub use target::Target;

use run::Run;

/// Whether changes are made, or only told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Make them.
    Apply,
    /// Have the system check them and say what would change; nothing is written.
    DryRun,
}

impl Mode {
    /// As requests say it.
    #[must_use]
    pub fn is_dry_run(self) -> bool {
        self == Self::DryRun
    }
}

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It was not there before.
    Created,
    /// It was different.
    Configured,
    /// It agreed already.
    Unchanged,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        })
    }
}

/// One document and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Where it was read.
    pub place: Place,
    /// `brand/nordlicht`.
    pub what: String,
    /// Id in the system; empty when a dry run would create it.
    pub id: String,
    /// What became of it.
    pub change: Change,
    /// What differed, when it was there before.
    pub fields: Vec<FieldChange>,
}

/// Applies documents: brands, then panels, then plans, each as far as it differs. Everything that can be wrong with the
/// documents themselves is found before the first of them is applied. After that it stops at the first refusal; what was
/// applied before stays (`done` was told of it), and applying again goes on from there.
///
/// # Errors
/// A document that cannot be right, or the system's refusal: with the document's place and name, and the field.
pub async fn apply(
    target: &dyn Target,
    documents: &[Document],
    mode: Mode,
    done: &mut (dyn FnMut(Applied) + Send),
) -> Result<(), ApplyError> {
    let checked = check::all(documents)?;
    Run::new(target, mode, done).all(&checked).await
}
