//! The two portals and their cookies.

use axum::http::{HeaderMap, HeaderValue, header};
use chrono::{DateTime, Utc};
use ottery_kit::secret::Secret;
use ottery_proto::identity::v1 as identity;

use super::SECRET_CHARS_MAX;
use crate::brand::Site;
use crate::problem::Refusal;
use crate::request::RequestInfo;

/// Which cookie: one per portal, so that one portal's cookie means nothing to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Portal {
    /// Storefront and customers' account.
    Shop,
    /// Staff area.
    Staff,
}

impl Portal {
    /// The cookie's name. Without HTTPS browsers refuse the `__Host-` prefix.
    #[must_use]
    pub const fn cookie(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Self::Shop, true) => "__Host-ottery_shop",
            (Self::Shop, false) => "ottery_shop",
            (Self::Staff, true) => "__Host-ottery_staff",
            (Self::Staff, false) => "ottery_staff",
        }
    }

    /// The kind of account that signs in here.
    #[must_use]
    pub const fn realm(self) -> identity::Realm {
        match self {
            Self::Shop => identity::Realm::Customer,
            Self::Staff => identity::Realm::Staff,
        }
    }

    /// The portal of a site.
    #[must_use]
    pub const fn of(site: &Site) -> Self {
        match site {
            Site::Brand(_) => Self::Shop,
            Site::Staff => Self::Staff,
        }
    }

    /// `Set-Cookie` that starts this session in the browser.
    ///
    /// # Errors
    /// When identity gave a secret no cookie can hold.
    pub fn sign_in(
        self,
        session: &identity::Session,
        request: &RequestInfo,
        now: DateTime<Utc>,
    ) -> Result<HeaderValue, Refusal> {
        let until = session.absolute_deadline.as_ref().map_or(0, |at| at.seconds);
        let max_age = (until - now.timestamp()).max(0);
        self.header(&session.secret, max_age, request)
    }

    /// `Set-Cookie` that removes it.
    ///
    /// # Errors
    /// Never in practice.
    pub fn sign_out(self, request: &RequestInfo) -> Result<HeaderValue, Refusal> {
        self.header("", 0, request)
    }

    fn header(self, value: &str, max_age_s: i64, request: &RequestInfo) -> Result<HeaderValue, Refusal> {
        let name = self.cookie(request.is_secure);
        let secure = if request.is_secure { "; Secure" } else { "" };
        // Lax for the shop: the customer comes back from the payment provider's page.
        let same_site = match self {
            Self::Shop => "Lax",
            Self::Staff => "Strict",
        };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={max_age_s}{secure}");
        HeaderValue::try_from(text).map_err(|error| Refusal::internal(&error))
    }

    /// The secret in the request's cookie of this portal.
    #[must_use]
    pub fn secret(self, headers: &HeaderMap, is_secure: bool) -> Option<Secret> {
        cookie(headers, self.cookie(is_secure)).filter(|value| !value.is_empty()).map(Secret::new)
    }
}

/// A cookie of the request, by its exact name; given twice it counts as absent, because one of them is planted.
#[must_use]
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut found = None;
    for header in headers.get_all(header::COOKIE) {
        for pair in header.to_str().unwrap_or_default().split(';') {
            if let Some((key, value)) = pair.trim().split_once('=')
                && key == name
            {
                if found.is_some() || value.len() > SECRET_CHARS_MAX {
                    return None;
                }
                found = Some(value.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use chrono::TimeDelta;

    use super::*;

    fn request(is_secure: bool) -> RequestInfo {
        let mut config = crate::testing::config().http;
        config.behind_tls = is_secure;
        let (parts, ()) = Request::new(()).into_parts();
        RequestInfo::read(&parts, &config)
    }

    fn set_cookie(portal: Portal, is_secure: bool) -> String {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let until = prost_types::Timestamp { seconds: now.timestamp() + 3_600, nanos: 0 };
        let session =
            identity::Session { secret: "s3cret".into(), absolute_deadline: Some(until), ..Default::default() };
        portal.sign_in(&session, &request(is_secure), now).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn secure_s01_cookies_of_the_portals() {
        let rest = "Path=/; HttpOnly; SameSite";
        assert_eq!(
            set_cookie(Portal::Shop, true),
            format!("__Host-ottery_shop=s3cret; {rest}=Lax; Max-Age=3600; Secure")
        );
        assert_eq!(
            set_cookie(Portal::Staff, true),
            format!("__Host-ottery_staff=s3cret; {rest}=Strict; Max-Age=3600; Secure")
        );
        // A demo without HTTPS cannot have the prefix.
        assert_eq!(set_cookie(Portal::Shop, false), format!("ottery_shop=s3cret; {rest}=Lax; Max-Age=3600"));
    }

    #[test]
    fn secure_s01_one_portals_cookie_is_nothing_to_the_other() {
        let headers = |text: &'static str| HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(text))]);
        let staff = headers("a=b; __Host-ottery_staff=s3cret");
        assert!(Portal::Staff.secret(&staff, true).is_some());
        assert!(Portal::Shop.secret(&staff, true).is_none());
        // The unprefixed name could be planted by a sibling host.
        assert!(Portal::Staff.secret(&headers("ottery_staff=s3cret"), true).is_none());
        // Two of a name: one of them was planted.
        assert!(Portal::Shop.secret(&headers("__Host-ottery_shop=a; __Host-ottery_shop=b"), true).is_none());
    }
}
