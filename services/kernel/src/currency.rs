//! Fiat currencies: the active ISO 4217 list with its minor-unit exponents.
//!
//! The exponent is the only truth about how many minor units a unit has: 0 for the yen, 3 for the Kuwaiti dinar.
//! Payment providers that differ from ISO keep their own table in their adapter.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// A fiat currency of ISO 4217; three bytes, always one of the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

/// Why text is not a currency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CurrencyError {
    /// Not three upper-case letters.
    #[error("expected a currency code of three capital letters such as `EUR`, got `{0}`")]
    Malformed(String),
    /// Three letters that are no active currency.
    #[error("`{0}` is not an active ISO 4217 currency")]
    Unknown(String),
}

macro_rules! currencies {
    ($($code:ident $exponent:literal $name:literal;)*) => {
        /// Code, exponent, English name; sorted by code.
        const TABLE: &[([u8; 3], u8, &str)] = &[$((code_bytes(stringify!($code)), $exponent, $name)),*];

        impl Currency {
            $(#[doc = $name] pub const $code: Self = Self(code_bytes(stringify!($code)));)*
        }
    };
}

const fn code_bytes(code: &str) -> [u8; 3] {
    let bytes = code.as_bytes();
    [bytes[0], bytes[1], bytes[2]]
}

currencies! {
    AED 2 "UAE dirham";
    AFN 2 "Afghani";
    ALL 2 "Lek";
    AMD 2 "Armenian dram";
    AOA 2 "Kwanza";
    ARS 2 "Argentine peso";
    AUD 2 "Australian dollar";
    AWG 2 "Aruban florin";
    AZN 2 "Azerbaijan manat";
    BAM 2 "Convertible mark";
    BBD 2 "Barbados dollar";
    BDT 2 "Taka";
    BHD 3 "Bahraini dinar";
    BIF 0 "Burundi franc";
    BMD 2 "Bermudian dollar";
    BND 2 "Brunei dollar";
    BOB 2 "Boliviano";
    BOV 2 "Mvdol";
    BRL 2 "Brazilian real";
    BSD 2 "Bahamian dollar";
    BTN 2 "Ngultrum";
    BWP 2 "Pula";
    BYN 2 "Belarusian ruble";
    BZD 2 "Belize dollar";
    CAD 2 "Canadian dollar";
    CDF 2 "Congolese franc";
    CHE 2 "WIR euro";
    CHF 2 "Swiss franc";
    CHW 2 "WIR franc";
    CLF 4 "Unidad de fomento";
    CLP 0 "Chilean peso";
    CNY 2 "Yuan renminbi";
    COP 2 "Colombian peso";
    COU 2 "Unidad de valor real";
    CRC 2 "Costa Rican colon";
    CUP 2 "Cuban peso";
    CVE 2 "Cabo Verde escudo";
    CZK 2 "Czech koruna";
    DJF 0 "Djibouti franc";
    DKK 2 "Danish krone";
    DOP 2 "Dominican peso";
    DZD 2 "Algerian dinar";
    EGP 2 "Egyptian pound";
    ERN 2 "Nakfa";
    ETB 2 "Ethiopian birr";
    EUR 2 "Euro";
    FJD 2 "Fiji dollar";
    FKP 2 "Falkland Islands pound";
    GBP 2 "Pound sterling";
    GEL 2 "Lari";
    GHS 2 "Ghana cedi";
    GIP 2 "Gibraltar pound";
    GMD 2 "Dalasi";
    GNF 0 "Guinean franc";
    GTQ 2 "Quetzal";
    GYD 2 "Guyana dollar";
    HKD 2 "Hong Kong dollar";
    HNL 2 "Lempira";
    HTG 2 "Gourde";
    HUF 2 "Forint";
    IDR 2 "Rupiah";
    ILS 2 "New Israeli sheqel";
    INR 2 "Indian rupee";
    IQD 3 "Iraqi dinar";
    IRR 2 "Iranian rial";
    ISK 0 "Iceland krona";
    JMD 2 "Jamaican dollar";
    JOD 3 "Jordanian dinar";
    JPY 0 "Yen";
    KES 2 "Kenyan shilling";
    KGS 2 "Som";
    KHR 2 "Riel";
    KMF 0 "Comorian franc";
    KPW 2 "North Korean won";
    KRW 0 "Won";
    KWD 3 "Kuwaiti dinar";
    KYD 2 "Cayman Islands dollar";
    KZT 2 "Tenge";
    LAK 2 "Lao kip";
    LBP 2 "Lebanese pound";
    LKR 2 "Sri Lanka rupee";
    LRD 2 "Liberian dollar";
    LSL 2 "Loti";
    LYD 3 "Libyan dinar";
    MAD 2 "Moroccan dirham";
    MDL 2 "Moldovan leu";
    MGA 2 "Malagasy ariary";
    MKD 2 "Denar";
    MMK 2 "Kyat";
    MNT 2 "Tugrik";
    MOP 2 "Pataca";
    MRU 2 "Ouguiya";
    MUR 2 "Mauritius rupee";
    MVR 2 "Rufiyaa";
    MWK 2 "Malawi kwacha";
    MXN 2 "Mexican peso";
    MXV 2 "Mexican unidad de inversion";
    MYR 2 "Malaysian ringgit";
    MZN 2 "Mozambique metical";
    NAD 2 "Namibia dollar";
    NGN 2 "Naira";
    NIO 2 "Cordoba oro";
    NOK 2 "Norwegian krone";
    NPR 2 "Nepalese rupee";
    NZD 2 "New Zealand dollar";
    OMR 3 "Rial Omani";
    PAB 2 "Balboa";
    PEN 2 "Sol";
    PGK 2 "Kina";
    PHP 2 "Philippine peso";
    PKR 2 "Pakistan rupee";
    PLN 2 "Zloty";
    PYG 0 "Guarani";
    QAR 2 "Qatari rial";
    RON 2 "Romanian leu";
    RSD 2 "Serbian dinar";
    RUB 2 "Russian ruble";
    RWF 0 "Rwanda franc";
    SAR 2 "Saudi riyal";
    SBD 2 "Solomon Islands dollar";
    SCR 2 "Seychelles rupee";
    SDG 2 "Sudanese pound";
    SEK 2 "Swedish krona";
    SGD 2 "Singapore dollar";
    SHP 2 "Saint Helena pound";
    SLE 2 "Leone";
    SOS 2 "Somali shilling";
    SRD 2 "Surinam dollar";
    SSP 2 "South Sudanese pound";
    STN 2 "Dobra";
    SVC 2 "El Salvador colon";
    SYP 2 "Syrian pound";
    SZL 2 "Lilangeni";
    THB 2 "Baht";
    TJS 2 "Somoni";
    TMT 2 "Turkmenistan new manat";
    TND 3 "Tunisian dinar";
    TOP 2 "Pa'anga";
    TRY 2 "Turkish lira";
    TTD 2 "Trinidad and Tobago dollar";
    TWD 2 "New Taiwan dollar";
    TZS 2 "Tanzanian shilling";
    UAH 2 "Hryvnia";
    UGX 0 "Uganda shilling";
    USD 2 "US dollar";
    USN 2 "US dollar (next day)";
    UYI 0 "Uruguay peso en unidades indexadas";
    UYU 2 "Peso uruguayo";
    UYW 4 "Unidad previsional";
    UZS 2 "Uzbekistan sum";
    VED 2 "Bolívar digital";
    VES 2 "Bolívar soberano";
    VND 0 "Dong";
    VUV 0 "Vatu";
    WST 2 "Tala";
    XAF 0 "CFA franc BEAC";
    XCD 2 "East Caribbean dollar";
    XCG 2 "Caribbean guilder";
    XOF 0 "CFA franc BCEAO";
    XPF 0 "CFP franc";
    YER 2 "Yemeni rial";
    ZAR 2 "Rand";
    ZMW 2 "Zambian kwacha";
    ZWG 2 "Zimbabwe gold";
}

impl Currency {
    /// Every active currency, sorted by code.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        TABLE.iter().map(|(code, _, _)| Self(*code))
    }

    /// The three capital letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("codes of the table are ASCII")
    }

    /// How many decimals the minor unit stands for: 2 for the euro, 0 for the yen, 3 for the Kuwaiti dinar.
    #[must_use]
    pub fn exponent(&self) -> u32 {
        u32::from(self.row().1)
    }

    /// Minor units in one unit: 100 for the euro, 1 for the yen, 1000 for the Kuwaiti dinar.
    #[must_use]
    pub fn minor_per_unit(&self) -> i64 {
        10_i64.pow(self.exponent())
    }

    /// The English name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.row().2
    }

    fn row(&self) -> &'static ([u8; 3], u8, &'static str) {
        let index = TABLE.binary_search_by_key(&self.0, |(code, _, _)| *code);
        &TABLE[index.expect("a currency is only made from the table")]
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        let malformed = || CurrencyError::Malformed(text.chars().take(16).collect());
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| malformed())?;
        if !code.iter().all(u8::is_ascii_uppercase) {
            return Err(malformed());
        }
        TABLE
            .binary_search_by_key(&code, |(known, _, _)| *known)
            .map(|_| Self(code))
            .map_err(|_| CurrencyError::Unknown(text.to_owned()))
    }
}

