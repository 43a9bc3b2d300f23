//! Handing a mail to the server, step by step: only the last step can leave a doubt, and it is told apart from the others.

use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use tokio::time::timeout;

use crate::config::{Smtp, Tls};

/// Longer answers of a server are cut.
const ANSWER_CHARS_MAX: usize = 300;
/// Servers may check a mail for long before they answer; giving up early would leave more fates unknown.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// Why a mail was not handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Surely not taken; may work later.
    #[error("{0}")]
    Later(String),
    /// Surely not taken, and never will be.
    #[error("{0}")]
    Never(String),
    /// The text was on its way and no answer came: it may have been taken.
    #[error("{0}")]
    Lost(String),
}

fn said(step: &str, error: &Error) -> String {
    use std::error::Error as _;
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let text = format!("{step}: {error}{cause}");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ANSWER_CHARS_MAX).collect()
}

/// Knows the mail server.
pub struct Mailer {
    settings: Smtp,
    tls: Option<TlsParameters>,
    patience: Duration,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer").field("host", &self.settings.host).finish_non_exhaustive()
    }
}

impl Mailer {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// The name of the server is none that a certificate could be for.
    pub fn new(settings: &Smtp) -> anyhow::Result<Self> {
        let tls = match settings.tls {
            Tls::None => None,
            Tls::Starttls | Tls::Tls => Some(TlsParameters::new_rustls(settings.host.clone())?),
        };
        Ok(Self { settings: settings.clone(), tls, patience: Duration::from_secs(settings.timeout_s.max(1)) })
    }

    /// Connects, encrypts and signs in. Whatever goes wrong here is no fault of the mail.
    pub async fn connect(&self, hello: &str) -> Result<Conversation, Fault> {
        let hello = ClientId::Domain(hello.to_owned());
        let connecting = self.open(&hello);
        // Connecting, encrypting and signing in: three steps.
        match timeout(self.patience * 3, connecting).await {
            Ok(opened) => opened.map(|connection| Conversation { connection, patience: self.patience }),
            Err(_) => Err(Fault::Later("connect: the mail server does not answer in time".to_owned())),
        }
    }

    async fn open(&self, hello: &ClientId) -> Result<AsyncSmtpConnection, Fault> {
        let later = |step: &'static str| move |error: Error| Fault::Later(said(step, &error));
        let at_once = self.tls.clone().filter(|_| self.settings.tls == Tls::Tls);
        let server = (self.settings.host.as_str(), self.settings.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(server, Some(self.patience), hello, at_once, None)
            .await
            .map_err(later("connect"))?;
        if let (Tls::Starttls, Some(tls)) = (self.settings.tls, self.tls.clone()) {
            connection.starttls(tls, hello).await.map_err(later("starttls"))?;
        }
        if !self.settings.user.is_empty() {
            let credentials = Credentials::new(self.settings.user.clone(), self.settings.password.expose().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(later("auth"))?;
        }
        Ok(connection)
    }
}

/// A conversation with the server, for one mail.
pub struct Conversation {
    connection: AsyncSmtpConnection,
    patience: Duration,
}

impl Conversation {
    /// Says from whom and to whom. A refused recipient is final; a refused sender is the operator's to set right.
    pub async fn offer(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let mut parameters = Vec::new();
        let mut addresses = envelope.from().into_iter().chain(envelope.to());
        if addresses.any(|address| !address.to_string().is_ascii()) {
            if !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Fault::Never("the mail server takes no addresses with letters beyond ASCII".to_owned()));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        self.step("sender", Mail::new(envelope.from().cloned(), parameters))
            .await
            .map_err(|fault| Fault::Later(fault.to_string()))?;
        for recipient in envelope.to() {
            self.step("recipient", Rcpt::new(recipient.clone(), Vec::new())).await?;
        }
        Ok(())
    }

    /// Hands the text over. From here on a lost answer is [`Fault::Lost`].
    pub async fn hand_over(&mut self, text: &[u8]) -> Result<(), Fault> {
        self.step("data", Data).await?;
        match timeout(ANSWER_PATIENCE, self.connection.message(text)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() => Err(Fault::Never(said("text", &error))),
            Ok(Err(error)) if error.is_transient() => Err(Fault::Later(said("text", &error))),
            Ok(Err(error)) => Err(Fault::Lost(said("text", &error))),
            Err(_) => Err(Fault::Lost("text: the mail server did not answer in time".to_owned())),
        }
    }

    /// Says goodbye; the mail's fate is decided by now.
    pub async fn close(mut self) {
        if timeout(self.patience, self.connection.abort()).await.is_err() {
            tracing::debug!("the mail server did not say goodbye");
        }
    }

    async fn step(&mut self, step: &str, command: impl std::fmt::Display) -> Result<(), Fault> {
        match timeout(self.patience, self.connection.command(command)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() => Err(Fault::Never(said(step, &error))),
            Ok(Err(error)) => Err(Fault::Later(said(step, &error))),
            Err(_) => Err(Fault::Later(format!("{step}: the mail server did not answer in time"))),
        }
    }
}
