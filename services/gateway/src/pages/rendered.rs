//! Pages that are the same for everybody: rendered once for each (brand, catalog, choice, colours), then sent from memory.
//!
//! A page kept here knows nothing of whoever asks: no account, no token, no nonce. What it does depend on is all in its
//! [`PageKey`], compared in full, so that no two brands can ever share one.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use ottery_kernel::BrandId;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use super::assets::hash;
use super::frame::{Ui, done};
use super::shop::offer::Choice;
use crate::brand::Brand;
use crate::cache::Plans;
use crate::headers::STATIC_PAGE_POLICY;
use crate::problem::{Refusal, Reply};

/// Bytes of pages kept in memory.
const BYTES_MAX: u64 = 64 << 20;
/// Longest time a page is kept; relative texts on it are allowed to be this old.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Best for text that is compressed once and sent often, without making a change of the catalog slow.
const COMPRESSION: Compression = Compression::new(6);

/// Pages of a usual size that fit into that.
const PAGES: usize = 4_096;

/// Everything a page depends on. A visitor's request lends its texts; only who gets a page rendered copies them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageKey<'a> {
    brand: BrandId,
    brand_version: u64,
    /// State of the brand's test clock, and its second.
    clock: Option<(i32, i64)>,
    catalog: u64,
    authority: Cow<'a, str>,
    is_demo: bool,
    path: Cow<'a, str>,
    locale: Cow<'a, str>,
    currency: Cow<'a, str>,
    term: Cow<'a, str>,
    theme: &'static str,
    done: Cow<'a, str>,
}

impl<'a> PageKey<'a> {
    /// The page at the visitor's address, in the visitor's colours, with these plans shown as chosen, in the brand's own way of
    /// writing numbers.
    #[must_use]
    pub fn new(brand: &'a Brand, plans: &Plans, ui: &'a Ui, choice: &'a Choice) -> Self {
        let clock = brand.test_clock.as_ref();
        Self {
            brand: brand.id,
            brand_version: brand.version,
            clock: clock.map(|clock| (clock.state, clock.now.as_ref().map_or(0, |now| now.seconds))),
            catalog: plans.edition(),
            authority: (*ui.request.authority).into(),
            is_demo: ui.is_demo,
            path: ui.path.as_str().into(),
            locale: brand.default_locale.as_str().into(),
            currency: choice.currency.as_str().into(),
            term: choice.term.as_str().into(),
            theme: ui.theme,
            // Words that say nothing may not make pages of their own.
            done: Some(ui.query.get("done")).filter(|code| done(code).is_some()).unwrap_or_default().into(),
        }
    }

    fn into_owned(self) -> PageKey<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        PageKey {
            brand: self.brand,
            brand_version: self.brand_version,
            clock: self.clock,
            catalog: self.catalog,
            authority: owned(self.authority),
            is_demo: self.is_demo,
            path: owned(self.path),
            locale: owned(self.locale),
            currency: owned(self.currency),
            term: owned(self.term),
            theme: self.theme,
            done: owned(self.done),
        }
    }

    /// Bytes of its texts.
    fn len(&self) -> usize {
        let texts = [&self.authority, &self.path, &self.locale, &self.currency, &self.term, &self.done];
        texts.iter().map(|text| text.len()).sum()
    }
}

/// A key with lent texts, as what it looks for.
#[derive(Hash)]
struct Wanted<'a>(&'a PageKey<'a>);

impl Equivalent<PageKey<'static>> for Wanted<'_> {
    fn equivalent(&self, key: &PageKey<'static>) -> bool {
        self.0 == key
    }
}

/// A page in both forms, each with its tag.
#[derive(Debug)]
struct Kept {
    made_at: Instant,
    plain: Form,
    gzip: Form,
}

#[derive(Debug)]
struct Form {
    bytes: Bytes,
    tag: HeaderValue,
}

impl Kept {
    fn of(text: String) -> Result<Self, Refusal> {
        let hash = hash(&text);
        let tag =
            |form: &str| HeaderValue::try_from(format!("\"{hash}{form}\"")).map_err(|error| Refusal::internal(&error));
        let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 3), COMPRESSION);
        let zipped = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
        let zipped = zipped.map_err(|error| Refusal::internal(&error))?;
        Ok(Self {
            made_at: Instant::now(),
            plain: Form { bytes: text.into(), tag: tag("")? },
            gzip: Form { bytes: zipped.into(), tag: tag("-gzip")? },
        })
    }

    /// Bytes this entry takes; visitors choose parts of its key, so that counts as well.
    fn weight(&self, key: &PageKey<'_>) -> u64 {
        (self.plain.bytes.len() + self.gzip.bytes.len() + key.len()) as u64
    }
}

#[derive(Clone, Debug)]
struct Bytewise;

impl Weighter<PageKey<'static>, Arc<Kept>> for Bytewise {
    fn weight(&self, key: &PageKey<'static>, kept: &Arc<Kept>) -> u64 {
        kept.weight(key)
    }
}

