//! From a planned mail to the bytes the server gets.

use std::time::SystemTime;

use lettre::address::AddressError;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};
use ottery_kernel::Locale;

use super::App;
use super::secrets::Secrets;
use crate::domain::defaults::{self, Wording};
use crate::domain::kind::Kind;
use crate::domain::profile::Profile;
use crate::domain::render::{self, Rendered, Values};
use crate::smtp::Fault;
use crate::store::delivery::Delivery;
use crate::store::template::Own;

/// A mail ready to leave.
pub struct Composed {
    /// As stored.
    pub subject: String,
    /// With addresses.
    pub message: Message,
}

/// The tags to look under, the customer's before the brand's before English.
fn tags(wanted: &[&str]) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for locale in wanted.iter().chain(&["en"]).filter_map(|tag| tag.parse::<Locale>().ok()) {
        for tag in locale.fallbacks() {
            if !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
            }
        }
    }
    tags
}

/// The wordings that could be used, the best first, with their language.
fn candidates<'a>(kind: Kind, wanted: &[&str], own: &'a [Own]) -> Vec<(String, &'a Wording)> {
    let find = |tag: String| {
        let brands = own.iter().find(|own| own.name == kind.as_str() && own.locale == tag).map(|own| &own.wording);
        let embedded = defaults::wording(kind, &tag);
        [brands, embedded].into_iter().flatten().map(move |wording| (tag.clone(), wording)).collect::<Vec<_>>()
    };
    tags(wanted).into_iter().flat_map(find).collect()
}

fn mailbox(name: Option<String>, address: &str) -> Result<Mailbox, Fault> {
    let parsed = address.parse().map_err(|error: AddressError| Fault::Never(format!("`{address}`: {error}")))?;
    Ok(Mailbox::new(name, parsed))
}

impl App {
    /// Renders a mail and puts it together.
    pub(super) fn compose(
        &self,
        delivery: &Delivery,
        profile: &Profile,
        own: &[Own],
        secrets: Secrets,
    ) -> Result<Composed, Fault> {
        let rendered = self.rendered(delivery, profile, own, secrets)?;
        let broken = |error: lettre::error::Error| Fault::Never(format!("the mail cannot be put together: {error}"));
        let mut builder = Message::builder()
            .from(mailbox(Some(profile.name.clone()), &profile.sender())?)
            .to(mailbox(None, &delivery.recipient)?)
            .subject(rendered.subject.clone())
            .date(SystemTime::from(self.clock().now()))
            .message_id(Some(delivery.message_id.clone()))
            // Keeps holiday answers from coming back.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        if !profile.support_email.is_empty() {
            builder = builder.reply_to(mailbox(Some(profile.name.clone()), &profile.support_email)?);
        }
        let html = SinglePart::html(rendered.html);
        let parts = MultiPart::alternative().singlepart(SinglePart::plain(rendered.text));
        let parts = match profile.picture() {
            Some(logo) => {
                let media_type = ContentType::parse(logo.media_type).expect("both media types are well-formed");
                let picture = Attachment::new_inline("logo".to_owned()).body(logo.bytes, media_type);
                parts.multipart(MultiPart::related().singlepart(html).singlepart(picture))
            }
            None => parts.singlepart(html),
        };
        let message = builder.multipart(parts).map_err(broken)?;
        Ok(Composed { subject: rendered.subject, message })
    }

    fn rendered(
        &self,
        delivery: &Delivery,
        profile: &Profile,
        own: &[Own],
        secrets: Secrets,
    ) -> Result<Rendered, Fault> {
        let kind = Kind::from_name(&delivery.template)
            .ok_or_else(|| Fault::Never(format!("there is no mail `{}`", delivery.template)))?;
        let base_url = self.config.public.base(&profile.host);
        let mut values = Values {
            kind,
            profile,
            link: format!("{base_url}{}{}", delivery.params.path, secrets.token.0),
            base_url,
            locale: String::new(),
            email: delivery.recipient.clone(),
            name: delivery.params.name.clone(),
            vars: delivery.params.vars.clone(),
            credentials: secrets.credentials,
        };
        let mut reason = "no wording".to_owned();
        // A wording that worked in its preview and fails now must not keep the mail from the customer.
        for (locale, wording) in candidates(kind, &[&delivery.locale, &profile.default_locale], own) {
            values.locale = locale;
            match render::render(wording, &values) {
                Ok(rendered) => return Ok(rendered),
                Err(error) => {
                    tracing::warn!(delivery.id = %delivery.id, template = kind.as_str(), locale = values.locale, error = %error, "template failed; the next best is used");
                    reason = error.to_string();
                }
            }
        }
        Err(Fault::Never(format!("template `{}`: {reason}", kind.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_customers_language_comes_first_and_english_last() {
        assert_eq!(tags(&["pt-BR", "de"]), ["pt-BR", "pt", "de", "en"]);
        assert_eq!(tags(&["", "nonsense!"]), ["en"]);
        let own = Own {
            name: "subscription.ended".into(),
            locale: "de".into(),
            wording: Wording { subject: "own".into(), body_text: String::new(), body_html: String::new() },
            version: 1,
        };
        let found = candidates(Kind::Ended, &["de-AT", "en"], std::slice::from_ref(&own));
        let found: Vec<_> = found.iter().map(|(tag, wording)| (tag.as_str(), wording.subject == "own")).collect();
        assert_eq!(found, [("de", true), ("de", false), ("en", false)]);
    }
}
