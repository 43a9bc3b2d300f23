//! All the typesetter may see: the template, the data, the logo and the bundled fonts. No disk, no network, no clock.

use std::sync::LazyLock;

use typst::{
    Library, LibraryExt, World,
    diag::{FileError, FileResult},
    foundations::{Bytes, Datetime, Duration},
    syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot},
    text::{Font, FontBook},
    utils::LazyHash,
};

const TEMPLATE: &str = include_str!("../template/document.typ");

/// Latin, Greek and Cyrillic in Inter; Arabic in Vazirmatn. See `fonts/README.md`.
const FONTS: [&[u8]; 4] = [
    include_bytes!("../fonts/Inter-Regular.ttf"),
    include_bytes!("../fonts/Inter-SemiBold.ttf"),
    include_bytes!("../fonts/Vazirmatn-Regular.ttf"),
    include_bytes!("../fonts/Vazirmatn-SemiBold.ttf"),
];

static LIBRARY: LazyLock<LazyHash<Library>> = LazyLock::new(|| LazyHash::new(Library::default()));
static TYPEFACES: LazyLock<Typefaces> = LazyLock::new(Typefaces::load);

struct Typefaces {
    fonts: Vec<Font>,
    book: LazyHash<FontBook>,
}

impl Typefaces {
    fn load() -> Self {
        let fonts: Vec<Font> = FONTS.into_iter().flat_map(|data| Font::iter(Bytes::new(data))).collect();
        let book = LazyHash::new(FontBook::from_fonts(&fonts));
        Self { fonts, book }
    }
}

/// The closed world of one document.
pub(crate) struct Page {
    template: Source,
    data: (FileId, Bytes),
    logo: Option<(FileId, Bytes)>,
}

impl Page {
    /// A world whose template reads `data` (JSON) and, when given, the `logo` (SVG).
    pub(crate) fn new(data: Vec<u8>, logo: Option<&str>) -> Self {
        Self {
            template: Source::new(file("document.typ"), TEMPLATE.to_owned()),
            data: (file("data.json"), Bytes::new(data)),
            logo: logo.map(|svg| (file("logo.svg"), Bytes::from_string(svg.to_owned()))),
        }
    }
}

impl World for Page {
    fn library(&self) -> &LazyHash<Library> {
        &LIBRARY
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &TYPEFACES.book
    }

    fn main(&self) -> FileId {
        self.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.template.id() { Ok(self.template.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        [Some(&self.data), self.logo.as_ref()]
            .into_iter()
            .flatten()
            .find(|(known, _)| *known == id)
            .map(|(_, bytes)| bytes.clone())
            .ok_or(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        TYPEFACES.fonts.get(index).cloned()
    }

    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}

fn file(name: &str) -> FileId {
    let path = VirtualPath::new(name).expect("names of the bundled files are plain");
    FileId::new(RootedPath::new(VirtualRoot::Project, path))
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
        for (index, font) in TYPEFACES.fonts.iter().enumerate() {
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
        assert_eq!(TYPEFACES.fonts.len(), FONTS.len());
    }
}
