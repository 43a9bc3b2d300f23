//! Reads a golden transcript. Needs nothing but the standard library, so that any test can take it in with
//! `#[path = "…/transcripts/parse.rs"] mod transcript;`. The format is described in the README beside this file.

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// One sentence.
    pub title: String,
    /// JSON texts of the state before.
    pub given: Vec<String>,
    /// Paths whose values may differ.
    pub vary: Vec<String>,
    /// Request and reply, in order.
    pub exchanges: Vec<(Message, Message)>,
}

/// A request or a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Request line or status line.
    pub first_line: String,
    /// Headers as written.
    pub headers: Vec<(String, String)>,
    /// Body bytes.
    pub body: String,
}

impl Message {
    /// A header's value, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The message as it goes over the wire, with its length and an end of the connection.
    pub fn wire(&self) -> Vec<u8> {
        let mut out = format!("{}\r\n", self.first_line);
        for (name, value) in &self.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n{}", self.body.len(), self.body));
        out.into_bytes()
    }
}

/// Takes a file apart; the error names what is missing.
pub fn parse(text: &str) -> Result<Transcript, String> {
    let mut transcript = Transcript::default();
    let mut sections = text.split("=== ");
    for line in sections.next().unwrap_or_default().lines() {
        let (name, value) = line.split_once(": ").ok_or(format!("head line {line:?} has no name"))?;
        match name {
            "title" => transcript.title = value.to_owned(),
            "given" => transcript.given.push(value.to_owned()),
            "vary" => transcript.vary = value.split(", ").map(str::to_owned).collect(),
            _ => return Err(format!("unknown head line {name:?}")),
        }
    }
    let mut request = None;
    for section in sections {
        if let Some(content) = section.strip_prefix("request\n") {
            request = Some(message(content)?);
        } else if let Some(content) = section.strip_prefix("reply\n") {
            let asked = request.take().ok_or("a reply without a request")?;
            transcript.exchanges.push((asked, message(content)?));
        } else if section.trim() != "end" {
            return Err(format!("unknown section {:?}", section.lines().next()));
        }
    }
    if transcript.exchanges.is_empty() {
        return Err("no exchange".to_owned());
    }
    Ok(transcript)
}

fn message(content: &str) -> Result<Message, String> {
    let (head, body) = content.split_once("\n\n").ok_or("a message without an empty line")?;
    let mut lines = head.lines();
    let first_line = lines.next().unwrap_or_default().to_owned();
    let headers = lines
        .map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect::<Option<_>>()
        .ok_or(format!("{first_line}: a header line without a name"))?;
    let body = body.strip_suffix('\n').unwrap_or(body);
    let body = if body.starts_with("<html>") { body.replace('\n', "\r\n") } else { body.to_owned() };
    Ok(Message { first_line, headers, body })
}
