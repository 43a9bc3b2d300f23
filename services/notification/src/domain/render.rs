//! From a wording and its values to a mail, within limits: templates are written by operators, not by us.

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind, State, UndefinedBehavior, context};
use serde_json::{Map, Value as Json};

use super::defaults::Wording;
use super::format;
use super::kind::Kind;
use super::profile::Profile;

/// Steps a template may take; the longest embedded one takes some hundred.
const FUEL: u64 = 50_000;
const SUBJECT_CHARS_MAX: usize = 200;
const BODY_BYTES_MAX: usize = 200_000;
const SOURCE_BYTES_MAX: usize = 100_000;

const LAYOUT_TEXT: &str = include_str!("../../templates/layout.txt");
const LAYOUT_HTML: &str = include_str!("../../templates/layout.html");

/// What a line's owner needs; exists only while a mail is rendered.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Name of the line.
    pub username: String,
    /// Its password.
    pub password: String,
    /// Where players connect.
    pub server_url: String,
    /// May be empty.
    pub playlist_url: String,
    /// May be empty.
    pub epg_url: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Everything a mail is rendered from besides its wording.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    /// Which mail.
    pub kind: Kind,
    /// Whose.
    pub profile: &'a Profile,
    /// Address of the brand's pages.
    pub base_url: String,
    /// Language of the wording.
    pub locale: String,
    /// Address of the recipient.
    pub email: String,
    /// How the recipient is addressed.
    pub name: String,
    /// Where the mail's link leads, with its token.
    pub link: String,
    /// Variables of the template.
    pub vars: Map<String, Json>,
    /// Only in mails that hand them over.
    pub credentials: Option<Credentials>,
}

/// A rendered mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// A whole document.
    pub html: String,
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendered").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Why a wording does not become a mail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}{}: {reason}", .line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct BadTemplate {
    /// `subject`, `body_text` or `body_html`.
    pub field: &'static str,
    /// Line of the source.
    pub line: Option<usize>,
    /// What is wrong and the way out.
    pub reason: String,
}

/// Renders a mail in the brand's frame.
///
/// # Errors
/// The wording is broken, asks for what is not there, or does too much.
pub fn render(wording: &Wording, values: &Values<'_>) -> Result<Rendered, BadTemplate> {
    // Subjects are stored and shown in lists, so secrets are not even offered to them.
    let public = whole(values, None);
    let subject = one(values, "subject", "subject.txt", &wording.subject, &public)?;
    let subject = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    if subject.is_empty() || subject.chars().count() > SUBJECT_CHARS_MAX {
        let reason = format!("needs 1 to {SUBJECT_CHARS_MAX} characters once filled in");
        return Err(BadTemplate { field: "subject", line: None, reason });
    }
    let context = whole(values, Some(values));
    let text = one(values, "body_text", "body.txt", &wording.body_text, &context)?;
    let html = one(values, "body_html", "body.html", &wording.body_html, &context)?;
    let frame = |body: &str| {
        context! { subject => subject, body => body, direction => direction(&values.locale), ..context.clone() }
    };
    Ok(Rendered {
        text: one(values, "body_text", "layout.txt", LAYOUT_TEXT, &frame(text.trim_end()))?,
        html: one(values, "body_html", "layout.html", LAYOUT_HTML, &frame(&html))?,
        subject,
    })
}

fn direction(locale: &str) -> &'static str {
    let is_rtl = locale.parse::<ottery_kernel::Locale>().is_ok_and(|locale| locale.is_right_to_left());
    if is_rtl { "rtl" } else { "ltr" }
}

