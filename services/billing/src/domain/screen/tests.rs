use ottery_kernel::{Currency, Money};

use super::mail::{domain_of, is_disposable, listed};
use super::rules::{Countries, Limit, ScreenRules};
use super::*;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

fn facts() -> Facts {
    Facts {
        mail_domain: "example.com".into(),
        billing_country: "DE".into(),
        network_country: String::new(),
        network: "203.0.113.0/24".into(),
        amount: eur(1299),
        is_new: true,
        reused: None,
        counts: Vec::new(),
    }
}

fn words(rules: &ScreenRules, facts: &Facts) -> Vec<String> {
    screen(rules, facts).iter().map(|hit| format!("{} {}: {}", hit.verdict, hit.rule, hit.evidence)).collect()
}

fn list(codes: &str) -> Vec<String> {
    codes.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_brand_without_rules_accepts_every_order_but_refuses_a_second_trial() {
    let rules = ScreenRules::default();
    assert!(!rules.is_on());
    assert_eq!(words(&rules, &facts()), [""; 0]);
    let reused = Facts { reused: Some(Sign::Device), ..facts() };
    assert_eq!(words(&rules, &reused), ["deny trial_reuse: a trial was used on this device before"]);
}

#[test]
fn every_rule_says_what_it_saw_and_the_strictest_counts() {
    let countries = Countries { deny: list("KP"), review: list("RU"), ..Countries::default() };
    let limit = |by, verdict| Limit { by, orders: 3, hours: 24, verdict };
    let rules = ScreenRules {
        billing_countries: countries.clone(),
        network_countries: countries,
        country_mismatch: Verdict::Review,
        limits: vec![limit(By::Network, Verdict::Review), limit(By::Card, Verdict::Deny)],
        disposable_mail: Verdict::Deny,
        mail_domains: list("bad.example"),
        listed_mail: Verdict::Review,
        new_customer_amounts: vec![eur(1000)],
        above_amount: Verdict::Review,
        ..ScreenRules::default()
    };
    assert_eq!(rules.check(&[Currency::EUR]), Ok(()));
    let seen = Facts {
        mail_domain: "sub.bad.example".into(),
        billing_country: "RU".into(),
        network_country: "KP".into(),
        counts: vec![3, 2],
        ..facts()
    };
    assert_eq!(
        words(&rules, &seen),
        [
            "review billing_country: billed in RU, which is reviewed",
            "deny network_country: comes from KP, which is denied",
            "review country_mismatch: billed in RU, comes from KP",
            "review orders_by_network: order 4 from 203.0.113.0/24 within 24 h, 3 are usual",
            "review mail_domain: `bad.example` is on the brand's list",
            "review new_customer_amount: 12.99 EUR for a first order, at most 10.00 EUR are usual",
        ]
    );
    assert_eq!(verdict(&screen(&rules, &seen)), Verdict::Deny);
    // Who paid before may buy what they like; what is not known is held against nobody.
    let known = Facts { is_new: false, billing_country: String::new(), counts: vec![2, 2], ..facts() };
    assert_eq!(words(&rules, &known), [""; 0]);
    let burnt = Facts { mail_domain: "mailinator.com".into(), amount: eur(0), ..facts() };
    assert_eq!(words(&rules, &burnt), ["deny disposable_mail: `mailinator.com` gives throw-away addresses"]);
}

#[test]
fn with_countries_that_alone_are_allowed_everybody_else_is_denied() {
    let only = Countries { allow_only: list("DE AT"), review: list("AT"), ..Countries::default() };
    let rules = ScreenRules { billing_countries: only, ..ScreenRules::default() };
    assert_eq!(rules.check(&[]), Ok(()));
    let from = |code: &str| words(&rules, &Facts { billing_country: code.into(), ..facts() });
    assert_eq!(from("DE"), [""; 0]);
    assert_eq!(from("AT"), ["review billing_country: billed in AT, which is reviewed"]);
    assert_eq!(from("FR"), ["deny billing_country: billed in FR, which is not among those allowed"]);
}

#[test]
fn rules_that_make_no_sense_are_refused_with_field_and_way_out() {
    let usual = ScreenRules::default;
    let countries =
        |allow: &str, deny: &str| Countries { allow_only: list(allow), deny: list(deny), review: Vec::new() };
    let limit = Limit { by: By::Device, orders: 1, hours: 1, verdict: Verdict::Deny };
    let cases = [
        (ScreenRules { billing_countries: countries("de", ""), ..usual() }, "billing_countries.allow_only"),
        (ScreenRules { network_countries: countries("", "RU RU"), ..usual() }, "network_countries.deny"),
        (ScreenRules { billing_countries: countries("DE", "DE"), ..usual() }, "billing_countries.deny"),
        (ScreenRules { limits: vec![limit, Limit { orders: 0, ..limit }], ..usual() }, "limits[1].orders"),
        (ScreenRules { limits: vec![Limit { hours: 721, ..limit }], ..usual() }, "limits[0].hours"),
        (ScreenRules { limits: vec![Limit { verdict: Verdict::Allow, ..limit }], ..usual() }, "limits[0].verdict"),
        (ScreenRules { limits: vec![limit; 13], ..usual() }, "limits"),
        (ScreenRules { mail_domains: list("me@x.example"), ..usual() }, "mail_domains"),
        (ScreenRules { mail_domains: list("x.example"), ..usual() }, "listed_mail"),
        (ScreenRules { new_customer_amounts: vec![eur(1)], ..usual() }, "above_amount"),
        (ScreenRules { new_customer_amounts: vec![eur(-1)], ..usual() }, "new_customer_amounts[0]"),
        (ScreenRules { trial_reuse: Verdict::Allow, ..usual() }, "trial_reuse"),
    ];
    for (rules, field) in cases {
        assert_eq!(rules.check(&[Currency::EUR]).unwrap_err().field, field);
    }
    let dollars = Money::new(1, Currency::USD);
    let foreign = ScreenRules { new_customer_amounts: vec![dollars], above_amount: Verdict::Deny, ..usual() };
    assert_eq!(foreign.check(&[Currency::EUR]).unwrap_err().code, "CURRENCY_NOT_SOLD");
}

#[test]
fn a_domain_is_on_a_list_with_everything_below_it() {
    assert_eq!(domain_of("Ada@Mail.Example. "), "mail.example");
    assert_eq!(domain_of("nobody"), "");
    assert!(is_disposable("mailinator.com") && is_disposable("x.y.mailinator.com"));
    assert!(!is_disposable("gmail.com") && !is_disposable("") && !is_disposable("com"));
    let own = list("bad.example");
    assert!(listed("very.bad.example", &own).is_some());
    assert!(listed("notbad.example", &own).is_none() && listed("example", &own).is_none());
}
