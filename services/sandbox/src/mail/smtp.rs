//! A receive-only SMTP server.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Mails;
use crate::fault::{Kind, Rule};

/// A client that says nothing for so long is sent away.
const IDLE: Duration = Duration::from_secs(60);
/// Longest line, in bytes.
const LINE_MAX: u64 = 65_536;
/// Recipients of one mail.
const RECIPIENTS_MAX: usize = 1_000;

/// Serves until `stop`.
pub fn serve_smtp(listener: TcpListener, mails: Arc<Mails>, stop: CancellationToken, tasks: &TaskTracker) {
    let sessions = tasks.clone();
    tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((socket, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (mails, stop) = (mails.clone(), stop.clone());
            sessions.spawn(async move {
                // A client that hangs up or idles too long ends its own session only.
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = Session::new(socket, &mails).run() => {}
                }
            });
        }
    });
}

struct Session<'a> {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    mails: &'a Mails,
    from: Option<String>,
    to: Vec<String>,
}

impl<'a> Session<'a> {
    fn new(socket: TcpStream, mails: &'a Mails) -> Self {
        let (reader, writer) = socket.into_split();
        Self { reader: BufReader::new(reader), writer, mails, from: None, to: Vec::new() }
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.writer.write_all(format!("{line}\r\n").as_bytes()).await
    }

    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.reader).take(LINE_MAX);
        let read = tokio::time::timeout(IDLE, limited.read_until(b'\n', &mut line)).await??;
        Ok((read > 0).then_some(line))
    }

    async fn run(mut self) -> io::Result<()> {
        self.say("220 sandbox ESMTP SANDBOX mail sink").await?;
        while let Some(line) = self.line().await? {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    let size = self.mails.size_max;
                    self.say("250-sandbox").await?;
                    self.say(&format!("250-SIZE {size}")).await?;
                    self.say("250-8BITMIME").await?;
                    self.say("250-SMTPUTF8").await?;
                    self.say("250 PIPELINING").await?;
                }
                "HELO" => self.say("250 sandbox").await?,
                "MAIL" => {
                    self.to.clear();
                    self.from = address(&line);
                    let size = line
                        .to_uppercase()
                        .split_once("SIZE=")
                        .and_then(|(_, rest)| rest.split(' ').next().and_then(|number| number.parse::<usize>().ok()));
                    if size.is_some_and(|size| size > self.mails.size_max) {
                        self.from = None;
                        self.say("552 5.3.4 message too big").await?;
                    } else if self.from.is_some() {
                        self.say("250 2.1.0 ok").await?;
                    } else {
                        self.say("501 5.5.4 MAIL FROM:<address> expected").await?;
                    }
                }
                "RCPT" if self.from.is_none() => self.say("503 5.5.1 MAIL first").await?,
                "RCPT" if self.to.len() >= RECIPIENTS_MAX => self.say("452 4.5.3 too many recipients").await?,
                "RCPT" => match address(&line).filter(|to| !to.is_empty()) {
                    Some(to) => {
                        self.to.push(to);
                        self.say("250 2.1.5 ok").await?;
                    }
                    None => self.say("501 5.5.4 RCPT TO:<address> expected").await?,
                },
                "DATA" if self.to.is_empty() => self.say("503 5.5.1 RCPT first").await?,
                "DATA" => {
                    if !self.data().await? {
                        return Ok(());
                    }
                }
                "RSET" => {
                    (self.from, self.to) = (None, Vec::new());
                    self.say("250 2.0.0 ok").await?;
                }
                "NOOP" => self.say("250 2.0.0 ok").await?,
                "VRFY" => self.say("252 2.5.2 send it and see").await?,
                "QUIT" => return self.say("221 2.0.0 bye").await,
                _ => self.say("502 5.5.2 not known here").await?,
            }
        }
        Ok(())
    }

    /// Reads a mail; false when the connection ends on purpose.
    async fn data(&mut self) -> io::Result<bool> {
        self.say("354 end with a dot on its own line").await?;
        let mut raw = Vec::new();
        let mut is_too_big = false;
        loop {
            let Some(line) = self.line().await? else { return Ok(false) };
            if line == b".\r\n" || line == b".\n" {
                break;
            }
            let line = line.strip_prefix(b".").unwrap_or(&line);
            if raw.len() + line.len() > self.mails.size_max {
                is_too_big = true;
            } else {
                raw.extend_from_slice(line);
            }
        }
        let (from, to) = (self.from.take().unwrap_or_default(), std::mem::take(&mut self.to));
        if is_too_big {
            self.say("552 5.3.4 message too big").await?;
            return Ok(true);
        }
        let accept = || self.mails.accept(&from, &to, &raw);
        let rule: Option<Rule> = self.mails.context.faults.take("mail", "smtp");
        let wait = |rule: &Rule| tokio::time::sleep(Duration::from_millis(rule.delay_ms.unwrap_or(30_000)));
        match rule.as_ref().map(|rule| (rule.kind, rule)) {
            Some((Kind::Smtp451 | Kind::Http503, _)) => self.say("451 4.3.0 try again later").await?,
            Some((Kind::Smtp550, _)) => self.say("550 5.1.1 no such mailbox").await?,
            Some((Kind::DropBeforeApply, _)) => return Ok(false),
            Some((Kind::DropAfterApply, _)) => {
                accept();
                return Ok(false);
            }
            Some((Kind::Late, rule)) => {
                accept();
                wait(rule).await;
                self.say("250 2.0.0 kept").await?;
            }
            Some((Kind::Slow, rule)) => {
                wait(rule).await;
                self.mails.accept(&from, &to, &raw);
                self.say("250 2.0.0 kept").await?;
            }
            Some((Kind::Duplicate, _)) => {
                accept();
                accept();
                self.say("250 2.0.0 kept").await?;
            }
            _ => {
                accept();
                self.say("250 2.0.0 kept").await?;
            }
        }
        Ok(true)
    }
}

/// The address between angle brackets, or the word after the colon.
fn address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(':')?;
    let rest = rest.trim();
    match rest.strip_prefix('<') {
        Some(inner) => inner.split_once('>').map(|(address, _)| address.to_owned()),
        None => rest.split(' ').next().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_are_read_with_and_without_brackets() {
        assert_eq!(address("MAIL FROM:<a@b.example> SIZE=12").as_deref(), Some("a@b.example"));
        assert_eq!(address("RCPT TO: a@b.example").as_deref(), Some("a@b.example"));
        assert_eq!(address("MAIL FROM:<>").as_deref(), Some(""));
        assert_eq!(address("MAIL"), None);
    }
}
