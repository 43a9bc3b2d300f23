//! Signed by openssl, which shares no code with us; the checksum by Python where it is there.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ottery_kernel::{Clock as _, SystemClock};

use super::*;

const BODY: &[u8] = br#"{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED","resource":{"id":"2GG"}}"#;
const WEBHOOK_ID: &str = "1JE4291016473214C";
const URL: &str = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42";

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// An authority and a certificate of it, in a folder of their own.
struct Authority {
    folder: PathBuf,
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Authority {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("paypal-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir(&folder).unwrap();
        let made = Self { folder };
        let (ca, ca_key) = (made.path("ca.pem"), made.path("ca.key"));
        let (own, own_key, request) = (made.path("own.pem"), made.path("own.key"), made.path("own.csr"));
        let extensions = made.path("own.ext");
        std::fs::write(&extensions, "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:messageverificationcerts.paypal.com\n").unwrap();
        openssl(
            &[
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=Test CA",
                "-addext",
                "keyUsage=critical,keyCertSign",
                "-keyout",
                &ca_key,
                "-out",
                &ca,
            ],
            b"",
        );
        openssl(
            &[
                "req",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-subj",
                "/CN=messageverificationcerts.paypal.com",
                "-keyout",
                &own_key,
                "-out",
                &request,
            ],
            b"",
        );
        openssl(
            &[
                "x509",
                "-req",
                "-in",
                &request,
                "-CA",
                &ca,
                "-CAkey",
                &ca_key,
                "-set_serial",
                "2",
                "-days",
                "1",
                "-extfile",
                &extensions,
                "-out",
                &own,
            ],
            b"",
        );
        made
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn certificates(&self) -> Certificates {
        let pem = self.read("ca.pem");
        let der = CertificateDer::from_pem_slice(&pem).unwrap();
        Certificates::trusting(vec![webpki::anchor_from_trusted_cert(&der).unwrap().to_owned()])
    }

    fn headers(&self, webhook_id: &str, time: &str, body: &[u8]) -> HashMap<String, String> {
        let text = format!("t-1|{time}|{webhook_id}|{}", checksum(body));
        let signed = openssl(&["dgst", "-sha256", "-sign", &self.path("own.key")], text.as_bytes());
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        HashMap::from([
            header("PayPal-Transmission-Id", "t-1"),
            header("paypal-transmission-time", time),
            header("paypal-transmission-sig", &base64::engine::general_purpose::STANDARD.encode(signed)),
            header("paypal-cert-url", URL),
            header("paypal-auth-algo", ALGORITHM),
        ])
    }
}

/// As zlib counts it, bit by bit.
fn checksum(body: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in body {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}

fn now() -> DateTime<Utc> {
    SystemClock.now()
}

fn time() -> String {
    now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[test]
fn the_checksum_is_pythons() {
    assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    let script = "import sys,zlib; print(zlib.crc32(sys.stdin.buffer.read()))";
    let child = Command::new("python3").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: python3 is not installed, so its checksum was not compared");
        return;
    };
    child.stdin.take().unwrap().write_all(BODY).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(said.trim(), crc32fast::hash(BODY).to_string());
}

#[test]
fn case_056_fault_f15_what_openssl_signs_is_known_and_a_forgery_is_not() {
    let authority = Authority::new();
    let certificates = authority.certificates();
    certificates.keep(URL, authority.read("own.pem"), now());
    let verify = |headers: &HashMap<String, String>, body: &[u8], webhook_id: &str| {
        certificates.verify(&Claimed::read(headers)?, body, &[Secret::new("other"), Secret::new(webhook_id)], now())
    };
    let headers = authority.headers(WEBHOOK_ID, &time(), BODY);
    assert_eq!(verify(&headers, BODY, WEBHOOK_ID), Ok(()));
    for index in 0..BODY.len() {
        let mut body = BODY.to_vec();
        body[index] ^= 1;
        assert_eq!(verify(&headers, &body, WEBHOOK_ID), Err(Forged::Wrong), "byte {index}");
    }
    assert_eq!(verify(&headers, &[BODY, b" "].concat(), WEBHOOK_ID), Err(Forged::Wrong));
    assert_eq!(verify(&headers, BODY, "9XX"), Err(Forged::Wrong));
    // The id of the event in place of that of the webhook.
    assert_eq!(verify(&authority.headers("WH-1", &time(), BODY), BODY, WEBHOOK_ID), Err(Forged::Wrong));
    for name in ["paypal-transmission-time", "PayPal-Transmission-Id"] {
        let mut changed = headers.clone();
        changed.insert(name.to_owned(), "2026-01-01T00:00:00Z".to_owned());
        assert_eq!(verify(&changed, BODY, WEBHOOK_ID), Err(Forged::Wrong), "{name}");
    }
    for name in headers.keys() {
        let mut changed = headers.clone();
        changed.remove(name);
        assert_eq!(verify(&changed, BODY, WEBHOOK_ID), Err(Forged::Unsigned), "{name}");
    }
    assert_eq!(
        certificates.verify(&Claimed::read(&headers).unwrap(), BODY, &[Secret::default()], now()),
        Err(Forged::Wrong)
    );
    // PayPal delivers for days: an old one is no forgery, its event id makes it harmless.
    assert_eq!(verify(&authority.headers(WEBHOOK_ID, "2026-01-01T00:00:00Z", BODY), BODY, WEBHOOK_ID), Ok(()));
}

#[test]
fn fault_f15_a_certificate_nobody_vouches_for_or_out_of_date_signs_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let certificates = authority.certificates();
    let headers = other.headers(WEBHOOK_ID, &time(), BODY);
    let claimed = Claimed::read(&headers).unwrap();
    let secrets = [Secret::new(WEBHOOK_ID)];
    assert_eq!(certificates.verify(&claimed, BODY, &secrets, now()), Err(Forged::Wrong), "none was read");
    certificates.keep(URL, other.read("own.pem"), now());
    assert_eq!(certificates.verify(&claimed, BODY, &secrets, now()), Err(Forged::Wrong), "another authority's");
    certificates.keep(URL, b"no certificate".to_vec(), now());
    assert_eq!(certificates.verify(&claimed, BODY, &secrets, now()), Err(Forged::Wrong));
    let headers = authority.headers(WEBHOOK_ID, &time(), BODY);
    let claimed = Claimed::read(&headers).unwrap();
    for days in [-3, 3] {
        let then = now() + TimeDelta::days(days);
        certificates.keep(URL, authority.read("own.pem"), then);
        assert_eq!(certificates.verify(&claimed, BODY, &secrets, then), Err(Forged::Wrong), "{days} days from now");
    }
}

#[test]
fn a_chain_is_read_again_after_a_day_and_not_all_are_kept() {
    let certificates = Certificates::trusting(Vec::new());
    certificates.keep(URL, vec![1], now());
    assert!(certificates.get(URL, now()).is_some());
    assert!(certificates.get(URL, now() + TimeDelta::days(1)).is_none());
    for index in 0..KEPT_MAX {
        certificates.keep(&format!("{URL}{index}"), vec![1], now());
    }
    assert!(certificates.get(URL, now()).is_none());
}

#[test]
fn secure_s19_a_certificate_is_fetched_from_paypal_alone() {
    for url in [URL, "https://paypal.com/c", "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1"] {
        assert!(is_paypals(url), "{url}");
    }
    for url in [
        "",
        "http://api.paypal.com/c",
        "https://paypal.com.evil.test/c",
        "https://evilpaypal.com/c",
        "https://api.paypal.com:8443/c",
        "https://api.paypal.com@evil.test/c",
        "https://user@api.paypal.com/c",
        "https://evil.test/https://api.paypal.com/c",
        "https://evil.test\\.paypal.com/c",
        "https://127.0.0.1/c",
        "ftp://api.paypal.com/c",
    ] {
        assert!(!is_paypals(url), "{url}");
    }
}
