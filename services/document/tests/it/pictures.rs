//! The pages as poppler sees them: their text read back, and their pictures.

use std::{path::PathBuf, process::Command};

use ottery_document::Document;

use crate::documents::drawn;

fn poppler(program: &str, before: &[&str], pdf: &[u8], after: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.pdf");
    std::fs::write(&file, pdf).unwrap();
    let run = Command::new(program).args(before).arg(&file).args(after).output();
    let output = run
        .unwrap_or_else(|error| panic!("{program} of poppler-utils ({error}); `make setup` installs what is missing"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The text of a PDF, line by line, from left to right as it stands on the page.
pub fn lines(pdf: &[u8]) -> Vec<String> {
    let text = String::from_utf8(poppler("pdftotext", &["-layout"], pdf, &["-"])).unwrap();
    // Poppler marks runs from right to left with embedding characters of its own.
    let marks = |letter: &char| !matches!(letter, '\u{202a}'..='\u{202e}');
    text.lines().map(|line| line.chars().filter(marks).collect::<String>().trim().to_owned()).collect()
}

/// A word and where it stands, in points from the page's left and upper side.
pub struct Word {
    pub text: String,
    pub left: f64,
    pub top: f64,
}

/// The words of a PDF. Poppler tells letters from right to left in the order they stand in; here they read as written.
pub fn words(pdf: &[u8]) -> Vec<Word> {
    let page = String::from_utf8(poppler("pdftotext", &["-bbox"], pdf, &["-"])).unwrap();
    let number = |line: &str, name: &str| -> f64 {
        let value = line.split_once(&format!("{name}=\"")).unwrap().1;
        value.split_once('"').unwrap().0.parse().unwrap()
    };
    let word = |line: &str| {
        let text = line.split_once('>')?.1.split_once("</word>")?.0.to_owned();
        let runs_rtl = text.contains(|letter| matches!(letter, '\u{590}'..='\u{8ff}'));
        let text = if runs_rtl { text.chars().rev().collect() } else { text };
        Some(Word { text, left: number(line, "xMin"), top: number(line, "yMin") })
    };
    page.lines().map(str::trim).filter(|line| line.starts_with("<word")).filter_map(word).collect()
}

/// A page as pixels of red, green and blue.
pub struct Picture {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// The first page of a document, 120 pixels to the inch.
    pub fn of(document: &Document) -> Self {
        Self::parse(&poppler("pdftoppm", &["-r", "120", "-f", "1", "-l", "1"], &drawn(document), &[]))
    }

    /// Reads `P6 <width> <height> 255` and the pixels.
    fn parse(ppm: &[u8]) -> Self {
        let head_end = ppm.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).unwrap().0;
        let head = std::str::from_utf8(&ppm[..head_end]).unwrap();
        let numbers: Vec<usize> = head.split_whitespace().skip(1).map(|number| number.parse().unwrap()).collect();
        assert!(head.starts_with("P6") && numbers[2] == 255, "{head}");
        let pixels: Vec<[u8; 3]> =
            ppm[head_end + 1..].chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        assert_eq!(pixels.len(), numbers[0] * numbers[1]);
        Self { width: numbers[0], pixels }
    }

    /// How many pixels have exactly that colour, `#rrggbb`.
    pub fn count(&self, colour: &str) -> usize {
        let part = |at: usize| u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
        let wanted = [part(1), part(3), part(5)];
        self.pixels.iter().filter(|pixel| **pixel == wanted).count()
    }

    /// Where two pictures of the same size differ: left, top, right, bottom, the last ones included.
    pub fn difference(&self, other: &Self) -> Option<[usize; 4]> {
        assert_eq!((self.width, self.pixels.len()), (other.width, other.pixels.len()));
        let places = self.pixels.iter().zip(&other.pixels).enumerate();
        let differing = places.filter(|(_, (ours, theirs))| ours != theirs);
        differing.map(|(at, _)| (at % self.width, at / self.width)).fold(None, |area, (x, y)| {
            let [left, top, right, bottom] = area.unwrap_or([x, y, x, y]);
            Some([left.min(x), top.min(y), right.max(x), bottom.max(y)])
        })
    }

    /// The share of dark pixels in an area, in percent.
    pub fn ink(&self, [left, top, right, bottom]: [usize; 4]) -> usize {
        let area = (top..=bottom).flat_map(|y| (left..=right).map(move |x| (x, y)));
        let dark = area.clone().filter(|(x, y)| self.pixels[y * self.width + x].iter().all(|part| *part < 128));
        dark.count() * 100 / area.count()
    }
}

/// A machine without fonts.
pub fn nowhere() -> Vec<PathBuf> {
    vec![PathBuf::from("/nowhere")]
}
