//! QR codes as SVG paths: no picture files, no inline styles.

use std::fmt::Write as _;

use qrcodegen::{QrCode as Encoded, QrCodeEcc};

use super::block::{Block, QrCode};

/// Light modules around the code.
const QUIET: i32 = 4;

/// The code of this text, and the secret for typing in; none when the text is too long for one.
#[must_use]
pub fn block(secret: &str, text: &str) -> Option<Block> {
    draw(secret, text, "")
}

/// The code of a link that wallets open, and the amount for typing in.
#[must_use]
pub fn payment(amount: &str, link: &str) -> Option<Block> {
    draw(amount, link, link)
}

/// The code of a transfer that banks' apps fill their form in from, and the amount for typing in.
#[must_use]
pub fn transfer(amount: &str, text: &str) -> Option<Block> {
    match draw(amount, text, "")? {
        Block::Code(code) => Some(Block::Code(QrCode { is_transfer: true, ..code })),
        other => Some(other),
    }
}

fn draw(secret: &str, text: &str, link: &str) -> Option<Block> {
    let code = Encoded::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in 0..code.size() {
            if code.get_module(x, y) {
                let _ = write!(path, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
            }
        }
    }
    Some(Block::Code(QrCode {
        side: code.size() + 2 * QUIET,
        path,
        secret: secret.to_owned(),
        link: link.to_owned(),
        is_transfer: false,
    }))
}
