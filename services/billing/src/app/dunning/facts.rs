//! What a batch of cases goes by: read in sets, whoever's they are.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::DateTime;
use ottery_kernel::{AccountId, BrandId, InvoiceId, SubscriptionId};
use sqlx::postgres::PgTransaction;

use crate::app::schedule::Facts;
use crate::domain::dunning::Standing;
use crate::domain::dunning::campaign::Campaign;
use crate::domain::invoice::Invoice;
use crate::domain::subscription::Subscription;
use crate::store;

/// Of these subscriptions and their open invoices. Who owes nothing goes by the newest campaign: an invoice issued now will.
pub(in crate::app) async fn facts(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    subscriptions: &[Subscription],
    open: &[Invoice],
    standings: &HashMap<InvoiceId, Standing>,
) -> sqlx::Result<HashMap<SubscriptionId, Facts>> {
    let owing: HashMap<SubscriptionId, &Invoice> = open
        .iter()
        .filter(|invoice| invoice.holds_period())
        .filter_map(|invoice| Some((invoice.subscription?, invoice)))
        .collect();
    let (mut notes, mut holds, mut contacts, mut others) =
        (HashMap::new(), HashMap::new(), HashMap::new(), HashMap::new());
    if !owing.is_empty() {
        // One without an instant of issue is older than any campaign.
        let issued = |invoice: &&Invoice| (invoice.id, invoice.asked_at().unwrap_or(DateTime::UNIX_EPOCH));
        let invoices: Vec<_> = owing.values().map(issued).collect();
        let ids: Vec<SubscriptionId> = owing.keys().copied().collect();
        let accounts: Vec<AccountId> = subscriptions
            .iter()
            .filter(|subscription| owing.contains_key(&subscription.id))
            .map(|subscription| subscription.account)
            .collect();
        notes = store::dunning::notes(tx, brand, &invoices).await?;
        holds = store::dunning::holds(tx, &ids).await?;
        contacts = store::dunning::contacts(tx, &accounts).await?;
        let is_refused = |id: &InvoiceId| standings.get(id) == Some(&Standing::FailedHard);
        let refused: Vec<InvoiceId> = invoices.iter().map(|(id, _)| *id).filter(is_refused).collect();
        others = store::dunning::other_methods(tx, &refused).await?;
    }
    let versions: HashSet<u32> = notes.values().map(|note| note.campaign_version).collect();
    let versions: Vec<u32> = versions.into_iter().collect();
    let campaigns: BTreeMap<u32, Arc<Campaign>> = store::dunning::campaigns(tx, &versions)
        .await?
        .into_iter()
        .map(|(version, campaign)| (version, Arc::new(campaign)))
        .collect();
    let newest = campaigns.last_key_value().map(|(_, campaign)| campaign);
    let of = |subscription: &Subscription| {
        let Some(invoice) = owing.get(&subscription.id).map(|invoice| invoice.id) else {
            return Facts { campaign: newest.cloned(), ..Facts::default() };
        };
        let note = notes.get(&invoice).copied().unwrap_or_default();
        Facts {
            campaign: campaigns.get(&note.campaign_version).cloned(),
            notes: [(invoice, note)].into(),
            others: others.get(&invoice).map(|other| (invoice, *other)).into_iter().collect(),
            contacted_at: contacts.get(&subscription.account).copied(),
            held_until: holds.get(&subscription.id).copied(),
            ..Facts::default()
        }
    };
    Ok(subscriptions.iter().map(|subscription| (subscription.id, of(subscription))).collect())
}
