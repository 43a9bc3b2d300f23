//! The chain of hashes over what people did.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A link of the chain.
pub type Hash = [u8; 32];

/// What the first entry follows.
pub const START: Hash = [0; 32];

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// The event it came with; unique.
    pub event_id: Uuid,
    /// `resource.action`.
    pub action: String,
    /// What kind of caller.
    pub actor_kind: String,
    /// Which one.
    pub actor_id: String,
    /// What it was done to.
    pub target_id: String,
    /// Redacted JSON, or empty.
    pub before_json: String,
    /// Redacted JSON, or empty.
    pub after_json: String,
    /// From where.
    pub client_ip: String,
    /// As part of which request.
    pub request_id: String,
    /// When, to the microsecond.
    pub occurred_at: DateTime<Utc>,
}

/// A deed in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without gaps.
    pub sequence: i64,
    /// What was done.
    pub deed: Deed,
    /// Of everything above and the hash before.
    pub hash: Hash,
}

/// The hash of a deed in its place after `previous`. Every field goes in with its length, so that no letters can wander
/// from one to the next.
#[must_use]
pub fn link(previous: &Hash, brand: Option<BrandId>, sequence: i64, deed: &Deed) -> Hash {
    let mut digest = Sha256::new();
    digest.update(b"ottery audit 1");
    digest.update(previous);
    digest.update(brand.map_or(Uuid::nil(), |brand| brand.as_uuid()).as_bytes());
    digest.update(sequence.to_be_bytes());
    digest.update(deed.event_id.as_bytes());
    digest.update(deed.occurred_at.timestamp_micros().to_be_bytes());
    for field in [
        &deed.action,
        &deed.actor_kind,
        &deed.actor_id,
        &deed.target_id,
        &deed.before_json,
        &deed.after_json,
        &deed.client_ip,
        &deed.request_id,
    ] {
        digest.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(field.as_bytes());
    }
    digest.finalize().into()
}

/// Walks a chain piece by piece.
#[derive(Clone, Debug)]
pub struct Walk {
    brand: Option<BrandId>,
    /// The end that was recorded before the walk began.
    head: Option<(i64, Hash)>,
    met_head: bool,
    /// The last entry that was right.
    pub sequence: i64,
    hash: Hash,
}

impl Walk {
    /// From the start; `head` is the recorded end, read before any entry is.
    #[must_use]
    pub fn new(brand: Option<BrandId>, head: Option<(i64, Hash)>) -> Self {
        Self { brand, head, met_head: head.is_none(), sequence: 0, hash: START }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// The first sequence number where the chain is broken: missing, out of place or changed.
    pub fn take(&mut self, entry: &Entry) -> Result<(), i64> {
        let expected = self.sequence + 1;
        if entry.sequence != expected || entry.hash != link(&self.hash, self.brand, expected, &entry.deed) {
            return Err(expected);
        }
        self.sequence = expected;
        self.hash = entry.hash;
        self.met_head |= self.head == Some((self.sequence, self.hash));
        Ok(())
    }

    /// Ends after the last entry; `newest` is the recorded end read after it, which others may have moved on.
    ///
    /// # Errors
    /// The first sequence number that is missing, replaced or smuggled in.
    pub fn end(&self, newest: i64) -> Result<(), i64> {
        match self.head {
            Some((last, _)) if !self.met_head => Err(last.min(self.sequence + 1)),
            _ if self.sequence > newest => Err(newest + 1),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(action: &str) -> Deed {
        Deed {
            event_id: Uuid::from_u128(7),
            action: action.to_owned(),
            actor_kind: "staff".to_owned(),
            actor_id: "acc_1".to_owned(),
            target_id: "pnl_1".to_owned(),
            before_json: String::new(),
            after_json: "{}".to_owned(),
            client_ip: "203.0.113.7".to_owned(),
            request_id: "r".to_owned(),
            occurred_at: DateTime::UNIX_EPOCH,
        }
    }

    fn chain() -> Vec<Entry> {
        let mut previous = START;
        (1..=5)
            .map(|sequence| {
                let deed = deed(&format!("panel.update{sequence}"));
                previous = link(&previous, None, sequence, &deed);
                Entry { sequence, deed, hash: previous }
            })
            .collect()
    }

    fn verify(entries: &[Entry], head: (i64, Hash)) -> Result<(), i64> {
        let mut walk = Walk::new(None, Some(head));
        entries.iter().try_for_each(|entry| walk.take(entry))?;
        walk.end(head.0)
    }

    #[test]
    fn secure_s27_edited_deleted_reordered_and_truncated_entries_are_found() {
        let entries = chain();
        let head = (5, entries[4].hash);
        assert_eq!(verify(&entries, head), Ok(()));
        let mut edited = entries.clone();
        edited[2].deed.after_json = "{ }".to_owned();
        assert_eq!(verify(&edited, head), Err(3));
        let mut deleted = entries.clone();
        deleted.remove(1);
        assert_eq!(verify(&deleted, head), Err(2));
        let mut reordered = entries.clone();
        reordered.swap(3, 4);
        assert_eq!(verify(&reordered, head), Err(4));
        assert_eq!(verify(&entries[..3], head), Err(4));
        assert_eq!(verify(&entries, (3, entries[2].hash)), Err(4), "entries the head knows nothing of");
        let mut shifted = entries.clone();
        (shifted[0].deed.actor_id, shifted[0].deed.target_id) = ("acc_1p".to_owned(), "nl_1".to_owned());
        assert_eq!(verify(&shifted, head), Err(1));
        let other = Walk::new(Some(BrandId::new(DateTime::UNIX_EPOCH)), None).take(&entries[0]);
        assert_eq!(other, Err(1), "an entry of another chain");
    }
}
