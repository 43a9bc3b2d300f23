//! What every streaming panel can be asked, in one vocabulary.
//!
//! A driver translates and classifies; it never retries, never waits for a limit and never decides what should happen
//! next. That is the reconciler's job, which journals every write before it is sent and reads back what it did.

pub mod asked;
pub mod error;
pub mod http;
pub mod kind;
pub mod model;
pub mod rules;
pub mod value;
pub mod xtream;
pub mod xui;

use async_trait::async_trait;

pub use error::{Cause, PanelError, Perm, PermKind, ReadBack};
pub use kind::Kind;
pub use model::{
    Active, Bouquet, Caps, Catalog, Conn, Cursor, Expiry, LineKey, LineRef, LineSpec, LineState, OpTag, Output,
    Package, PackageSpec, Page, PanelInfo, Renewal,
};
pub use ottery_kit::secret::Secret;

/// The answer of a driver.
pub type Res<T> = Result<T, PanelError>;

/// One panel, reached with one key.
#[async_trait]
pub trait PanelDriver: Send + Sync {
    /// What this panel can do; decides how the reconciler uses it.
    fn caps(&self) -> Caps;

    /// Who the key belongs to, the panel's own time and its credits. The connection test.
    async fn probe(&self) -> Res<PanelInfo>;

    /// What can be sold: packages and bouquets.
    async fn catalog(&self) -> Res<Catalog>;

    /// Makes a line with a username and password that are already journalled.
    async fn create(&self, tag: &OpTag, line: &LineSpec) -> Res<LineState>;

    /// The one line that matches exactly, or nothing.
    async fn find(&self, key: &LineKey) -> Res<Option<LineState>>;

    /// A page of all lines, ordered by their id. Rows of a list may lack bouquets, outputs and locks.
    async fn list(&self, cursor: Option<Cursor>) -> Res<Page<LineState>>;

    /// Moves the expiry, and reads back.
    async fn renew(&self, tag: &OpTag, line: &LineRef, renewal: &Renewal) -> Res<LineState>;

    /// Suspends (and cuts live streams) or resumes, and reads back.
    async fn set_status(&self, tag: &OpTag, line: &LineRef, status: Active) -> Res<LineState>;

    /// Changes what the line may watch, and with it the expiry when one is given; reads back.
    async fn change_package(&self, tag: &OpTag, line: &LineRef, package: &PackageSpec) -> Res<LineState>;

    /// Gives the line a new password, already journalled; reads back.
    async fn set_password(&self, tag: &OpTag, line: &LineRef, new: &Secret) -> Res<LineState>;

    /// Removes the line. A line that is gone already counts as done.
    async fn terminate(&self, tag: &OpTag, line: &LineRef) -> Res<()>;

    /// Who watches now: of one line, or of all.
    async fn connections(&self, line: Option<&LineRef>) -> Res<Vec<Conn>>;

    /// Cuts the live streams of a line; how many were cut.
    async fn kick(&self, line: &LineRef) -> Res<u32>;

    /// Credits left, for panels that sell for credits.
    async fn credits(&self) -> Res<Option<rust_decimal::Decimal>>;
}
