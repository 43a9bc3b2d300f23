//! Signing keys of services and the check of what they signed.
//!
//! Every service has one Ed25519 key. A call carries its actor, signed for one receiver, one request and at most
//! sixty seconds; only `gateway` may sign for people.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use ottery_proto::common::v1::{ActorContext, SignedActor};
use prost::Message as _;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::{Actor, ActorKind, PEOPLE_ISSUER, Problem};

/// How long a signed actor is valid.
pub const LIFETIME: TimeDelta = TimeDelta::seconds(60);
/// How far the clocks of two machines may differ.
pub const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(10);

/// Why keys could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system refused.
    #[error("cannot use key file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Others could read the private key.
    #[error("private key {path} is readable by everybody (mode {mode:o}); run `chmod 600` on it")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a key.
    #[error("{path} is not an Ed25519 key of ours; delete it to have a new one made")]
    Malformed {
        /// The file, or where the key came from.
        path: PathBuf,
    },
    /// The system gave no randomness.
    #[error("no randomness for a new key")]
    Randomness,
    /// No private key for this service in the process.
    #[error("no signing key for service `{0}` is loaded in this process")]
    Unknown(String),
}

/// A service's name and its signing key. Never prints the key.
#[derive(Clone)]
pub struct ServiceIdentity {
    name: Arc<str>,
    key: Arc<Ed25519KeyPair>,
}

impl std::fmt::Debug for ServiceIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceIdentity").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ServiceIdentity {
    /// A fresh key, known to nobody else.
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        Self::from_pkcs8(name, &new_pkcs8()?, Path::new("(memory)"))
    }

    fn from_pkcs8(name: &str, pkcs8: &[u8], path: &Path) -> Result<Self, KeyError> {
        let key = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Malformed { path: path.to_owned() })?;
        Ok(Self { name: name.into(), key: Arc::new(key) })
    }

    /// The service this key belongs to.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half, 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.key.public_key().as_ref().to_vec()
    }

    /// Signs an actor for one receiver and one request. Only `gateway` passes people on; any other service signs as
    /// itself, in the actor's brand.
    #[must_use]
    pub fn sign(&self, actor: &Actor, audience: &str, request_id: &str, now: DateTime<Utc>) -> SignedActor {
        let for_people = &*self.name == PEOPLE_ISSUER && actor.kind != ActorKind::Service;
        let mut context = ActorContext {
            kind: ActorKind::Service.to_proto().into(),
            subject: self.name.to_string(),
            brand_id: actor.brand.map(|brand| brand.to_string()).unwrap_or_default(),
            permissions: Vec::new(),
            request_id: request_id.to_owned(),
            audience: audience.to_owned(),
            issuer: self.name.to_string(),
            issued_at: Some(timestamp(now)),
            expires_at: Some(timestamp(now + LIFETIME)),
            authenticated_at: None,
            client_ip: actor.client_ip.clone().unwrap_or_default(),
        };
        if for_people {
            context.kind = actor.kind.to_proto().into();
            context.subject.clone_from(&actor.subject);
            context.permissions = actor.permissions.iter().cloned().collect();
            context.authenticated_at = actor.authenticated_at.map(timestamp);
        }
        self.sign_context(&context)
    }

    /// Signs a context exactly as given; the receiver decides what it accepts.
    #[must_use]
    pub fn sign_context(&self, context: &ActorContext) -> SignedActor {
        let actor = context.encode_to_vec();
        let signature = self.key.sign(&actor).as_ref().to_vec();
        SignedActor { actor, signature }
    }
}

type PublicKeys = HashMap<String, Vec<u8>>;

/// The keys of a process: private ones of the services it runs, public ones of everybody.
#[derive(Clone, Debug)]
pub struct ServiceKeys {
    identities: HashMap<String, ServiceIdentity>,
    public: Arc<RwLock<PublicKeys>>,
    folder: Option<Arc<Path>>,
}

