//! From a document to the bytes of a PDF.

use chrono::Datelike;
use thiserror::Error;
use typst::{
    comemo,
    diag::SourceDiagnostic,
    foundations::{Datetime, Smart},
};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, Timestamp};

use crate::{check::Invalid, model::Document, view::View, world::Page};

/// Why a document was not drawn.
#[derive(Debug, Error)]
pub enum RenderError {
    /// The input is no document at all.
    #[error("the document cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The input is longer than any document.
    #[error("the document is larger than {limit} bytes; a logo or a text in it is too long")]
    TooLarge {
        /// Bytes accepted.
        limit: u64,
    },
    /// The document contradicts itself or lacks something.
    #[error("the document is refused: {0}")]
    Invalid(#[from] Invalid),
    /// The template failed: a fault of this crate, not of the data.
    #[error("the page cannot be laid out: {0}")]
    Layout(String),
    /// Standard input or output failed.
    #[error("the document cannot be passed on")]
    Io(#[from] std::io::Error),
}

/// Draws a document as a PDF (A4, tagged, fonts embedded as subsets). The same document gives the same bytes.
///
/// The typesetter keeps its caches and fonts in memory; services call [`crate::Renderer`] instead, which does
/// this in a child process.
pub fn render(document: &Document) -> Result<Vec<u8>, RenderError> {
    document.check()?;
    let pages = match layout(document, document.brand.logo_svg.as_deref()) {
        // A broken logo must not keep an invoice from its customer: the brand's name stands in.
        Err(_) if document.brand.logo_svg.is_some() => layout(document, None)?,
        outcome => outcome?,
    };
    let mut pdf = typst_pdf::pdf(&pages, &options(document)).map_err(|faults| RenderError::Layout(explain(&faults)))?;
    blank_toolkit(&mut pdf);
    Ok(pdf)
}

/// Blanks the name of the XMP library, which has no setting for it. The length stays, so every offset of the file does.
fn blank_toolkit(pdf: &mut [u8]) {
    const TOOLKIT: &[u8] = b"x:xmptk=\"xmp-writer\"";
    const BLANK: &[u8] = b"x:xmptk=\"          \"";
    if let Some(start) = pdf.windows(TOOLKIT.len()).position(|window| window == TOOLKIT) {
        pdf[start..start + TOOLKIT.len()].copy_from_slice(BLANK);
    }
}

fn layout(document: &Document, logo: Option<&str>) -> Result<PagedDocument, RenderError> {
    let data = serde_json::to_vec(&View::of(document, logo.is_some()))?;
    let outcome = typst::compile::<PagedDocument>(&Page::new(data, logo)).output;
    // One document per process is the rule; a caller that draws many must not pile up their caches.
    comemo::evict(0);
    outcome.map_err(|faults| RenderError::Layout(explain(&faults)))
}

fn options(document: &Document) -> PdfOptions {
    let day = document.issued_on;
    let month_and_day = u8::try_from(day.month()).ok().zip(u8::try_from(day.day()).ok());
    let issued = month_and_day.and_then(|(month, dom)| Datetime::from_ymd_hms(day.year(), month, dom, 0, 0, 0));
    PdfOptions {
        ident: Smart::Custom(format!("{}\n{}", document.seller.legal_name, document.number)),
        creator: Smart::Custom(Some(document.brand.name.clone())),
        timestamp: issued.map(Timestamp::new_utc),
        ..PdfOptions::default()
    }
}

fn explain(faults: &[SourceDiagnostic]) -> String {
    faults.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>().join("; ")
}