/// Pages that are the same for everybody.
#[derive(Clone, Debug)]
pub struct Rendered(Arc<Cache<PageKey<'static>, Arc<Kept>, Bytewise>>);

impl Default for Rendered {
    fn default() -> Self {
        Self(Arc::new(Cache::with_weighter(PAGES, BYTES_MAX, Bytewise)))
    }
}

impl Rendered {
    /// The page as answer to a request with these headers; rendered when it is not there.
    ///
    /// # Errors
    /// Those of `render`.
    pub fn answer(
        &self,
        key: PageKey<'_>,
        headers: &HeaderMap,
        render: impl FnOnce() -> Reply<String>,
    ) -> Reply<Response> {
        let kept = match self.0.get(&Wanted(&key)).filter(|kept| kept.made_at.elapsed() < KEPT_FOR) {
            Some(kept) => kept,
            None => {
                let made = Arc::new(Kept::of(render()?)?);
                self.0.insert(key.into_owned(), made.clone());
                made
            }
        };
        let is_gzip = takes_gzip(headers);
        let form = if is_gzip { &kept.gzip } else { &kept.plain };
        let is_known = knows(headers, &form.tag);
        let mut response = Response::new(if is_known { Body::empty() } else { Body::from(form.bytes.clone()) });
        let out = response.headers_mut();
        // Room for those of the edge as well.
        out.reserve(24);
        out.insert(header::ETAG, form.tag.clone());
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=0, must-revalidate"));
        out.insert(header::VARY, HeaderValue::from_static("Cookie, Accept-Encoding"));
        out.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(STATIC_PAGE_POLICY));
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        if is_gzip {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }
}

/// The comma-separated parts of a header that may come more than once.
fn parts(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Whether the visitor understands gzip and did not say otherwise.
fn takes_gzip(headers: &HeaderMap) -> bool {
    parts(headers, header::ACCEPT_ENCODING).any(|part| {
        let (coding, weight) = part.split_once(';').unwrap_or((part, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        coding.trim().eq_ignore_ascii_case("gzip") && weight.is_none_or(|weight| weight > 0.0)
    })
}

/// Whether the visitor has this very page. Proxies that compress make tags weak; the page is the same.
fn knows(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    parts(headers, header::IF_NONE_MATCH)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use ottery_proto::catalog::v1 as catalog;

    use super::*;
    use crate::request::RequestInfo;

    fn brand(n: u128, version: u64) -> Brand {
        let id = BrandId::from_uuid(uuid::Uuid::from_u128(n));
        let content = catalog::Brand { id: id.to_string(), version, default_locale: "en".into(), ..Default::default() };
        Brand::of(content).unwrap()
    }

    fn ui(host: &str, address: &str, cookie: &str) -> Ui {
        let request = Request::builder().uri(address).header(header::HOST, host).header(header::COOKIE, cookie);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let info = RequestInfo::read(&parts, &crate::testing::config().http);
        Ui::read(info, &parts.headers, &parts.uri)
    }

    fn plans(version: u64) -> Plans {
        Plans::of(vec![catalog::Plan { id: "pln_1".into(), version, ..Default::default() }])
    }

    fn choice(currency: &str, term: &str) -> Choice {
        Choice { currency: currency.into(), term: term.into() }
    }

    #[test]
    fn two_pages_that_may_differ_never_share_a_key() {
        let usual = key;
        assert_eq!(usual(), usual());
        let clock = |state: catalog::test_clock::State, seconds| {
            let mut brand = brand(1, 1);
            let now = Some(prost_types::Timestamp { seconds, nanos: 0 });
            brand.content.test_clock = Some(catalog::TestClock { state: state.into(), now, ..Default::default() });
            of(&brand, 1, &ui("a.example", "/plans", ""), choice("", ""))
        };
        let mut german = brand(1, 1);
        german.content.default_locale = "de".into();
        let here = ui("a.example", "/plans", "");
        let ready = catalog::test_clock::State::Ready;
        let all = [
            ("as usual", usual()),
            ("another brand", of(&brand(2, 1), 1, &here, choice("", ""))),
            ("a changed brand", of(&brand(1, 2), 1, &here, choice("", ""))),
            ("a changed catalog", of(&brand(1, 1), 2, &here, choice("", ""))),
            ("another host of the brand", of(&brand(1, 1), 1, &ui("b.example", "/plans", ""), choice("", ""))),
            ("another page", of(&brand(1, 1), 1, &ui("a.example", "/plans/duo", ""), choice("", ""))),
            ("dark", of(&brand(1, 1), 1, &ui("a.example", "/plans", "ottery_theme=dark"), choice("", ""))),
            ("light", of(&brand(1, 1), 1, &ui("a.example", "/plans", "ottery_theme=light"), choice("", ""))),
            ("in USD", of(&brand(1, 1), 1, &here, choice("USD", ""))),
            ("by the year", of(&brand(1, 1), 1, &here, choice("", "1y"))),
            ("in German", of(&german, 1, &here, choice("", ""))),
            ("just saved", of(&brand(1, 1), 1, &ui("a.example", "/plans?done=saved", ""), choice("", ""))),
            ("on a test clock", clock(ready, 10)),
            ("a second later", clock(ready, 11)),
            ("advancing", clock(catalog::test_clock::State::Advancing, 10)),
        ];
        for (n, (name, key)) in all.iter().enumerate() {
            for (other_name, other) in all.iter().skip(n + 1) {
                assert_ne!(key, other, "{name} and {other_name}");
            }
        }
    }

    #[test]
    fn what_visitors_make_up_makes_no_page_of_its_own_and_is_counted_where_it_does() {
        let at = |address: &str| of(&brand(1, 1), 1, &ui("a.example", address, ""), choice("", ""));
        assert_eq!(at("/plans?done=nonsense"), at("/plans"));
        let long = "x".repeat(5_000);
        let kept = Kept::of("<p>Hello</p>".into()).unwrap();
        assert_eq!(kept.weight(&at(&format!("/plans/{long}"))) - kept.weight(&at("/plans/")), 5_000);
    }

    fn of(brand: &Brand, version: u64, ui: &Ui, choice: Choice) -> PageKey<'static> {
        PageKey::new(brand, &plans(version), ui, &choice).into_owned()
    }

    fn key() -> PageKey<'static> {
        of(&brand(1, 1), 1, &ui("a.example", "/plans", ""), choice("", ""))
    }

    fn asking(given: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        given.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    async fn body(response: Response) -> Bytes {
        response.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_page_is_rendered_once_and_sent_in_the_form_that_is_understood() {
        let pages = Rendered::default();
        let text = "<p>Hello</p>".repeat(50);
        let first = pages.answer(key(), &HeaderMap::new(), || Ok(text.clone())).unwrap();
        assert!(!first.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(body(first).await, text);

        let never = || -> Reply<String> { panic!("rendered again") };
        let zipped = pages.answer(key(), &asking(&[(header::ACCEPT_ENCODING, "br, gzip;q=0.8")]), never).unwrap();
        assert_eq!(zipped.headers()[header::CONTENT_ENCODING], "gzip");
        let zipped = body(zipped).await;
        let mut unzipped = String::new();
        flate2::read::GzDecoder::new(zipped.as_ref()).read_to_string(&mut unzipped).unwrap();
        assert_eq!(unzipped, text);
        assert!(zipped.len() < text.len());

        let refused = pages.answer(key(), &asking(&[(header::ACCEPT_ENCODING, "gzip;q=0")]), never).unwrap();
        assert!(!refused.headers().contains_key(header::CONTENT_ENCODING));
    }

    #[tokio::test]
    async fn who_has_the_page_already_gets_no_body() {
        let pages = Rendered::default();
        let make = || Ok("<p>Hello</p>".to_owned());
        let first = pages.answer(key(), &HeaderMap::new(), make).unwrap();
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::try_from(&known).unwrap());
            let again = pages.answer(key(), &headers, make).unwrap();
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(again.headers()[header::ETAG], tag.as_str());
            assert!(body(again).await.is_empty());
        }
        let stale = pages.answer(key(), &asking(&[(header::IF_NONE_MATCH, "\"other\"")]), make).unwrap();
        assert_eq!(stale.status(), StatusCode::OK);
        // The compressed form is another representation and has a tag of its own.
        let mut headers = asking(&[(header::ACCEPT_ENCODING, "gzip")]);
        headers.insert(header::IF_NONE_MATCH, HeaderValue::try_from(&tag).unwrap());
        assert_eq!(pages.answer(key(), &headers, make).unwrap().status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_page_is_rendered_again_when_it_was_kept_long_enough() {
        let pages = Rendered::default();
        let mut old = Kept::of("<p>A minute ago</p>".into()).unwrap();
        old.made_at = Instant::now().checked_sub(KEPT_FOR).unwrap();
        pages.0.insert(key(), Arc::new(old));
        let now = pages.answer(key(), &HeaderMap::new(), || Ok("<p>Now</p>".to_owned())).unwrap();
        assert_eq!(body(now).await, "<p>Now</p>");
        let kept = pages.answer(key(), &HeaderMap::new(), || panic!("rendered again")).unwrap();
        assert_eq!(body(kept).await, "<p>Now</p>");
    }

    #[test]
    fn a_page_that_could_not_be_rendered_is_not_kept() {
        let pages = Rendered::default();
        assert!(pages.answer(key(), &HeaderMap::new(), || Err(Refusal::not_found())).is_err());
        assert!(pages.answer(key(), &HeaderMap::new(), || Ok("<p>Hello</p>".to_owned())).is_ok());
    }
}
