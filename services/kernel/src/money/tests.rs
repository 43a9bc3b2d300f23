use proptest::prelude::*;

use super::*;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

#[test]
fn case_017_zero_and_three_decimal_currencies_keep_their_exponent() {
    for (minor, currency, text) in [
        (1_000, Currency::EUR, "10.00 EUR"),
        (-5, Currency::EUR, "-0.05 EUR"),
        (1_000, Currency::JPY, "1000 JPY"),
        (-1, Currency::KRW, "-1 KRW"),
        (1_000, Currency::KWD, "1.000 KWD"),
        (5, Currency::BHD, "0.005 BHD"),
        (12_345, Currency::CLF, "1.2345 CLF"),
        (i64::MIN, Currency::JPY, "-9223372036854775808 JPY"),
        (i64::MAX, Currency::TND, "9223372036854775.807 TND"),
    ] {
        let money = Money::new(minor, currency);
        assert_eq!(money.to_string(), text);
        assert_eq!(text.parse(), Ok(money));
    }
    assert_eq!(Money::parse("10", Currency::JPY), Ok(Money::new(10, Currency::JPY)));
    assert_eq!(Money::parse("10", Currency::EUR), Ok(eur(1_000)));
    assert_eq!(Money::parse("10", Currency::KWD), Ok(Money::new(10_000, Currency::KWD)));
    assert!(matches!(Money::parse("10.5", Currency::JPY), Err(MoneyError::TooPrecise { .. })));
    assert!(matches!(Money::parse("1.0005", Currency::KWD), Err(MoneyError::TooPrecise { .. })));
    assert_eq!(Currency::JPY.minor_per_unit(), 1);
    assert_eq!(Currency::KWD.minor_per_unit(), 1_000);
}

#[test]
fn case_020_splitting_ten_by_three_hands_out_every_cent() {
    assert_eq!(eur(1_000).split(3), Ok(vec![eur(334), eur(333), eur(333)]));
    assert_eq!(eur(-1_000).split(3), Ok(vec![eur(-334), eur(-333), eur(-333)]));
    assert_eq!(eur(2).split(3), Ok(vec![eur(1), eur(1), eur(0)]));
    assert_eq!(eur(0).split(2), Ok(vec![eur(0), eur(0)]));
    assert_eq!(eur(1_000).split(0), Err(MoneyError::NoParts));
    assert_eq!(eur(100).split_by_weights(&[50, 0, 50]), Ok(vec![eur(50), eur(0), eur(50)]));
    assert_eq!(eur(101).split_by_weights(&[1, 2]), Ok(vec![eur(34), eur(67)]));
    assert_eq!(eur(100).split_by_weights(&[0, 0]), Err(MoneyError::NoParts));
    assert_eq!(eur(i64::MIN).split_by_weights(&[u64::MAX]), Ok(vec![eur(i64::MIN)]));
}

#[test]
fn mixing_currencies_is_an_error() {
    let yen = Money::new(1, Currency::JPY);
    let refused = Err(MoneyError::Mismatch(Currency::EUR, Currency::JPY));
    assert_eq!(eur(1).checked_add(yen), refused);
    assert_eq!(eur(1).checked_sub(yen), refused);
    assert!(eur(1).checked_cmp(yen).is_err());
    assert!(Money::sum(Currency::EUR, [eur(1), yen]).is_err());
}

#[test]
fn case_031_nothing_wraps_at_the_end_of_the_range() {
    assert_eq!(eur(i64::MAX).checked_add(eur(1)), Err(MoneyError::Overflow));
    assert_eq!(eur(i64::MIN).checked_sub(eur(1)), Err(MoneyError::Overflow));
    assert_eq!(eur(i64::MIN).checked_neg(), Err(MoneyError::Overflow));
    assert_eq!(eur(i64::MAX).checked_mul(2), Err(MoneyError::Overflow));
    assert_eq!(eur(i64::MAX).mul_ratio(2, 1, Rounding::Down), Err(MoneyError::Overflow));
    assert_eq!(eur(i64::MIN).mul_ratio(1, -1, Rounding::Down), Err(MoneyError::Overflow));
    assert_eq!(eur(i64::MAX).mul_ratio(i128::MAX, 1, Rounding::Down), Err(MoneyError::Overflow));
    assert_eq!(eur(i64::MAX).mul_ratio(i64::MAX, i64::MAX, Rounding::HalfUp), Ok(eur(i64::MAX)));
    assert_eq!("99999999999999999999 EUR".parse::<Money>(), Err(MoneyError::Overflow));
    assert_eq!(Money::parse(&"9".repeat(60), Currency::EUR), Err(MoneyError::Overflow));
}