serde_as_text!(Currency);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_searching_works() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for currency in Currency::all() {
            assert_eq!(currency.code().parse(), Ok(currency));
        }
    }

    #[test]
    fn exponents_follow_the_standard() {
        let of = |exponent| {
            Currency::all()
                .filter(|currency| currency.exponent() == exponent)
                .map(|c| c.to_string())
                .collect::<Vec<_>>()
        };
        let zero = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
        assert_eq!(of(0).join(" "), zero);
        assert_eq!(of(3).join(" "), "BHD IQD JOD KWD LYD OMR TND");
        assert_eq!(of(4).join(" "), "CLF UYW");
        assert_eq!(of(0).len() + of(2).len() + of(3).len() + of(4).len(), Currency::all().len());
    }

    #[test]
    fn text_that_is_no_currency_is_named_in_the_error() {
        assert_eq!("eur".parse::<Currency>(), Err(CurrencyError::Malformed("eur".into())));
        assert_eq!("EURO".parse::<Currency>(), Err(CurrencyError::Malformed("EURO".into())));
        assert_eq!("XYZ".parse::<Currency>(), Err(CurrencyError::Unknown("XYZ".into())));
        assert_eq!("DEM".parse::<Currency>(), Err(CurrencyError::Unknown("DEM".into())));
    }
}
