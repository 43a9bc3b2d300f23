//! Names, addresses, plans and brands in every script: read back from the file, and looked at.

use ottery_document::{Document, Locale, RenderError, render, render_with};

use crate::{
    documents::{LOGO, drawn, invoice, invoice_of, line, properties},
    pictures::{Picture, Word, lines, nowhere, words},
};

/// Script, language tag, and two texts with letters of equal number, of which no one stands in both at its place.
const SCRIPTS: [(&str, &str, &str); 8] = [
    ("simplified Chinese", "王小明", "李大华"),
    ("traditional Chinese", "陳美麗", "黃國榮"),
    ("Japanese", "光の放送", "ルーメン"),
    ("Korean", "김민준", "이서연"),
    ("Arabic", "محمد علي", "سارة نور"),
    ("Hebrew", "דנה לוי", "אבי כהן"),
    ("Thai", "สมชาย", "วิภาดา"),
    ("Devanagari", "राम", "सीता"),
];

fn of_buyer(name: &str) -> Document {
    let mut document = invoice();
    document.buyer.name = name.into();
    document
}

#[test]
fn text_in_every_script_is_read_back_from_the_file() {
    for (script, name, other) in SCRIPTS {
        let mut document = invoice_of(vec![line(other), line(format!("Premium {name} 4K"))]);
        document.buyer.name = name.into();
        document.buyer.address_lines = vec![format!("{other} 12"), name.into()];
        document.seller.legal_name = format!("{other} GmbH");
        document.brand.name = name.into();
        // Without blanks and without the order of the runs, which is the next test's.
        let text: String = lines(&drawn(&document)).concat();
        for word in name.split(' ').chain(other.split(' ')) {
            // Thai and Devanagari vowels are drawn before or above the letter they follow; their letters are enough.
            let is_there = if matches!(script, "Thai" | "Devanagari") {
                word.chars().filter(|letter| letter.is_alphabetic()).all(|letter| text.contains(letter))
            } else {
                text.contains(word)
            };
            assert!(is_there, "{word} ({script}) is missing in {text}");
        }
    }
}

#[test]
fn letters_of_every_script_are_drawn_and_are_no_boxes() {
    let place = Picture::of(&of_buyer("Ada Lovelace")).difference(&Picture::of(&of_buyer("Max Müller"))).unwrap();
    for (script, name, other) in SCRIPTS {
        let (ours, theirs) = (Picture::of(&of_buyer(name)), Picture::of(&of_buyer(other)));
        // Boxes would all be alike: what differs are the letters themselves, where the name stands and nowhere else.
        let Some(area) = ours.difference(&theirs) else { panic!("{script}: {name} looks as {other} does") };
        let [left, top, right, bottom] = area;
        assert!(
            left + 8 >= place[0] && right < 500 && top + 12 >= place[1] && bottom <= place[3] + 12,
            "{script} {area:?}"
        );
        for (picture, name) in [(ours, name), (theirs, other)] {
            assert!((4..=60).contains(&picture.ink(area)), "{name}: {} % ink in {area:?}", picture.ink(area));
        }
    }
}

#[test]
fn lines_from_right_to_left_keep_their_direction_on_pages_of_either() {
    for locale in [Locale::En, Locale::Ar] {
        let mut document =
            invoice_of(vec![line("חבילת פרימיום, 3 מסכים"), line("باقة بريميوم، 3 شاشات"), line("Premium חבילה")]);
        document.locale = locale;
        document.seller.address_lines = vec!["רחוב הרצל 12, דירה 4".into(), "12 Main St., דירה 4".into()];
        let words = words(&drawn(&document));
        let pairs = [("מסכים", "חבילת"), ("شاشات", "باقة"), ("דירה", "הרצל"), ("Premium", "חבילה"), ("Main", "דירה")];
        for (left, right) in pairs {
            let beside =
                |word: &&Word| words.iter().find(|other| other.text == right && (other.top - word.top).abs() < 3.0);
            let found = words.iter().filter(|word| word.text == left).find_map(|word| Some((word, beside(&word)?)));
            let Some((first, second)) = found else {
                panic!(
                    "no line with {left} and {right} in {:?}",
                    words.iter().map(|word| &word.text).collect::<Vec<_>>()
                )
            };
            assert!(first.left < second.left, "{left} stands right of {right} on a page in {locale:?}");
        }
    }
}

