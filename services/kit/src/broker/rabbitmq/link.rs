//! One connection, made when needed and made again when it broke.

use std::sync::Arc;
use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::broker::{BrokerError, backoff};

/// A handshake that takes longer counts as failed.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A half-open connection is noticed after two of these, in seconds.
const HEARTBEAT_SECS: u16 = 6;
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A connection for one purpose.
pub(super) struct Link {
    uri: AMQPUri,
    name: &'static str,
    slot: Mutex<Slot>,
}

struct Slot {
    connection: Option<Arc<Connection>>,
    failures: u32,
    not_before: Instant,
}

impl Link {
    pub(super) fn new(url: &str, name: &'static str) -> Result<Self, BrokerError> {
        let mut uri: AMQPUri = url.parse().map_err(|error| {
            // The address holds a password, so it is not repeated.
            BrokerError::Unavailable(format!(
                "the broker's address is not an AMQP URL (amqp://user:password@host:5672/vhost): {error}"
            ))
        })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECS);
        uri.query.connection_timeout.get_or_insert(CONNECT_LIMIT.as_millis() as u64);
        let slot = Slot { connection: None, failures: 0, not_before: Instant::now() };
        Ok(Self { uri, name, slot: Mutex::new(slot) })
    }

    /// A fresh channel on the living connection, or on a new one.
    pub(super) async fn channel(&self) -> Result<Channel, BrokerError> {
        let connection = self.connection().await?;
        match tokio::time::timeout(CONNECT_LIMIT, connection.create_channel()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => {
                self.forget(&connection).await;
                Err(unavailable(error))
            }
            Err(_) => {
                self.forget(&connection).await;
                Err(BrokerError::Unavailable(format!("no channel within {CONNECT_LIMIT:?}")))
            }
        }
    }

    /// Drops the present connection, so that the next use makes a new one.
    pub(super) async fn reset(&self) {
        let taken = self.slot.lock().await.connection.take();
        if let Some(connection) = taken {
            abandon(connection);
        }
    }

    async fn forget(&self, broken: &Arc<Connection>) {
        let mut slot = self.slot.lock().await;
        if slot.connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, broken)) {
            slot.connection = None;
            abandon(Arc::clone(broken));
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>, BrokerError> {
        let mut slot = self.slot.lock().await;
        if let Some(connection) = &slot.connection {
            if connection.status().connected() {
                return Ok(Arc::clone(connection));
            }
            slot.connection = None;
        }
        if Instant::now() < slot.not_before {
            return Err(BrokerError::Unavailable("waiting before the next attempt to connect".to_owned()));
        }
        let properties = ConnectionProperties::default().with_connection_name(self.name.into());
        let reason =
            match tokio::time::timeout(CONNECT_LIMIT, Connection::connect_uri(self.uri.clone(), properties)).await {
                Ok(Ok(connection)) => {
                    let connection = Arc::new(connection);
                    slot.connection = Some(Arc::clone(&connection));
                    slot.failures = 0;
                    return Ok(connection);
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {CONNECT_LIMIT:?}"),
            };
        slot.failures = slot.failures.saturating_add(1);
        slot.not_before = Instant::now() + backoff(slot.failures - 1, PAUSE_FIRST, PAUSE_MAX);
        Err(BrokerError::Unavailable(reason))
    }
}

/// Closing politely may hang on a dead peer; nobody waits for it.
fn abandon(connection: Arc<Connection>) {
    tokio::spawn(async move {
        let _ = tokio::time::timeout(CONNECT_LIMIT, connection.close(200, "reconnecting".into())).await;
    });
}

/// Closes a channel that is no longer needed; a broken one needs no closing.
pub(super) async fn close(channel: Channel) {
    let _ = tokio::time::timeout(CONNECT_LIMIT, channel.close(200, "done".into())).await;
}

pub(super) fn unavailable(error: lapin::Error) -> BrokerError {
    BrokerError::Unavailable(error.to_string())
}