#[test]
fn rounding_is_what_its_name_says() {
    for (minor, half_up, half_even, down) in [
        (1, 1, 0, 0),
        (3, 2, 2, 1),
        (5, 3, 2, 2),
        (-1, -1, 0, 0),
        (-3, -2, -2, -1),
        (-5, -3, -2, -2),
        (4, 2, 2, 2),
        (0, 0, 0, 0),
    ] {
        let halved = |rounding| eur(minor).mul_ratio(1, 2, rounding).unwrap().minor;
        assert_eq!(halved(Rounding::HalfUp), half_up, "{minor}");
        assert_eq!(halved(Rounding::HalfEven), half_even, "{minor}");
        assert_eq!(halved(Rounding::Down), down, "{minor}");
        // A negative denominator is the same number with the sign moved.
        assert_eq!(eur(minor).mul_ratio(-1, -2, Rounding::HalfEven).unwrap().minor, half_even);
    }
    assert_eq!(eur(1_999).mul_ratio(19, 100, Rounding::HalfUp), Ok(eur(380)));
    assert_eq!(eur(1).mul_ratio(1, 0, Rounding::Down), Err(MoneyError::ZeroDenominator));
}

#[test]
fn text_that_is_no_amount_is_refused() {
    for text in ["", "-", ".", "1.", ".5", "1,00", "1e2", "0x10", " 1", "1 ", "--1", "+-1", "NaN", "١"] {
        assert!(Money::parse(text, Currency::EUR).is_err(), "{text:?} was accepted");
    }
    assert_eq!(Money::parse("1.500", Currency::EUR), Ok(eur(150)));
    assert_eq!(Money::parse("-0.05", Currency::EUR), Ok(eur(-5)));
    assert_eq!(Money::parse("+7", Currency::EUR), Ok(eur(700)));
    assert!("10.00".parse::<Money>().is_err());
    assert!("10.00 eur".parse::<Money>().is_err());
}

#[test]
fn serde_keeps_minor_units_and_code() {
    let text = serde_json::to_string(&eur(1_000)).unwrap();
    assert_eq!(text, r#"{"minor":1000,"currency":"EUR"}"#);
    assert_eq!(serde_json::from_str::<Money>(&text).unwrap(), eur(1_000));
}

fn any_currency() -> impl Strategy<Value = Currency> {
    proptest::sample::select(Currency::all().collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn equal_parts_add_up_and_differ_by_one_at_most(minor: i64, parts in 1_u32..200) {
        let whole = eur(minor);
        let split = whole.split(parts).unwrap();
        prop_assert_eq!(split.len(), parts as usize);
        prop_assert_eq!(Money::sum(Currency::EUR, split.iter().copied()), Ok(whole));
        let smallest = split.iter().map(|part| part.minor).min().unwrap();
        let largest = split.iter().map(|part| part.minor).max().unwrap();
        prop_assert!(largest.abs_diff(smallest) <= 1);
    }

    #[test]
    fn weighted_parts_add_up_and_stay_within_one_unit_of_their_share(
        minor: i64,
        weights in proptest::collection::vec(prop_oneof![0_u64..5, any::<u64>()], 1..12),
    ) {
        let whole = eur(minor);
        let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        let split = whole.split_by_weights(&weights);
        prop_assume!(total > 0);
        let split = split.unwrap();
        prop_assert_eq!(Money::sum(Currency::EUR, split.iter().copied()), Ok(whole));
        for (part, weight) in split.iter().zip(&weights) {
            let floor = u128::from(minor.unsigned_abs()) * u128::from(*weight) / total;
            let given = u128::from(part.minor.unsigned_abs());
            prop_assert!(given == floor || given == floor + 1);
            prop_assert!(*weight > 0 || part.is_zero());
        }
    }

    #[test]
    fn text_reads_back(minor: i64, currency in any_currency()) {
        let money = Money::new(minor, currency);
        prop_assert_eq!(money.to_string().parse(), Ok(money));
    }

    #[test]
    fn a_ratio_is_never_off_by_more_than_one_unit(minor: i32, numerator in -10_000_i64..10_000, denominator in 1_i64..10_000) {
        let exact = i128::from(minor) * i128::from(numerator);
        for rounding in [Rounding::HalfUp, Rounding::HalfEven, Rounding::Down] {
            let rounded = eur(minor.into()).mul_ratio(numerator, denominator, rounding).unwrap();
            let error = (i128::from(rounded.minor) * i128::from(denominator) - exact).abs();
            let allowed = match rounding {
                Rounding::Down => i128::from(denominator) - 1,
                Rounding::HalfUp | Rounding::HalfEven => i128::from(denominator) / 2,
            };
            prop_assert!(error <= allowed);
        }
    }
}
