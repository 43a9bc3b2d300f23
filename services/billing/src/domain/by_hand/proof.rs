//! Files by which a customer shows that they have paid: what they may be, told by their first bytes and never by their name.

/// Largest file.
pub const FILE_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Files of one payment.
pub const FILES_MAX: usize = 4;
/// Longest name that is kept, in characters.
const NAME_CHARS_MAX: usize = 80;

/// What a proof may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofKind {
    /// A document.
    Pdf,
    /// A picture of a screen.
    Png,
    /// A photograph.
    Jpeg,
}

/// A file that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofRefused {
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Too large.
    #[error("the file is larger than 5 MB; send a smaller picture of it")]
    Large,
    /// Something else.
    #[error("only PDF, PNG and JPEG files are taken, whatever their name says")]
    Kind,
    /// There are some already.
    #[error("there are {FILES_MAX} files of this payment already; that is enough")]
    Many,
}

impl ProofKind {
    /// What a file is, by its first bytes: `%PDF-` (ISO 32000), the signature of PNG (ISO 15948), SOI and a marker (JPEG).
    ///
    /// # Errors
    /// When it is none of these, empty or too large.
    pub fn of(bytes: &[u8]) -> Result<Self, ProofRefused> {
        if bytes.is_empty() {
            return Err(ProofRefused::Empty);
        }
        if bytes.len() > FILE_BYTES_MAX {
            return Err(ProofRefused::Large);
        }
        if bytes.starts_with(b"%PDF-") {
            Ok(Self::Pdf)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Ok(Self::Png)
        } else if bytes.starts_with(b"\xff\xd8\xff") {
            Ok(Self::Jpeg)
        } else {
            Err(ProofRefused::Kind)
        }
    }

    /// As browsers call it, and as stored.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }

    /// The kind stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Pdf, Self::Png, Self::Jpeg].into_iter().find(|kind| kind.media_type() == text)
    }

    /// How such a file's name ends.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Png => "png",
            Self::Jpeg => "jpg",
        }
    }
}

/// A name that can stand in a header and in any folder: letters, digits and `-_.` of what was sent, with the ending of what it is.
#[must_use]
pub fn safe_name(sent: &str, kind: ProofKind) -> String {
    let stem = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let is_kept = |sign: &char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_');
    let own: String = stem.chars().map(|sign| if is_kept(&sign) { sign } else { '-' }).take(NAME_CHARS_MAX).collect();
    let own = own.trim_matches('-');
    format!("{}.{}", if own.is_empty() { "proof" } else { own }, kind.ending())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_first_bytes_say() {
        assert_eq!(ProofKind::of(b"%PDF-1.7\n"), Ok(ProofKind::Pdf));
        assert_eq!(ProofKind::of(b"\x89PNG\r\n\x1a\n\0\0"), Ok(ProofKind::Png));
        assert_eq!(ProofKind::of(b"\xff\xd8\xff\xe0"), Ok(ProofKind::Jpeg));
        for other in [&b"<svg xmlns="[..], b"<!doctype html>", b"MZ", b"GIF89a", b" %PDF-1.7"] {
            assert_eq!(ProofKind::of(other), Err(ProofRefused::Kind), "{other:?}");
        }
        assert_eq!(ProofKind::of(b""), Err(ProofRefused::Empty));
        let mut large = b"%PDF-".to_vec();
        large.resize(FILE_BYTES_MAX, 0);
        assert_eq!(ProofKind::of(&large), Ok(ProofKind::Pdf));
        large.push(0);
        assert_eq!(ProofKind::of(&large), Err(ProofRefused::Large));
    }

    #[test]
    fn names_are_harmless_and_end_as_what_they_are() {
        for (sent, kept) in [
            ("Beleg März.PDF", "Beleg-M-rz.pdf"),
            ("../../etc/passwd", "passwd.pdf"),
            ("C:\\temp\\a.html", "a.pdf"),
            ("x\"; filename=\"y.exe", "x---filename--y.pdf"),
            ("", "proof.pdf"),
            ("\r\nSet-Cookie: a", "Set-Cookie--a.pdf"),
        ] {
            assert_eq!(safe_name(sent, ProofKind::Pdf), kept);
        }
        assert_eq!(safe_name(&"a".repeat(500), ProofKind::Jpeg).len(), 84);
    }

    #[test]
    fn kinds_read_back() {
        for kind in [ProofKind::Pdf, ProofKind::Png, ProofKind::Jpeg] {
            assert_eq!(ProofKind::from_text(kind.media_type()), Some(kind));
        }
    }
}