impl ServiceKeys {
    /// Fresh keys for all these services, gone with the process.
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub fn in_memory<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, KeyError> {
        let mut keys = Self { identities: HashMap::new(), public: Arc::default(), folder: None };
        for name in names {
            keys.adopt(ServiceIdentity::generate(name)?);
        }
        Ok(keys)
    }

    /// Keys in a folder: `<service>.key` (base64 of PKCS #8, mode 0600) for the services run here, made when missing,
    /// and `<service>.pub` (base64) of all services. Public keys that appear later are found when first needed.
    ///
    /// # Errors
    /// Files that cannot be read or written, are no keys, or are readable by everybody.
    pub fn open<'a>(folder: &Path, own: impl IntoIterator<Item = &'a str>) -> Result<Self, KeyError> {
        let at = |path: &Path, source| KeyError::File { path: path.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(|source| at(folder, source))?;
        let mut keys = Self { identities: HashMap::new(), public: Arc::default(), folder: Some(folder.into()) };
        for name in own {
            let private = folder.join(format!("{name}.key"));
            if !private.exists() {
                let text = STANDARD.encode(new_pkcs8()?);
                write_once(&private, &text, 0o600).map_err(|source| at(&private, source))?;
            }
            let identity = ServiceIdentity::from_pkcs8(name, &read_private(&private)?, &private)?;
            let public = folder.join(format!("{name}.pub"));
            if read_public(&public).is_none_or(|known| known != identity.public_key()) {
                let text = STANDARD.encode(identity.public_key());
                replace(&public, &text, 0o644).map_err(|source| at(&public, source))?;
            }
            keys.adopt(identity);
        }
        for entry in std::fs::read_dir(folder).map_err(|source| at(folder, source))? {
            let path = entry.map_err(|source| at(folder, source))?.path();
            let (Some(name), true) =
                (path.file_stem().and_then(|stem| stem.to_str()), path.extension().is_some_and(|e| e == "pub"))
            else {
                continue;
            };
            let key = read_public(&path).ok_or_else(|| KeyError::Malformed { path: path.clone() })?;
            keys.public.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), key);
        }
        Ok(keys)
    }

    fn adopt(&mut self, identity: ServiceIdentity) {
        let mut public = self.public.write().unwrap_or_else(PoisonError::into_inner);
        public.insert(identity.name().to_owned(), identity.public_key());
        drop(public);
        self.identities.insert(identity.name().to_owned(), identity);
    }

    /// The signing key of a service run here.
    ///
    /// # Errors
    /// [`KeyError::Unknown`].
    pub fn identity(&self, name: &str) -> Result<ServiceIdentity, KeyError> {
        self.identities.get(name).cloned().ok_or_else(|| KeyError::Unknown(name.to_owned()))
    }

    /// The check for calls that arrive at this service.
    #[must_use]
    pub fn verifier(&self, audience: &str) -> ActorVerifier {
        ActorVerifier { audience: audience.into(), public: self.public.clone(), folder: self.folder.clone() }
    }
}

/// Checks signed actors that arrive at one service.
#[derive(Clone, Debug)]
pub struct ActorVerifier {
    audience: Arc<str>,
    public: Arc<RwLock<PublicKeys>>,
    folder: Option<Arc<Path>>,
}

