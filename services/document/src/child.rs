//! The child process: `render` reads a document from standard input and writes the PDF to standard output.

use std::{
    io::{Read, Write},
    process::ExitCode,
};

use crate::{
    fonts::Unprintable,
    model::Document,
    render::{RenderError, render},
};

/// Bytes of JSON a document may have.
pub const INPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Exit status when the document is at fault: sending it again cannot help.
pub const EXIT_REFUSED: u8 = 65;
/// Exit status when drawing failed for a reason of our own.
pub const EXIT_FAILED: u8 = 70;

/// Reads one JSON document, writes its PDF; answers what could not be drawn as itself.
pub fn render_stream(input: impl Read, mut output: impl Write) -> Result<Option<Unprintable>, RenderError> {
    let mut json = Vec::new();
    input.take(INPUT_BYTES_MAX + 1).read_to_end(&mut json)?;
    if json.len() as u64 > INPUT_BYTES_MAX {
        return Err(RenderError::TooLarge { limit: INPUT_BYTES_MAX });
    }
    let document: Document = serde_json::from_slice(&json)?;
    let pdf = render(&document)?;
    output.write_all(&pdf.bytes)?;
    output.flush()?;
    Ok(pdf.unprintable)
}

/// The body of the subcommand: standard input to standard output; the reason of a failure, and what was printed in
/// another way than it was written, on standard error.
#[must_use]
pub fn run() -> ExitCode {
    match render_stream(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(unprintable) => {
            if let Some(unprintable) = unprintable {
                let _ = writeln!(std::io::stderr(), "{unprintable}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Nobody is left to tell when standard error is closed as well.
            let _ = writeln!(std::io::stderr(), "{error}");
            match error {
                RenderError::Unreadable(_) | RenderError::TooLarge { .. } | RenderError::Invalid(_) => {
                    EXIT_REFUSED.into()
                }
                RenderError::Layout(_) | RenderError::Io(_) => EXIT_FAILED.into(),
            }
        }
    }
}
