//! Enough MIME to show a mail: headers, encoded words, multipart, base64 and quoted-printable.

use base64::{Engine, engine::general_purpose::STANDARD};

/// The readable parts of a mail.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub subject: String,
    pub from: String,
    pub headers: Vec<(String, String)>,
    pub text: Option<String>,
    pub html: Option<String>,
    /// File name, content type and size in bytes.
    pub attachments: Vec<(String, String, usize)>,
}

/// Takes a mail apart.
pub fn read(raw: &str) -> Parts {
    let raw = raw.replace("\r\n", "\n");
    let (headers, body) = split(&raw);
    let mut parts = Parts {
        subject: words(header(&headers, "subject").unwrap_or_default()),
        from: words(header(&headers, "from").unwrap_or_default()),
        ..Parts::default()
    };
    collect(&headers, body, &mut parts, 0);
    parts.headers = headers.into_iter().map(|(name, value)| (name, words(&value))).collect();
    parts
}

type Headers = Vec<(String, String)>;

fn split(raw: &str) -> (Headers, &str) {
    let (head, body) = match raw.strip_prefix('\n') {
        Some(body) => ("", body),
        None => raw.split_once("\n\n").unwrap_or((raw, "")),
    };
    let mut headers: Headers = Vec::new();
    for line in head.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    (headers, body)
}

fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|part| {
        let (key, value) = part.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"').to_owned())
    })
}

fn collect(headers: &Headers, body: &str, parts: &mut Parts, depth: usize) {
    let kind = header(headers, "content-type").unwrap_or("text/plain");
    let essence = kind.split(';').next().unwrap_or_default().trim().to_lowercase();
    if essence.starts_with("multipart/") && depth < 8 {
        let Some(boundary) = parameter(kind, "boundary") else { return };
        let mark = format!("--{boundary}");
        for part in format!("\n{body}").split(&format!("\n{mark}")).skip(1) {
            if part.starts_with("--") {
                break;
            }
            let (inner, content) = split(part.strip_prefix('\n').unwrap_or(part));
            collect(&inner, content, parts, depth + 1);
        }
        return;
    }
    let bytes = decode(header(headers, "content-transfer-encoding").unwrap_or_default(), body);
    let disposition = header(headers, "content-disposition").unwrap_or_default();
    let is_attachment = disposition.to_lowercase().starts_with("attachment");
    let text = || String::from_utf8_lossy(&bytes).into_owned();
    match essence.as_str() {
        "text/plain" if !is_attachment && parts.text.is_none() => parts.text = Some(text()),
        "text/html" if !is_attachment && parts.html.is_none() => parts.html = Some(text()),
        _ => {
            let name = parameter(disposition, "filename").or_else(|| parameter(kind, "name")).unwrap_or_default();
            parts.attachments.push((words(&name), essence, bytes.len()));
        }
    }
}

fn decode(encoding: &str, body: &str) -> Vec<u8> {
    match encoding.trim().to_lowercase().as_str() {
        "base64" => {
            let compact: String = body.chars().filter(|c| !c.is_whitespace()).collect();
            STANDARD.decode(compact).unwrap_or_else(|_| body.as_bytes().to_vec())
        }
        "quoted-printable" => quoted(&body.replace("=\n", ""), false),
        _ => body.as_bytes().to_vec(),
    }
}

fn quoted(text: &str, is_word: bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'=').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(if is_word && bytes[at] == b'_' { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    out
}

/// `=?utf-8?B?…?=` and `=?utf-8?Q?…?=`.
fn words(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let tail = &rest[start + 2..];
        let fields: Vec<&str> = tail.splitn(4, '?').collect();
        let decoded = match fields.as_slice() {
            [_, encoding, text, end] if end.starts_with('=') => match *encoding {
                "B" | "b" => STANDARD.decode(text).ok(),
                "Q" | "q" => Some(quoted(text, true)),
                _ => None,
            }
            .map(|bytes| (bytes, &end[1..])),
            _ => None,
        };
        let before = &rest[..start];
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        match decoded {
            Some((bytes, next)) => {
                out.push_str(&String::from_utf8_lossy(&bytes));
                rest = next;
                after_word = true;
            }
            None => {
                out.push_str("=?");
                rest = tail;
                after_word = false;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multipart_mail_is_taken_apart() {
        let raw = "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe_aus?=\r\n =?utf-8?B?IEJlcmxpbg==?=\r\nFrom: a@b\r\n\
            Content-Type: multipart/alternative; boundary=\"xx\"\r\n\r\n\
            --xx\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
            caf=C3=A9 and a soft=\r\n break\r\n--xx\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n\
            PGI+aGk8L2I+\r\n--xx--\r\n";
        let parts = read(raw);
        assert_eq!(parts.subject, "Grüße aus Berlin");
        assert_eq!(parts.text.as_deref(), Some("café and a soft break"));
        assert_eq!(parts.html.as_deref(), Some("<b>hi</b>"));
    }

    #[test]
    fn rubbish_is_shown_as_it_is() {
        assert_eq!(read("Subject: =?broken\n\nbody").subject, "=?broken");
        assert_eq!(read("no headers at all").text.as_deref(), Some(""));
    }
}
