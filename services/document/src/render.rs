//! From a document to the bytes of a PDF.

use std::{collections::BTreeSet, path::PathBuf};

use chrono::Datelike;
use serde_json::Value;
use thiserror::Error;
use typst::{
    comemo,
    diag::SourceDiagnostic,
    foundations::{Datetime, Smart},
};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, Timestamp};

use crate::{
    check::Invalid,
    fonts::{FONT_FOLDERS, Typefaces, Unprintable},
    glyphs,
    model::Document,
    script,
    view::View,
    world::Page,
};

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

/// A drawn document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pdf {
    /// The file.
    pub bytes: Vec<u8>,
    /// What could not be drawn as itself, for the operator's log.
    pub unprintable: Option<Unprintable>,
}

/// Draws a document as a PDF (A4, tagged, fonts embedded as subsets). The same document gives the same bytes on machines
/// with the same fonts.
///
/// The typesetter keeps its caches and fonts in memory; services call [`crate::Renderer`] instead, which does
/// this in a child process.
pub fn render(document: &Document) -> Result<Pdf, RenderError> {
    render_with(document, &FONT_FOLDERS.map(PathBuf::from))
}

/// [`render`] with the fonts of other folders (they are looked through, four levels deep).
pub fn render_with(document: &Document, font_folders: &[PathBuf]) -> Result<Pdf, RenderError> {
    document.check()?;
    let (pages, missing) = match set(document, document.brand.logo_svg.as_deref(), font_folders) {
        // A broken logo must not keep an invoice from its customer: the brand's name stands in.
        Err(_) if document.brand.logo_svg.is_some() => set(document, None, font_folders)?,
        outcome => outcome?,
    };
    let mut bytes =
        typst_pdf::pdf(&pages, &options(document)).map_err(|faults| RenderError::Layout(explain(&faults)))?;
    blank_toolkit(&mut bytes);
    Ok(Pdf { bytes, unprintable: Unprintable::of(&missing) })
}

/// Blanks the name of the XMP library, which has no setting for it. The length stays, so every offset of the file does.
fn blank_toolkit(pdf: &mut [u8]) {
    const TOOLKIT: &[u8] = b"x:xmptk=\"xmp-writer\"";
    const BLANK: &[u8] = b"x:xmptk=\"          \"";
    if let Some(start) = pdf.windows(TOOLKIT.len()).position(|window| window == TOOLKIT) {
        pdf[start..start + TOOLKIT.len()].copy_from_slice(BLANK);
    }
}

/// The pages, and the characters on them that no font has and that are spelt out.
fn set(
    document: &Document,
    logo: Option<&str>,
    font_folders: &[PathBuf],
) -> Result<(PagedDocument, BTreeSet<char>), RenderError> {
    let mut data = serde_json::to_value(View::of(document, logo.is_some()))?;
    let typefaces = Typefaces::for_text(&(glyphs::texts(&data) + logo.unwrap_or_default()), font_folders);
    data["fonts"] = typefaces.families().into();
    let pages = layout(&data, logo, &typefaces)?;
    let missing = glyphs::missing(&pages, &typefaces);
    if missing.is_empty() {
        return Ok((pages, missing));
    }
    glyphs::spell_out(&mut data, &missing);
    let pages = layout(&data, logo, &typefaces)?;
    if !glyphs::missing(&pages, &typefaces).is_empty() {
        return Err(RenderError::Layout("a character has no glyph in any font and cannot be spelt out either".into()));
    }
    Ok((pages, missing))
}

fn layout(data: &Value, logo: Option<&str>, typefaces: &Typefaces) -> Result<PagedDocument, RenderError> {
    let (rtl, languages) = script::manners(data);
    let mut json = data.clone();
    json["rtl"] = rtl.into_iter().collect();
    json["languages"] = serde_json::to_value(languages)?;
    let outcome = typst::compile::<PagedDocument>(&Page::new(serde_json::to_vec(&json)?, logo, typefaces)).output;
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
