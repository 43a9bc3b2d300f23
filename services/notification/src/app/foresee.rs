//! Saying which mails would go out.

use ottery_kernel::BrandId;
use ottery_kit::consume::HandleError;
use ottery_kit::db::{Scope, begin};
use ottery_proto::common::v1::Envelope;

use super::{App, AppError};
use crate::domain::kind::Kind;
use crate::events::foresee;

impl App {
    /// The mail each of these events of the brand would become. Nothing is planned, sent or noted.
    ///
    /// # Errors
    /// When one is no event, or the database fails.
    pub async fn foresee(&self, brand: BrandId, events: Vec<Envelope>) -> Result<Vec<Option<Kind>>, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        foresee::foresee(&mut tx, brand, events).await.map_err(|error| match error {
            HandleError::Transient(error) if error.is::<sqlx::Error>() => {
                AppError::Store(error.downcast().unwrap_or_else(|error| sqlx::Error::Protocol(error.to_string())))
            }
            other => AppError::Field { field: "events", reason: other.to_string() },
        })
    }
}
