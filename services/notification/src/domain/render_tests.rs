use super::*;
use crate::domain::defaults::{self, LANGUAGES};

fn profile() -> Profile {
    Profile {
        name: "Blue <TV>".into(),
        host: "blue.example".into(),
        default_locale: "en".into(),
        time_zone: "Europe/Berlin".into(),
        sender_email: String::new(),
        support_email: "help@blue.example".into(),
        tokens: [("accent".to_owned(), "#aa0011".to_owned())].into(),
        logo: String::new(),
    }
}

fn wording(subject: &str, text: &str, html: &str) -> Wording {
    Wording { subject: subject.into(), body_text: text.into(), body_html: html.into() }
}

#[test]
fn every_embedded_mail_renders_in_the_brands_colours_and_names_nobody_else() {
    let profile = profile();
    for kind in Kind::ALL {
        for language in LANGUAGES {
            let values = sample(*kind, &profile, "https://blue.example".into(), language);
            let mail = render(defaults::wording(*kind, language).unwrap(), &values).unwrap();
            assert!(mail.html.contains("#aa0011") && mail.html.contains("Blue &lt;TV&gt;"), "{}", kind.as_str());
            assert!(mail.text.contains("https://blue.example/account"), "{}\n{}", kind.as_str(), mail.text);
            assert!(
                !mail.text.contains("{{") && !mail.text.contains("{%") && !mail.text.contains("\n\n\n"),
                "{}",
                mail.text
            );
            let all = format!("{}{}{}", mail.subject, mail.text, mail.html).to_lowercase();
            assert!(!all.contains("ottery"), "{}", kind.as_str());
        }
    }
}

#[test]
fn values_are_escaped_in_html_and_not_in_text() {
    let profile = profile();
    let mut values = sample(Kind::TicketReplied, &profile, "https://blue.example".into(), "en");
    values.vars.insert("text".into(), "<script>\nalert(1)".into());
    values.name = "<b>Ada".into();
    let mail = render(defaults::wording(Kind::TicketReplied, "en").unwrap(), &values).unwrap();
    assert!(mail.text.contains("<script>\nalert(1)") && mail.text.starts_with("Hello <b>Ada,\n\n"), "{}", mail.text);
    assert!(mail.html.contains("&lt;script&gt;<br>\nalert(1)") && !mail.html.contains("<b>Ada"));
}

#[test]
fn a_hostile_template_is_refused_with_its_line() {
    let profile = profile();
    let values = sample(Kind::ServiceReady, &profile, "https://blue.example".into(), "en");
    for (subject, text, field, line) in [
        ("ok", "a\n{{ nobody_has_this }}", "body_text", Some(2)),
        ("ok", "a\n\n{% if %}", "body_text", Some(3)),
        ("ok", "{% for i in range(10000) %}{% for j in range(10000) %}x{% endfor %}{% endfor %}", "body_text", Some(1)),
        ("ok", "{% include 'secrets' %}", "body_text", Some(1)),
        ("ok", "{% for i in range(30) %}{{ 'x' * 10000 }}{% endfor %}", "body_text", None),
        ("{{ credentials.password }}", "ok", "subject", Some(1)),
        ("{{ link }}", "ok", "subject", Some(1)),
        ("", "ok", "subject", None),
        ("{{ 'x' * 201 }}", "ok", "subject", None),
    ] {
        let refused = render(&wording(subject, text, "ok"), &values).unwrap_err();
        assert_eq!((refused.field, refused.line), (field, line), "{subject} {text}: {refused}");
    }
    let long = "x".repeat(SOURCE_BYTES_MAX + 1);
    assert_eq!(render(&wording("ok", "ok", &long), &values).unwrap_err().field, "body_html");
}

#[test]
fn a_subject_is_one_line() {
    let profile = profile();
    let values = sample(Kind::Ended, &profile, "https://blue.example".into(), "en");
    let mail = render(&wording("Hello\r\nBcc: evil@example.org", "ok", "ok"), &values).unwrap();
    assert_eq!(mail.subject, "Hello Bcc: evil@example.org");
}
