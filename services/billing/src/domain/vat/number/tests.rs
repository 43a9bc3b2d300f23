use super::*;

/// Numbers that python-stdnum, an independent implementation of the same public rules, accepts.
#[rustfmt::skip]
const RIGHT: &[&str] = &[
    "ATU88800361", "ATU00613167", "ATU62415540", "BE0914322691", "BE0658093629", "BE1565018388", "BG397048580",
    "BG4699871791", "BG220361426", "BG375794620", "BG432092879", "BG352818185", "BG142169246", "BG113680588",
    "CY86582628S", "CY86115512U", "CY89606660B", "CZ161118648", "CZ500211795", "CZ040404314", "CZ380610245",
    "CZ9654054663", "CZ390807625", "CZ180726177", "CZ669852234", "DE825256915", "DE403615263", "DE576061336",
    "DK81636362", "DK93309405", "DK72102606", "EE016905610", "EE956280194", "EE306814631", "EL994333518",
    "EL495636130", "EL899109936", "ESL3741591C", "ESB94084076", "ESZ3620566A", "ESD06099709", "ES77186512F",
    "ESZ4485565H", "ESK7015872K", "ES81379346X", "FI72553122", "FI76179537", "FI41922001", "FRB2090653890",
    "FRF2544106024", "FR2F048908545", "FRB2195065461", "FR6P784067811", "FRY1083533117", "FR5X047786108",
    "FR4K714075413", "HR25049746577", "HR39549535196", "HR68532559407", "HU34455168", "HU74020117", "HU35696849",
    "IE1637144OH", "IE5552654A", "IE4121393I", "IE3870257U", "IE6906080MA", "IE8L97605E", "IE8312952R", "IE1M43683D",
    "IT68490660112", "IT84818850624", "IT73431910899", "LT956236151010", "LT795215312", "LT854396511", "LT938812519",
    "LT090050519", "LT730904641519", "LT105421206815", "LT050812417", "LU49224171", "LU43270980", "LU68652164",
    "LV72121977613", "LV91711396426", "LV67093072089", "MT25080996", "MT69831108", "MT32157927", "NL181949696B02",
    "NL789069714B21", "NL218879787B40", "NL232011941B69", "NL128498078B65", "NL252040491B44", "NL748037093B40",
    "NL525780476B76", "PL8016183378", "PL7429895233", "PL9524177634", "PT207731233", "PT718629477", "PT688212069",
    "RO9662", "RO238091813", "RO173536752", "SE517893983001", "SE903388101301", "SE630816405901", "SI62106511",
    "SI33122407", "SI44552041", "SK8133503565", "SK9030168851", "SK1891888240", "GBHA539", "GBGD244", "GBGD465",
    "GBHA865", "GBGD221", "GBGD172", "GBHA509", "GBHA860", "CHE502524966", "CHE364964238", "CHE522681824",
    "NO685971062", "NO556934622", "NO928265897",
];

/// Numbers of the right form that it refuses.
#[rustfmt::skip]
const WRONG: &[&str] = &[
    "ATU36669374", "ATU31270493", "ATU23195271", "BE1499782609", "BE0156897371", "BE0280835078", "BG102929696",
    "BG463437551", "BG127114426", "CY73656806X", "CY22784832C", "CY26837611J", "CZ5961080396", "CZ613327151",
    "CZ6259034470", "DE479212582", "DE226581221", "DE887199360", "DK70441978", "DK55862399", "DK96980376",
    "EE484414409", "EE922758370", "EE555435304", "EL193222490", "EL212487626", "EL548248073", "ESL4232309P",
    "ESR6455672D", "ESC15384147", "FI40870287", "FI65842435", "FI55788880", "FR98536030225", "FR66357970489",
    "FR61431357772", "HR05840465307", "HR68003759894", "HR54075748183", "HU63900453", "HU28983116", "HU45789070",
    "IE4631635OA", "IE2447308RH", "IE3825635LH", "IT56094920097", "IT54375730132", "IT81971960897", "LT975330215",
    "LT109300018", "LT018254016", "LU82879789", "LU31711268", "LU00407543", "LV95558779830", "LV60917993273",
    "LV54364935787", "MT84503062", "MT52910933", "MT13728457", "NL624069973B13", "NL276474927B03", "NL808908299B35",
    "PL9525663165", "PL7985005385", "PL4778070716", "PT356207993", "PT101664277", "PT315391575", "RO600952",
    "RO878873964", "RO9342", "SE841759630101", "SE182039631601", "SE232355545501", "SI35968741", "SI12828260",
    "SI19386005", "SK4795177665", "SK9927535562", "SK5877729917", "GB417844515", "GB259638246660", "GB784992179",
    "CHE342675308", "CHE247728459", "CHE354981219", "NO637031752", "NO193383778", "NO486926539",
];

#[test]
fn numbers_of_every_country_are_told_from_mistyped_ones() {
    for number in RIGHT {
        assert_eq!(VatNumber::parse(number).map(|read| read.to_string()).as_deref(), Ok(*number));
    }
    for number in WRONG {
        assert!(
            matches!(VatNumber::parse(number), Err(VatNumberError::CheckDigit { .. } | VatNumberError::Form { .. })),
            "{number}"
        );
    }
    for country in &COUNTRIES {
        assert_eq!(VatNumber::parse(country.example).map(|read| read.to_string()).as_deref(), Ok(country.example));
        assert!(
            country.prefix == "XI" || RIGHT.iter().any(|number| number.starts_with(country.prefix)),
            "{}",
            country.prefix
        );
    }
}

#[test]
fn numbers_are_read_as_people_write_them() {
    let read = |text: &str| VatNumber::parse(text).unwrap().to_string();
    assert_eq!(read(" fr 40 303.265.045 "), "FR40303265045");
    assert_eq!(read("GR094259216"), "EL094259216");
    assert_eq!(read("CHE-107.787.577 IVA"), "CHE107787577");
    assert_eq!(read("NO 988 077 917 MVA"), "NO988077917");
    let greek = VatNumber::parse("EL094259216").unwrap();
    assert_eq!((greek.prefix(), greek.national(), greek.country()), ("EL", "094259216", "GR"));
}

#[test]
fn what_is_wrong_is_said_with_an_example() {
    let why = |text: &str| VatNumber::parse(text).unwrap_err();
    for text in ["", "D", "US123456789", "136695976", "é1"] {
        assert_eq!(why(text), VatNumberError::Prefix, "{text}");
    }
    assert_eq!(why("DE12345"), VatNumberError::Form { country: "DE", example: "DE136695976" });
    assert_eq!(why("DE136695975"), VatNumberError::CheckDigit { country: "DE" });
    assert!(why("DE136695975").to_string().contains("mistyped"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_stumble(text in "[A-Z]{0,3}[0-9A-Z]{0,13}", any in ".{0,20}") {
        let _ = (VatNumber::parse(&text), VatNumber::parse(&any));
        for country in &COUNTRIES {
            let _ = VatNumber::parse(&format!("{}{text}", country.prefix));
        }
    }
}
