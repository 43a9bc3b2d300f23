//! Which fonts a document is set in: the bundled ones, and for other scripts those of the machine.
//!
//! The fonts of all scripts together have more than 100 MB, so they are no part of the program. What a document needs is
//! read from the Noto fonts of the system (Debian: `fonts-noto-core`, `fonts-noto-cjk`), file by file, and only when a
//! character of the document asks for it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use thiserror::Error;
use typst::{
    foundations::Bytes,
    text::{Font, FontBook, is_default_ignorable},
    utils::LazyHash,
};
use unicode_script::{Script, UnicodeScript};

/// Where systems keep their fonts.
pub const FONT_FOLDERS: [&str; 2] = ["/usr/share/fonts", "/usr/local/share/fonts"];

/// Latin, Greek and Cyrillic in Inter; Arabic in Vazirmatn. See `fonts/README.md`.
const BUNDLED: [&[u8]; 4] = [
    include_bytes!("../fonts/Inter-Regular.ttf"),
    include_bytes!("../fonts/Inter-SemiBold.ttf"),
    include_bytes!("../fonts/Vazirmatn-Regular.ttf"),
    include_bytes!("../fonts/Vazirmatn-SemiBold.ttf"),
];

/// The one family for Chinese, Japanese and Korean: a collection whose faces differ in the shapes they prefer. Which
/// shapes a text gets is decided by its language, so one face serves all: the simplified Chinese one.
const CJK: &str = "NotoSansCJK";
const CJK_FACE: u32 = 2;
/// Weights that the page uses, and emoji, which come without one.
const CUTS: [&str; 3] = ["-Regular", "-Bold", ""];
const EXTENSIONS: [&str; 3] = ["ttf", "otf", "ttc"];
/// Folders below folders that are looked through.
const DEPTH_MAX: u32 = 4;
/// A larger file is no font we know.
const FONT_BYTES_MAX: u64 = 64 * 1024 * 1024;

static FONTS: LazyLock<Vec<Font>> =
    LazyLock::new(|| BUNDLED.into_iter().flat_map(|data| Font::iter(Bytes::new(data))).collect());

/// The fonts of one document.
#[derive(Debug)]
pub(crate) struct Typefaces {
    fonts: Vec<Font>,
    book: LazyHash<FontBook>,
}

impl Typefaces {
    /// The bundled fonts, and of those below `folders` what else `text` needs.
    pub(crate) fn for_text(text: &str, folders: &[PathBuf]) -> Self {
        let mut fonts = FONTS.clone();
        // Letters before what all scripts share: a comma between Chinese letters then finds their font loaded.
        let missing: BTreeSet<(bool, char)> = text
            .chars()
            .filter(|letter| needs_ink(*letter) && !draws(&fonts, *letter))
            .map(|letter| (matches!(letter.script(), Script::Common | Script::Inherited), letter))
            .collect();
        if !missing.is_empty() {
            let mut shelf = Shelf::of(folders);
            for (_, letter) in missing {
                if !draws(&fonts, letter) {
                    let found = families(letter).into_iter().map(|family| shelf.take(&family));
                    fonts.extend(found.into_iter().find(|cuts| draws(cuts, letter)).unwrap_or_default());
                }
            }
        }
        let book = LazyHash::new(FontBook::from_fonts(&fonts));
        Self { fonts, book }
    }

    pub(crate) fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    pub(crate) fn font(&self, index: usize) -> Option<Font> {
        self.fonts.get(index).cloned()
    }

    /// Names of the families, the preferred one first.
    pub(crate) fn families(&self) -> Vec<String> {
        let mut names: Vec<_> = self.fonts.iter().map(|font| font.info().family.clone()).collect();
        names.dedup();
        names
    }

    /// Whether one of the fonts has a glyph for it, or it needs none.
    pub(crate) fn can_draw(&self, letter: char) -> bool {
        !needs_ink(letter) || draws(&self.fonts, letter)
    }
}

/// Whether a reader would miss it: blanks, controls and joiners leave no ink.
fn needs_ink(letter: char) -> bool {
    !letter.is_whitespace() && !letter.is_control() && !is_default_ignorable(letter)
}

fn draws(fonts: &[Font], letter: char) -> bool {
    fonts.iter().any(|font| font.info().coverage.contains(letter.into()))
}

/// Families that may have a letter, the likeliest first.
fn families(letter: char) -> Vec<String> {
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    match letter.script() {
        Script::Han | Script::Hiragana | Script::Katakana | Script::Hangul | Script::Bopomofo => named(&[CJK]),
        Script::Latin | Script::Greek | Script::Cyrillic => named(&["NotoSans"]),
        Script::Common | Script::Inherited | Script::Unknown if is_wide(letter) => named(&[CJK]),
        Script::Common | Script::Inherited | Script::Unknown => {
            named(&["NotoSans", "NotoSansSymbols", "NotoSansSymbols2", "NotoSansMath", "NotoColorEmoji", CJK])
        }
        other => {
            let name = other.full_name().replace('_', "");
            vec![format!("NotoSans{name}"), format!("NotoSerif{name}")]
        }
    }
}

/// Punctuation of Chinese, Japanese and Korean, and the wide forms of Latin letters.
fn is_wide(letter: char) -> bool {
    matches!(letter, '\u{3000}'..='\u{303f}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}')
}

