//! Looking at accounts.

use ottery_kernel::AccountId;
use ottery_kit::grpc::Actor;

use super::{App, AppError, Page, access, customer_realm, page};
use crate::domain::{Account, Realm};
use crate::store::account as store;

impl App {
    /// An account: one's own, or another's with `account.read`.
    pub async fn get_account(&self, actor: &Actor, id: AccountId) -> Result<Account, AppError> {
        let (_, account) = if access::is_own(actor, id) {
            self.own_account(actor, id).await?
        } else {
            self.reachable_account(actor, id, access::LOOKING).await?
        };
        Ok(account)
    }

    /// Customers of the call's brand, or staff who count there, newest first.
    pub async fn list_accounts(
        &self,
        actor: &Actor,
        is_staff: bool,
        prefix: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page<Account>, AppError> {
        actor.require("account.read")?;
        let limit = page::limit(limit)?;
        let before = match cursor {
            "" => None,
            cursor => Some(cursor.parse().map_err(|_| page::bad_cursor())?),
        };
        let realm = if is_staff { Realm::Staff } else { customer_realm(actor)? };
        let granted_in = actor.brand.filter(|_| is_staff);
        let mut tx = self.begin(realm).await?;
        let accounts =
            store::list(&mut tx, &store::Filter { realm, granted_in, prefix: prefix.trim(), before, limit: limit + 1 })
                .await?;
        Ok(page::cut(accounts, limit, |account| account.id.to_string()))
    }
}
