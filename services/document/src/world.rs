//! All the typesetter may see: the template, the data, the logo and the fonts chosen for it. No disk, no network, no
//! clock.

use std::sync::LazyLock;

use typst::{
    Library, LibraryExt, World,
    diag::{FileError, FileResult},
    foundations::{Bytes, Datetime, Duration},
    syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot},
    text::{Font, FontBook},
    utils::LazyHash,
};

use crate::fonts::Typefaces;

const TEMPLATE: &str = include_str!("../template/document.typ");

static LIBRARY: LazyLock<LazyHash<Library>> = LazyLock::new(|| LazyHash::new(Library::default()));

/// The closed world of one document.
pub(crate) struct Page<'a> {
    typefaces: &'a Typefaces,
    template: Source,
    data: (FileId, Bytes),
    logo: Option<(FileId, Bytes)>,
}

impl<'a> Page<'a> {
    /// A world whose template reads `data` (JSON) and, when given, the `logo` (SVG).
    pub(crate) fn new(data: Vec<u8>, logo: Option<&str>, typefaces: &'a Typefaces) -> Self {
        Self {
            typefaces,
            template: Source::new(file("document.typ"), TEMPLATE.to_owned()),
            data: (file("data.json"), Bytes::new(data)),
            logo: logo.map(|svg| (file("logo.svg"), Bytes::from_string(svg.to_owned()))),
        }
    }
}

impl World for Page<'_> {
    fn library(&self) -> &LazyHash<Library> {
        &LIBRARY
    }

    fn book(&self) -> &LazyHash<FontBook> {
        self.typefaces.book()
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
        self.typefaces.font(index)
    }

    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}

fn file(name: &str) -> FileId {
    let path = VirtualPath::new(name).expect("names of the bundled files are plain");
    FileId::new(RootedPath::new(VirtualRoot::Project, path))
}