#[test]
fn a_japanese_name_gets_japanese_shapes_and_a_chinese_one_its_own() {
    // 直 is drawn differently in both languages; the letters around it say which one it is.
    let kana = |name: &str| {
        let mut document = of_buyer(name);
        document.buyer.address_lines = vec!["ニ".into()];
        document
    };
    let (chinese, japanese) = (Picture::of(&of_buyer("直")), Picture::of(&kana("直")));
    let plain = Picture::of(&kana("一")).difference(&japanese).unwrap();
    let [left, top, right, bottom] = chinese.difference(&japanese).unwrap();
    assert!(top <= plain[3] && left <= plain[2], "the names differ, not only the addresses: {plain:?}");
    assert!(right >= left && bottom > plain[1]);
}

#[test]
fn a_script_without_a_font_is_spelt_out_and_told_and_never_boxes() {
    let mut document = of_buyer("王 Ada");
    document.seller.address_lines = vec!["דירה".into()];
    let pdf = render_with(&document, &nowhere()).unwrap();
    let told = pdf.unprintable.unwrap();
    assert_eq!((told.count, told.scripts.as_slice()), (5, ["Han".to_owned(), "Hebrew".to_owned()].as_slice()));
    assert_eq!(told.packages, ["fonts-noto-cjk", "fonts-noto-core"]);
    let text = lines(&pdf.bytes).join("\n");
    assert!(text.contains("[U+738B] Ada") && text.contains("[U+05D3 U+05D9 U+05E8 U+05D4]"), "{text}");
    // The amounts stand as ever.
    assert!(text.contains("€2,380.00"));
    // Letters that no script of this world has are told as well, on a machine with all fonts.
    let private = render(&of_buyer("Ada \u{e000}\u{10ffff}")).unwrap();
    assert_eq!(private.unprintable.unwrap().count, 2);
    assert!(lines(&private.bytes).join("").contains("[U+E000 U+10FFFF]"));
}

#[test]
fn only_documents_that_need_them_load_other_fonts() {
    let latin = properties(&drawn(&of_buyer("Ayşe Müller Ελένη Анна")));
    assert!(!latin.contains("Noto"), "{latin}");
    let chinese = properties(&drawn(&of_buyer("王小明")));
    assert!(chinese.contains("NotoSansCJK") && !chinese.contains("Hebrew"), "{chinese}");
}

#[test]
fn colours_and_the_logo_of_the_brand_are_on_the_page() {
    let mut document = invoice();
    document.brand.logo_svg = Some(LOGO.replace("#6d28d9", "#0ea5e9"));
    document.brand.tokens.accent = Some("#b91c1c".parse().unwrap());
    document.brand.tokens.surface = Some("#ecfdf5".parse().unwrap());
    let picture = Picture::of(&document);
    // The bar over the whole page, the panel, the logo.
    assert!(picture.count("#b91c1c") > 5_000, "{}", picture.count("#b91c1c"));
    assert!(picture.count("#ecfdf5") > 20_000, "{}", picture.count("#ecfdf5"));
    assert!(picture.count("#0ea5e9") > 1_000, "{}", picture.count("#0ea5e9"));
    assert_eq!(Picture::of(&invoice()).count("#b91c1c"), 0);
}

#[test]
fn a_document_of_all_scripts_at_once_is_drawn() {
    let all: Vec<_> = SCRIPTS.iter().flat_map(|(_, name, other)| [line(*name), line(*other)]).collect();
    let outcome: Result<_, RenderError> = render(&invoice_of(all));
    assert_eq!(outcome.unwrap().unprintable, None);
}
