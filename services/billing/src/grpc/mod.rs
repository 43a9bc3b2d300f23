//! The edge: parses calls, checks who may, calls the use cases, converts answers.

mod address;
mod books;
mod by_hand;
mod calendar;
mod customer;
mod deposit;
pub mod dunning;
mod explain;
mod export;
pub mod gift;
mod invoicing;
mod method;
mod order;
pub mod payment;
mod provider;
mod reconcile;
pub mod reseller;
mod revenue;
pub mod screening;
pub mod service;
mod subscription;
pub mod time_machine;
mod view;
mod wallet;

use ottery_kernel::{AccountId, BrandId};
use ottery_kit::grpc::{Actor, ActorKind, Problem};
use ottery_proto::common::v1::{PageReply, PageRequest};
use uuid::Uuid;

use crate::store::Page;

pub use crate::contract as convert;

/// Rows of a page when the caller names no number, and at most.
const PAGE_DEFAULT: i64 = 50;
const PAGE_MAX: i64 = 100;

/// Largest request: a proof of a payment and what is said of it.
pub const MESSAGE_BYTES_MAX: usize = crate::domain::by_hand::FILE_BYTES_MAX + 64 * 1024;

/// Who calls, in which brand, and whose rows they may see.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The verified caller.
    pub actor: Actor,
    /// The brand of the call.
    pub brand: BrandId,
    /// A customer sees their own rows only; `None` sees the brand's.
    pub owner: Option<AccountId>,
}

impl Caller {
    /// A customer (limited to their own rows), or somebody with the permission.
    ///
    /// # Errors
    /// When the caller is nobody, or lacks the permission.
    pub fn customer_or(actor: Actor, permission: &str) -> Result<Self, Problem> {
        let brand = actor.brand_or_problem()?;
        let owner = match actor.kind {
            ActorKind::Customer => Some(own_account(&actor)?),
            ActorKind::Anonymous => return Err(sign_in()),
            ActorKind::Staff | ActorKind::Service | ActorKind::ApiKey => {
                actor.require(permission)?;
                None
            }
        };
        Ok(Self { actor, brand, owner })
    }

    /// Somebody with the permission; never a customer.
    ///
    /// # Errors
    /// When the caller lacks it.
    pub fn staff(actor: Actor, permission: &str) -> Result<Self, Problem> {
        let brand = actor.brand_or_problem()?;
        actor.require(permission)?;
        Ok(Self { actor, brand, owner: None })
    }

    /// The account a list is limited to: the customer's own, or the one asked for.
    ///
    /// # Errors
    /// When the account asked for is no id.
    pub fn account_filter(&self, asked: &str) -> Result<Option<AccountId>, Problem> {
        match (self.owner, asked) {
            (Some(owner), _) => Ok(Some(owner)),
            (None, "") => Ok(None),
            (None, asked) => id("account_id", asked).map(Some),
        }
    }

    /// The one account a call is about: the customer's own, or the one that is named.
    ///
    /// # Errors
    /// When staff names none.
    pub fn account(&self, asked: &str) -> Result<AccountId, Problem> {
        match self.owner {
            Some(owner) => Ok(owner),
            None => id("account_id", asked),
        }
    }
}

/// The account of a customer's context.
///
/// # Errors
/// When the context names none.
pub fn own_account(actor: &Actor) -> Result<AccountId, Problem> {
    actor.subject.parse().map_err(|_| sign_in())
}

fn sign_in() -> Problem {
    Problem::unauthenticated("SIGN_IN_REQUIRED", "sign in first")
}

/// Reads an id a caller sent; a malformed one names its field.
///
/// # Errors
/// When it is none.
pub fn id<I: std::str::FromStr<Err = ottery_kernel::IdError>>(field: &str, text: &str) -> Result<I, Problem> {
    text.parse().map_err(|error| Problem::invalid(field, "ID_INVALID", format!("{field}: {error}")))
}

/// Reads where a list goes on.
///
/// # Errors
/// When the cursor is none of ours or the limit is too large.
pub fn page(request: Option<&PageRequest>) -> Result<Page, Problem> {
    let Some(request) = request else { return Ok(Page { before: None, limit: PAGE_DEFAULT }) };
    let limit = match i64::from(request.limit) {
        0 => PAGE_DEFAULT,
        limit if limit <= PAGE_MAX => limit,
        limit => {
            return Err(Problem::invalid(
                "page.limit",
                "LIMIT_INVALID",
                format!("page.limit: {limit} is more than {PAGE_MAX}"),
            ));
        }
    };
    let before = match request.cursor.as_str() {
        "" => None,
        text => Some(Uuid::try_parse(text).map_err(|_| {
            Problem::invalid("page.cursor", "CURSOR_INVALID", "page.cursor is none of ours; start from the first page")
        })?),
    };
    Ok(Page { before, limit })
}

/// Where the list goes on after its last row; nowhere when the page was not full.
#[must_use]
pub fn next_page(page: Page, count: usize, last: Option<Uuid>) -> Option<PageReply> {
    let is_full = i64::try_from(count).is_ok_and(|count| count == page.limit);
    let next_cursor = last.filter(|_| is_full).map(|id| id.simple().to_string()).unwrap_or_default();
    Some(PageReply { next_cursor })
}
