//! Where the servers of this test run are.

mod scratch;
mod start;

use tokio::sync::OnceCell;

pub use scratch::Scratch;
pub use start::{Running, Wanted};

/// Names the PostgreSQL of the test run (an administrator's URL).
pub const POSTGRES_VARIABLE: &str = "OTTERY_TEST_POSTGRES";
/// Names the RabbitMQ of the test run.
pub const AMQP_VARIABLE: &str = "OTTERY_TEST_AMQP";
/// Names the Redis of the test run.
pub const REDIS_VARIABLE: &str = "OTTERY_TEST_REDIS";

/// Administrator's URL of the PostgreSQL for tests.
///
/// # Panics
/// When none can be started; the message says what is missing.
pub async fn postgres_admin_url() -> String {
    static URL: OnceCell<String> = OnceCell::const_new();
    URL.get_or_init(|| from_or_start(POSTGRES_VARIABLE, Wanted::POSTGRES)).await.clone()
}

/// URL of the RabbitMQ for tests. Tests share it: name exchanges and queues after [`unique`].
///
/// # Panics
/// When none can be started; the message says what is missing.
pub async fn amqp() -> String {
    static URL: OnceCell<String> = OnceCell::const_new();
    URL.get_or_init(|| from_or_start(AMQP_VARIABLE, Wanted::RABBITMQ)).await.clone()
}

/// URL of the Redis for tests. Tests share it: begin keys with [`unique`], and take [`redis_alone`] to flush it.
///
/// # Panics
/// When none can be started; the message says what is missing.
pub async fn redis() -> String {
    static URL: OnceCell<String> = OnceCell::const_new();
    URL.get_or_init(|| from_or_start(REDIS_VARIABLE, Wanted::REDIS)).await.clone()
}

/// A Redis of this test alone, to be flushed or stopped; it ends with the value.
///
/// # Panics
/// When it cannot be started; the message says what is missing.
pub async fn redis_alone() -> (String, Running) {
    let running = Running::start(Wanted::REDIS).await.expect("a Redis for this test");
    (running.redis_url().expect("it was asked for").to_owned(), running)
}

/// A RabbitMQ of this test alone, to be stopped in the middle; it ends with the value. Takes many seconds to start.
///
/// # Panics
/// When it cannot be started; the message says what is missing.
pub async fn amqp_alone() -> (String, Running) {
    let running = Running::start(Wanted::RABBITMQ).await.expect("a RabbitMQ for this test");
    (running.amqp_url().expect("it was asked for").to_owned(), running)
}

/// A name nobody else uses: `prefix` and 12 random hexadecimal digits.
pub fn unique(prefix: &str) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{prefix}_{}", &random[..12])
}

async fn from_or_start(variable: &str, wanted: Wanted) -> String {
    if let Ok(url) = std::env::var(variable)
        && !url.is_empty()
    {
        return url;
    }
    start::for_this_process(wanted).await
}