/// The font files of a machine, read when asked for.
struct Shelf {
    files: HashMap<String, PathBuf>,
    taken: BTreeMap<String, Vec<Font>>,
}

impl Shelf {
    fn of(folders: &[PathBuf]) -> Self {
        let mut files = HashMap::new();
        for folder in folders {
            list(folder, DEPTH_MAX, &mut files);
        }
        Self { files, taken: BTreeMap::new() }
    }

    /// The cuts of a family that are there.
    fn take(&mut self, family: &str) -> Vec<Font> {
        if let Some(cuts) = self.taken.get(family) {
            return cuts.clone();
        }
        let face = if family == CJK { CJK_FACE } else { 0 };
        let file =
            |cut: &&str| EXTENSIONS.iter().find_map(|extension| self.files.get(&format!("{family}{cut}.{extension}")));
        let cuts: Vec<Font> = CUTS.iter().filter_map(|cut| read(file(cut)?, face)).collect();
        self.taken.insert(family.to_owned(), cuts.clone());
        cuts
    }
}

/// What cannot be read is not there: the check for missing glyphs tells the consequence.
fn list(folder: &Path, depth: u32, files: &mut HashMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth > 1 {
                list(&entry.path(), depth - 1, files);
            }
        } else if name.starts_with("Noto") {
            files.entry(name).or_insert_with(|| entry.path());
        }
    }
}

fn read(path: &Path, face: u32) -> Option<Font> {
    if fs::metadata(path).ok()?.len() > FONT_BYTES_MAX {
        return None;
    }
    let data = Bytes::new(fs::read(path).ok()?);
    Font::new(data.clone(), face).or_else(|| Font::new(data, 0))
}

/// Characters of a document for which no font was found: each is printed as its number, `[U+0E2A]`, never as an empty box.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{count} different characters ({}) have no font and are printed as their Unicode numbers; install {} \
     or put Noto fonts of these scripts below {}",
    scripts.join(", "), packages.join(", "), FONT_FOLDERS.join(" or ")
)]
pub struct Unprintable {
    /// How many different ones.
    pub count: usize,
    /// Their scripts. The characters themselves may be a person's name and are not told.
    pub scripts: Vec<String>,
    /// Debian packages with fonts for them.
    pub packages: Vec<&'static str>,
}

impl Unprintable {
    /// Says which scripts lack a font; `None` when nothing is missing.
    pub(crate) fn of(missing: &BTreeSet<char>) -> Option<Self> {
        let scripts: BTreeSet<&str> = missing.iter().map(|letter| letter.script().full_name()).collect();
        let packages: BTreeSet<&'static str> = missing.iter().map(|letter| package(*letter)).collect();
        (!missing.is_empty()).then(|| Self {
            count: missing.len(),
            scripts: scripts.into_iter().map(|script| script.replace('_', " ")).collect(),
            packages: packages.into_iter().collect(),
        })
    }
}

fn package(letter: char) -> &'static str {
    match letter.script() {
        Script::Han | Script::Hiragana | Script::Katakana | Script::Hangul | Script::Bopomofo => "fonts-noto-cjk",
        _ if is_wide(letter) => "fonts-noto-cjk",
        Script::Common if u32::from(letter) >= 0x1_f000 => "fonts-noto-color-emoji",
        _ => "fonts-noto-core",
    }
}

#[cfg(test)]
mod tests {
    use typst::{
        layout::Abs,
        text::{FontVariant, FontVariations},
    };

    use super::*;

    #[test]
    fn every_bundled_font_can_draw_its_script() {
        let letters = ['A', 'ß', 'ğ', '€'];
        for (index, font) in FONTS.iter().enumerate() {
            let drawn = font.clone().instantiate(FontVariant::default(), Abs::pt(9.0), &FontVariations::default());
            let arabic = font.info().family == "Vazirmatn";
            for letter in letters.into_iter().filter(|_| !arabic).chain(['م', 'ك'].into_iter().filter(|_| arabic)) {
                let glyph = drawn.ttf().glyph_index(letter);
                assert!(
                    glyph.is_some_and(|id| drawn.ttf().glyph_bounding_box(id).is_some()),
                    "{letter} in font {index}"
                );
            }
        }
        assert_eq!(FONTS.len(), BUNDLED.len());
    }

    #[test]
    fn a_machine_without_fonts_has_the_bundled_ones() {
        let faces = Typefaces::for_text("Ayşe שלום", &[PathBuf::from("/nowhere")]);
        assert_eq!(faces.families(), ["Inter", "Vazirmatn"]);
        assert!(faces.can_draw('ş') && faces.can_draw('\u{200b}') && !faces.can_draw('ש'));
    }

    #[test]
    fn what_is_missing_names_scripts_and_packages_but_no_letters() {
        let missing = BTreeSet::from(['王', 'ש', 'ל']);
        let text = Unprintable::of(&missing).unwrap().to_string();
        assert!(text.contains("3 different characters (Han, Hebrew)"), "{text}");
        assert!(text.contains("install fonts-noto-cjk, fonts-noto-core") && !text.contains('王'), "{text}");
        assert_eq!(Unprintable::of(&BTreeSet::new()), None);
    }
}
