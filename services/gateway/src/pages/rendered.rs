//! Pages that are the same for everybody: rendered once for each (brand, catalog, choice, colours), then sent from memory.
//!
//! A page kept here knows nothing of whoever asks: no account, no token, no nonce. What it does depend on is all in its
//! [`PageKey`], compared in full, so that no two brands can ever share one.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use moka::sync::Cache;
use ottery_kernel::BrandId;

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

/// Everything a page depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageKey {
    brand: BrandId,
    brand_version: u64,
    /// State of the brand's test clock, and its second.
    clock: Option<(i32, i64)>,
    catalog: u64,
    authority: Arc<str>,
    is_demo: bool,
    path: String,
    locale: String,
    currency: String,
    term: String,
    theme: &'static str,
    done: String,
}

impl PageKey {
    /// The page at the visitor's address, in the visitor's colours, with these plans shown as chosen, in the brand's own way of
    /// writing numbers.
    #[must_use]
    pub fn new(brand: &Brand, plans: &Plans, ui: &Ui, choice: &Choice) -> Self {
        let clock = brand.test_clock.as_ref();
        Self {
            brand: brand.id,
            brand_version: brand.version,
            clock: clock.map(|clock| (clock.state, clock.now.as_ref().map_or(0, |now| now.seconds))),
            catalog: plans.edition(),
            authority: ui.request.authority.clone(),
            is_demo: ui.is_demo,
            path: ui.path.clone(),
            locale: brand.default_locale.clone(),
            currency: choice.currency.clone(),
            term: choice.term.clone(),
            theme: ui.theme,
            // Words that say nothing may not make pages of their own.
            done: done(ui.query.get("done")).map(|_| ui.query.text("done")).unwrap_or_default(),
        }
    }

    /// Bytes of its texts.
    fn len(&self) -> usize {
        let texts = [&self.path, &self.locale, &self.currency, &self.term, &self.done];
        self.authority.len() + texts.iter().map(|text| text.len()).sum::<usize>()
    }
}

/// A page in both forms, each with its tag.
#[derive(Debug)]
struct Kept {
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
            plain: Form { bytes: text.into(), tag: tag("")? },
            gzip: Form { bytes: zipped.into(), tag: tag("-gzip")? },
        })
    }

    /// Bytes this entry takes; visitors choose parts of its key, so that counts as well.
    fn weight(&self, key: &PageKey) -> u32 {
        u32::try_from(self.plain.bytes.len() + self.gzip.bytes.len() + key.len()).unwrap_or(u32::MAX)
    }
}

/// Pages that are the same for everybody.
#[derive(Clone, Debug)]
pub struct Rendered(Cache<PageKey, Arc<Kept>>);

impl Default for Rendered {
    fn default() -> Self {
        let pages = Cache::builder().max_capacity(BYTES_MAX).weigher(|key, kept: &Arc<Kept>| kept.weight(key));
        Self(pages.time_to_live(KEPT_FOR).build())
    }
}

impl Rendered {
    /// The page as answer to a request with these headers; rendered when it is not there.
    ///
    /// # Errors
    /// Those of `render`.
    pub fn answer(&self, key: PageKey, headers: &HeaderMap, render: impl FnOnce() -> Reply<String>) -> Reply<Response> {
        let kept = match self.0.get(&key) {
            Some(kept) => kept,
            None => {
                let made = Arc::new(Kept::of(render()?)?);
                self.0.insert(key, made.clone());
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
        let usual = || PageKey::new(&brand(1, 1), &plans(1), &ui("a.example", "/plans", ""), &choice("", ""));
        assert_eq!(usual(), usual());
        let clock = |state: catalog::test_clock::State, seconds| {
            let mut brand = brand(1, 1);
            let now = Some(prost_types::Timestamp { seconds, nanos: 0 });
            brand.content.test_clock = Some(catalog::TestClock { state: state.into(), now, ..Default::default() });
            PageKey::new(&brand, &plans(1), &ui("a.example", "/plans", ""), &choice("", ""))
        };
        let of = |brand: &Brand, version, ui: &Ui, choice: Choice| PageKey::new(brand, &plans(version), ui, &choice);
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
        let of = |address: &str| PageKey::new(&brand(1, 1), &plans(1), &ui("a.example", address, ""), &choice("", ""));
        assert_eq!(of("/plans?done=nonsense"), of("/plans"));
        let long = "x".repeat(5_000);
        let kept = Kept::of("<p>Hello</p>".into()).unwrap();
        assert_eq!(kept.weight(&of(&format!("/plans/{long}"))) - kept.weight(&of("/plans/")), 5_000);
    }

    fn key() -> PageKey {
        PageKey::new(&brand(1, 1), &plans(1), &ui("a.example", "/plans", ""), &choice("", ""))
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

    #[test]
    fn a_page_that_could_not_be_rendered_is_not_kept() {
        let pages = Rendered::default();
        assert!(pages.answer(key(), &HeaderMap::new(), || Err(Refusal::not_found())).is_err());
        assert!(pages.answer(key(), &HeaderMap::new(), || Ok("<p>Hello</p>".to_owned())).is_ok());
    }
}
