//! The steps before the API: the name, the port, the secure channel. Nothing of ours is sent, no key and no name.

use std::error::Error as _;
use std::time::{Duration, Instant};

use ottery_kit::http::{HttpError, Lookup as _, Refused, SystemLookup};
use reqwest::Method;
use url::Url;

use crate::app::App;
use crate::domain::diagnosis::{Fault, Name, Step, fault};
use crate::driver::http::connecting;
use crate::driver::{Cause, PanelError};

/// Longest wait for the first page of a panel's web server.
const PATIENCE: Duration = Duration::from_secs(8);

/// The three steps, and whether the API can be asked at all.
pub(super) async fn steps(app: &App, base_url: &str) -> (Vec<Step>, bool) {
    let started = Instant::now();
    let url = match app.http.guard().check_resolved(base_url).await {
        Ok(url) => url,
        Err(refused) => {
            let step = Step::bad(Name::Dns, refused.to_string(), refusal(&refused)).took(started.elapsed());
            return (vec![step, skipped(Name::Tcp), skipped(Name::Tls)], false);
        }
    };
    let dns = Step::good(Name::Dns, addresses(&url).await).took(started.elapsed());
    let started = Instant::now();
    let mut answer = first_page(app, &url).await.map_err(Unanswered::Http);
    if let Err(Unanswered::Http(HttpError::Connect(_))) = &answer
        && is_plain_there(app, &url).await
    {
        answer = Err(Unanswered::Plain);
    }
    let (tcp, tls, reached) = channel(&url, answer, app.config.egress_address.as_str());
    (vec![dns, tcp.took(started.elapsed()), tls], reached)
}

/// Why there is no first page.
enum Unanswered {
    /// As the client says.
    Http(HttpError),
    /// What listens speaks http and no TLS, which looks like a broken connection from within TLS.
    Plain,
}

/// Whether the port of an https address answers plain http.
async fn is_plain_there(app: &App, url: &Url) -> bool {
    let mut plain = url.clone();
    let port = url.port_or_known_default();
    if url.scheme() != "https" || plain.set_scheme("http").is_err() || plain.set_port(port).is_err() {
        return false;
    }
    first_page(app, &plain).await.is_ok()
}

fn skipped(name: Name) -> Step {
    Step::skipped(name, "not reached")
}

fn refusal(refused: &Refused) -> Fault {
    let cause = if matches!(refused, Refused::NoAddress(_)) { Cause::Dns } else { Cause::AddressBlocked };
    Fault::new(cause.code(), refused.to_string(), cause.remedy())
}

async fn addresses(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match SystemLookup.lookup(host.trim_matches(['[', ']'])).await {
        Ok(mut found) => {
            found.sort();
            found.dedup();
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        Err(_) => host.to_owned(),
    }
}

/// Asks the web server for its first page: any answer at all proves port and channel.
async fn first_page(app: &App, url: &Url) -> Result<u16, HttpError> {
    let mut root = url.clone();
    root.set_path("/");
    root.set_query(None);
    let request = app.http.request(Method::GET, root.as_str())?.timeout(PATIENCE);
    Ok(app.http.send(request).await?.status().as_u16())
}

/// What the answer, or none, says about port and channel.
fn channel(url: &Url, answer: Result<u16, Unanswered>, egress: &str) -> (Step, Step, bool) {
    let port = url.port_or_known_default().unwrap_or_default();
    let listens = Step::good(Name::Tcp, format!("port {port} answers"));
    let is_plain = url.scheme() == "http";
    let secure = || {
        if is_plain {
            let remedy =
                "Use https when the panel has a certificate: without it everybody on the way can read the key.";
            let why = "the panel's address begins with http://";
            Step::warning(Name::Tls, "not encrypted", Fault::new("not_encrypted", why, remedy))
        } else {
            Step::good(Name::Tls, "encrypted, with a certificate that holds")
        }
    };
    let error = match answer {
        Ok(status) => return (Step::good(Name::Tcp, format!("port {port} answers (HTTP {status})")), secure(), true),
        Err(Unanswered::Plain) => {
            let why = named("InvalidContentType");
            return (listens, Step::bad(Name::Tls, why.cause.clone(), why), false);
        }
        Err(Unanswered::Http(error)) => error,
    };
    match error {
        // Connected, and the page did not come: the API may still answer.
        HttpError::Timeout(_) | HttpError::Broken(_) | HttpError::TooLarge(_) | HttpError::Unreadable { .. } => {
            (listens, secure(), true)
        }
        HttpError::Refused(refused) => {
            (Step::bad(Name::Tcp, refused.to_string(), refusal(&refused)), skipped(Name::Tls), false)
        }
        HttpError::Connect(error) => match connecting(&error) {
            Cause::Tls => {
                let why = certificate(&error);
                let tls = Step::bad(Name::Tls, why.cause.clone(), why);
                (listens, tls, false)
            }
            cause => {
                let seen = match cause {
                    Cause::ConnectTimeout => format!("port {port} does not answer"),
                    _ => format!("nothing listens on port {port}"),
                };
                let why = fault(&PanelError::retryable(cause), egress);
                (Step::bad(Name::Tcp, seen, why), skipped(Name::Tls), false)
            }
        },
        error @ (HttpError::Request(_) | HttpError::Authority | HttpError::Tls(_) | HttpError::Build(_)) => {
            let why = Fault::new(Cause::Tls.code(), error.to_string(), Cause::Tls.remedy());
            (listens, Step::bad(Name::Tls, error.to_string(), why), false)
        }
    }
}

/// What is wrong with the certificate, by the words of the TLS library.
fn certificate(error: &reqwest::Error) -> Fault {
    let mut words = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words} {cause}");
        source = cause.source();
    }
    named(&words)
}

fn named(words: &str) -> Fault {
    let (code, cause, remedy) = if words.contains("Expired") || words.contains("expired") {
        ("tls_expired", "the panel's certificate has expired", "Renew the certificate on the panel, then test again.")
    } else if words.contains("NotValidForName") || words.contains("not valid for name") {
        (
            "tls_name",
            "the panel's certificate is for another name",
            "Enter the name that the certificate is for, or install one for this name on the panel.",
        )
    } else if words.contains("UnknownIssuer") || words.contains("CaUsedAsEndEntity") {
        (
            "tls_unknown_issuer",
            "the panel's certificate is self-signed, or signed by nobody we know",
            "Install a certificate of a public authority on the panel (Let's Encrypt is free), then test again.",
        )
    } else if words.contains("InvalidContentType") || words.contains("corrupt message") {
        (
            "tls_none",
            "what answers there does not speak TLS",
            "Write http:// in the panel's address, or enter the port of its https.",
        )
    } else {
        (Cause::Tls.code(), "no secure connection: certificate or TLS problem", Cause::Tls.remedy())
    };
    Fault::new(code, cause, remedy)
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn what_is_wrong_with_a_certificate_has_a_name() {
        for (words, code) in [
            ("invalid peer certificate: UnknownIssuer", "tls_unknown_issuer"),
            ("invalid peer certificate: Expired", "tls_expired"),
            ("invalid peer certificate: NotValidForName", "tls_name"),
            ("received corrupt message of type InvalidContentType", "tls_none"),
            ("something else", "tls"),
        ] {
            assert_eq!(named(words).code, code);
        }
    }
}