impl ActorVerifier {
    /// The actor of a serialised `SignedActor`, when everything about it is right.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` with a reason per cause; the text names no key and no other service's secrets.
    pub fn verify(&self, signed: &[u8], request_id: &str, now: DateTime<Utc>) -> Result<Actor, Problem> {
        let refuse = |reason: &'static str, text: &'static str| Err(Problem::unauthenticated(reason, text));
        let Ok(signed) = SignedActor::decode(signed) else {
            return refuse("ACTOR_MALFORMED", "the signed actor cannot be read");
        };
        // Reading before verifying is needed to know whose key to use; nothing is believed until the signature holds.
        let Ok(context) = ActorContext::decode(&signed.actor[..]) else {
            return refuse("ACTOR_MALFORMED", "the signed actor cannot be read");
        };
        if !self.is_signed_by(&context.issuer, &signed) {
            return refuse("ACTOR_FORGED", "the actor is not signed by a service known here");
        }
        if context.audience != *self.audience {
            return refuse("ACTOR_FOREIGN", "the actor was signed for another service");
        }
        if context.request_id != request_id || request_id.is_empty() {
            return refuse("ACTOR_FOREIGN", "the actor was signed for another request");
        }
        let times = (context.issued_at.as_ref().and_then(instant), context.expires_at.as_ref().and_then(instant));
        let (Some(issued_at), Some(expires_at)) = times else {
            return refuse("ACTOR_MALFORMED", "the signed actor has no life time");
        };
        if expires_at - issued_at > LIFETIME || issued_at > now + CLOCK_SKEW {
            return refuse("ACTOR_MALFORMED", "the signed actor claims a life time it may not have");
        }
        if now >= expires_at {
            return refuse("ACTOR_EXPIRED", "the signed actor has expired");
        }
        let Some(actor) = Actor::from_proto(context) else {
            return refuse("ACTOR_MALFORMED", "the signed actor has no kind or a brand that is none");
        };
        if actor.is_service() {
            if actor.subject != actor.issuer {
                return refuse("ACTOR_FORGED", "a service signs only as itself");
            }
        } else if actor.issuer != PEOPLE_ISSUER {
            return refuse("ACTOR_FORGED", "only the gateway signs for people");
        }
        Ok(actor)
    }

    fn is_signed_by(&self, issuer: &str, signed: &SignedActor) -> bool {
        let known = self.public.read().unwrap_or_else(PoisonError::into_inner).get(issuer).cloned();
        let holds =
            |key: &Vec<u8>| UnparsedPublicKey::new(&ED25519, key).verify(&signed.actor, &signed.signature).is_ok();
        if known.as_ref().is_some_and(holds) {
            return true;
        }
        // A key that appeared or was replaced after start: look once more where keys live.
        let is_plain = !issuer.is_empty() && issuer.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let Some(folder) = self.folder.as_ref().filter(|_| is_plain) else { return false };
        let Some(fresh) = read_public(&folder.join(format!("{issuer}.pub"))).filter(holds) else { return false };
        self.public.write().unwrap_or_else(PoisonError::into_inner).insert(issuer.to_owned(), fresh);
        true
    }
}

fn new_pkcs8() -> Result<Vec<u8>, KeyError> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Randomness)?;
    Ok(document.as_ref().to_vec())
}

fn read_private(path: &Path) -> Result<Vec<u8>, KeyError> {
    let at = |source| KeyError::File { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(at)?.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    let text = std::fs::read_to_string(path).map_err(at)?;
    STANDARD.decode(text.trim()).map_err(|_| KeyError::Malformed { path: path.to_owned() })
}

fn read_public(path: &Path) -> Option<Vec<u8>> {
    let text = std::fs::read_to_string(path).ok()?;
    STANDARD.decode(text.trim()).ok().filter(|key| key.len() == 32)
}

/// Writes a whole file that must not exist yet; when another process was faster, its file stays.
fn write_once(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let draft = draft(path, text, mode)?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn replace(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    std::fs::rename(draft(path, text, mode)?, path)
}

fn draft(path: &Path, text: &str, mode: u32) -> std::io::Result<PathBuf> {
    let draft = path.with_extension(format!("{}.draft", uuid::Uuid::now_v7().simple()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(draft)
}

pub(super) fn instant(at: &prost_types::Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?)
}

fn timestamp(at: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(0);
    prost_types::Timestamp { seconds: at.timestamp(), nanos }
}

#[cfg(test)]
mod tests;
