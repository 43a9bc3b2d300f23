//! What the use cases give, as the contract says it.

use chrono::{DateTime, Utc};
use ottery_kit::grpc::{Actor, ActorKind};
use ottery_proto::common::v1::{ActorContext, actor_context::Kind};
use ottery_proto::identity::v1 as proto;

use crate::app::{Authenticated, NewSession, SignedIn, StoredApiKey, StoredGrant, StoredSession};
use crate::domain::audit::Entry;
use crate::domain::{Account, Role, SessionKind};

pub(super) fn instant(at: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(0);
    prost_types::Timestamp { seconds: at.timestamp(), nanos }
}

pub(super) fn account(account: &Account) -> proto::Account {
    let realm = if account.realm.is_staff() { proto::Realm::Staff } else { proto::Realm::Customer };
    proto::Account {
        id: account.id.to_string(),
        realm: realm.into(),
        brand_id: account.realm.brand().map(|brand| brand.to_string()).unwrap_or_default(),
        email: account.email.to_string(),
        email_verified: account.email_verified,
        display_name: account.display_name.clone(),
        locale: account.locale.clone(),
        country: account.country.clone(),
        totp_enrolled: account.totp_enrolled,
        created_at: Some(instant(account.created_at)),
    }
}

pub(super) fn session(new: &NewSession) -> proto::Session {
    proto::Session {
        id: new.session.id.to_string(),
        secret: new.secret.expose().to_owned(),
        idle_deadline: Some(instant(new.session.idle_deadline)),
        absolute_deadline: Some(instant(new.session.absolute_deadline)),
        account: Some(account(&new.account)),
    }
}

pub(super) fn session_info(session: &StoredSession) -> proto::SessionInfo {
    proto::SessionInfo {
        id: session.id.to_string(),
        user_agent: session.device.user_agent.clone(),
        client_ip: session.device.client_ip.clone(),
        created_at: Some(instant(session.created_at)),
        last_seen_at: Some(instant(session.last_seen_at)),
    }
}

pub(super) fn signed_in(outcome: &SignedIn) -> proto::SignInReply {
    use proto::sign_in_reply::Outcome;
    let outcome = match outcome {
        SignedIn::Session(new) => Outcome::Session(session(new)),
        SignedIn::Enrolment(new) => Outcome::Enrolment(session(new)),
        SignedIn::Challenge { secret, expires_at } => Outcome::Totp(proto::TotpChallenge {
            challenge: secret.expose().to_owned(),
            expires_at: Some(instant(*expires_at)),
        }),
    };
    proto::SignInReply { outcome: Some(outcome) }
}

fn actor(actor: &Actor, authenticated_at: Option<DateTime<Utc>>) -> ActorContext {
    let kind = match actor.kind {
        ActorKind::Anonymous => Kind::Anonymous,
        ActorKind::Customer => Kind::Customer,
        ActorKind::Staff => Kind::Staff,
        ActorKind::Service => Kind::Service,
        ActorKind::ApiKey => Kind::ApiKey,
    };
    // Request, audience, issuer and life time are those of the next call; whoever signs it fills them in.
    ActorContext {
        kind: kind.into(),
        subject: actor.subject.clone(),
        brand_id: actor.brand.map(|brand| brand.to_string()).unwrap_or_default(),
        permissions: actor.permissions.iter().cloned().collect(),
        authenticated_at: authenticated_at.map(instant),
        client_ip: actor.client_ip.clone().unwrap_or_default(),
        ..ActorContext::default()
    }
}

pub(super) fn authenticated(call: &Actor, found: Authenticated, client_ip: String) -> proto::AuthenticateReply {
    let caller = Actor {
        permissions: found.permissions.clone(),
        client_ip: Some(client_ip),
        ..Actor::new(found.kind(), found.account.id.to_string(), call.brand)
    };
    proto::AuthenticateReply {
        actor: Some(actor(&caller, Some(found.session.authenticated_at))),
        account: Some(account(&found.account)),
        session_id: found.session.id.to_string(),
        enrolment_only: found.session.kind == SessionKind::Enrolment,
        brand_ids: found.brands.iter().map(ToString::to_string).collect(),
        all_brands: found.all_brands,
        api_key_name: String::new(),
    }
}

pub(super) fn authenticated_key(key: &StoredApiKey, caller: &Actor, client_ip: String) -> proto::AuthenticateReply {
    let caller = Actor { client_ip: Some(client_ip), ..caller.clone() };
    proto::AuthenticateReply {
        actor: Some(actor(&caller, None)),
        account: None,
        session_id: String::new(),
        enrolment_only: false,
        brand_ids: key.brand.iter().map(ToString::to_string).collect(),
        all_brands: key.brand.is_none(),
        api_key_name: key.name.clone(),
    }
}

pub(super) fn role(role: Role) -> proto::Role {
    let permissions = role.permissions().iter().map(|permission| (*permission).to_owned()).collect();
    proto::Role { name: role.as_str().to_owned(), permissions }
}

pub(super) fn grant(grant: &StoredGrant) -> proto::Grant {
    proto::Grant {
        id: grant.id.to_string(),
        account_id: grant.account.to_string(),
        role: grant.held.role.as_str().to_owned(),
        brand_id: grant.held.brand.map(|brand| brand.to_string()).unwrap_or_default(),
    }
}

pub(super) fn api_key(key: &StoredApiKey) -> proto::ApiKey {
    proto::ApiKey {
        id: key.id.to_string(),
        name: key.name.clone(),
        brand_id: key.brand.map(|brand| brand.to_string()).unwrap_or_default(),
        permissions: key.permissions.iter().cloned().collect(),
        created_at: Some(instant(key.created_at)),
        expires_at: Some(instant(key.expires_at)),
        last_used_at: key.last_used_at.map(instant),
        revoked: key.revoked,
    }
}

pub(super) fn audit_entry(entry: &Entry) -> proto::AuditEntry {
    let deed = entry.deed.clone();
    proto::AuditEntry {
        sequence: entry.sequence.unsigned_abs(),
        action: deed.action,
        actor_kind: deed.actor_kind,
        actor_id: deed.actor_id,
        target_id: deed.target_id,
        before_json: deed.before_json,
        after_json: deed.after_json,
        client_ip: deed.client_ip,
        request_id: deed.request_id,
        occurred_at: Some(instant(deed.occurred_at)),
        hash: hex::encode(entry.hash),
    }
}