fn whole(values: &Values<'_>, secrets: Option<&Values<'_>>) -> Value {
    let profile = values.profile;
    let brand = context! {
        name => profile.name, url => values.base_url, support_email => profile.support_email,
        accent => profile.token("accent"), accent_contrast => profile.token("accent-contrast"),
        surface => profile.token("surface"), surface_raised => profile.token("surface-raised"),
        text => profile.token("text"), text_muted => profile.token("text-muted"),
        has_logo => profile.picture().is_some(),
    };
    let common = context! {
        brand => brand,
        locale => values.locale,
        recipient => context! { email => values.email, name => values.name },
    };
    let vars = Value::from_serialize(&values.vars);
    let Some(secret) = secrets else { return context! { ..common, ..vars } };
    let link = context! { link => secret.link };
    let Some(credentials) = &secret.credentials else { return context! { ..common, ..link, ..vars } };
    let credentials = context! { credentials => context! {
        username => credentials.username, password => credentials.password, server_url => credentials.server_url,
        playlist_url => credentials.playlist_url, epg_url => credentials.epg_url,
    } };
    context! { ..common, ..link, ..credentials, ..vars }
}

fn one(
    values: &Values<'_>,
    field: &'static str,
    name: &str,
    source: &str,
    context: &Value,
) -> Result<String, BadTemplate> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(BadTemplate { field, line: None, reason: format!("is longer than {SOURCE_BYTES_MAX} bytes") });
    }
    let bad = |error: &minijinja::Error| {
        let reason = match error.kind() {
            ErrorKind::OutOfFuel => "does too much; loop over less".to_owned(),
            ErrorKind::UndefinedError => {
                format!("{error}; a mail of this kind has only the variables of its preview")
            }
            _ => error.to_string(),
        };
        BadTemplate { field, line: error.line(), reason }
    };
    let environment = environment(values);
    let template = environment.template_from_named_str(name, source).map_err(|error| bad(&error))?;
    let mut limited = Limited(Vec::new());
    match template.render_captured_to(context, &mut limited) {
        Ok(_) => Ok(String::from_utf8_lossy(&limited.0).into_owned()),
        Err(error) if error.kind() == ErrorKind::WriteFailure => {
            Err(BadTemplate { field, line: None, reason: format!("becomes longer than {BODY_BYTES_MAX} bytes") })
        }
        Err(error) => Err(bad(&error)),
    }
}

fn environment<'source>(values: &Values<'_>) -> Environment<'source> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(50);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(
        |name| {
            if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
        },
    );
    let (locale, zone) = (values.locale.clone(), values.profile.time_zone.clone());
    environment.add_filter("date", move |seconds: i64| format::date(seconds, &zone, &locale));
    let locale = values.locale.clone();
    environment.add_filter("money", move |amount: Value| -> Result<String, minijinja::Error> {
        let minor = i64::try_from(amount.get_attr("minor")?)?;
        Ok(format::money(minor, &amount.get_attr("currency")?.to_string(), &locale))
    });
    environment.add_filter("lines", |state: &State<'_, '_>, text: String| match state.auto_escape() {
        AutoEscape::Html => {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            Value::from_safe_string(escaped.replace('\n', "<br>\n"))
        }
        _ => Value::from(text),
    });
    environment
}

struct Limited(Vec<u8>);

impl std::io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > BODY_BYTES_MAX {
            return Err(std::io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Values to try a wording with.
#[must_use]
pub fn sample<'a>(kind: Kind, profile: &'a Profile, base_url: String, locale: &str) -> Values<'a> {
    let credentials = kind.has_credentials().then(|| Credentials {
        username: "ada4711".to_owned(),
        password: "not-a-password".to_owned(),
        server_url: "http://tv.example:8080".to_owned(),
        playlist_url: "http://tv.example:8080/get.php".to_owned(),
        epg_url: "http://tv.example:8080/xmltv.php".to_owned(),
    });
    Values {
        kind,
        profile,
        link: format!("{base_url}/account"),
        base_url,
        locale: locale.to_owned(),
        email: "ada@example.org".to_owned(),
        name: "Ada".to_owned(),
        vars: kind.sample(),
        credentials,
    }
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
