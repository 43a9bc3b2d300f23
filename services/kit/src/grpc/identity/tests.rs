use super::*;
use ottery_kernel::BrandId;

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn keys() -> ServiceKeys {
    ServiceKeys::in_memory(["gateway", "billing", "catalog"]).unwrap()
}

fn customer() -> Actor {
    let brand = BrandId::from_uuid(uuid::Uuid::from_u128(7));
    Actor::new(ActorKind::Customer, "acc_1", Some(brand)).with_permissions(["order.read"])
}

fn signed(keys: &ServiceKeys, issuer: &str) -> Vec<u8> {
    keys.identity(issuer).unwrap().sign(&customer(), "billing", "req-1", now()).encode_to_vec()
}

fn reason(outcome: Result<Actor, Problem>) -> String {
    let problem = outcome.unwrap_err();
    assert_eq!(problem.code, tonic::Code::Unauthenticated);
    problem.reason.into_owned()
}

#[test]
fn secure_s33_a_signed_person_arrives_as_signed() {
    let keys = keys();
    let actor = keys.verifier("billing").verify(&signed(&keys, "gateway"), "req-1", now()).unwrap();
    assert_eq!((actor.kind, actor.subject.as_str()), (ActorKind::Customer, "acc_1"));
    assert!(actor.has("order.read") && !actor.has("order.manage"));
}

#[test]
fn secure_s33_replay_to_another_service_is_refused() {
    let keys = keys();
    let outcome = keys.verifier("catalog").verify(&signed(&keys, "gateway"), "req-1", now());
    assert_eq!(reason(outcome), "ACTOR_FOREIGN");
}

#[test]
fn secure_s33_replay_with_another_request_is_refused() {
    let keys = keys();
    let verifier = keys.verifier("billing");
    assert_eq!(reason(verifier.verify(&signed(&keys, "gateway"), "req-2", now())), "ACTOR_FOREIGN");
    assert_eq!(reason(verifier.verify(&signed(&keys, "gateway"), "", now())), "ACTOR_FOREIGN");
}

#[test]
fn secure_s33_expired_is_refused() {
    let keys = keys();
    let verifier = keys.verifier("billing");
    let signed = signed(&keys, "gateway");
    assert!(verifier.verify(&signed, "req-1", now() + TimeDelta::seconds(59)).is_ok());
    assert_eq!(reason(verifier.verify(&signed, "req-1", now() + TimeDelta::seconds(60))), "ACTOR_EXPIRED");
    // Signed ahead of time, to be used later.
    assert_eq!(reason(verifier.verify(&signed, "req-1", now() - TimeDelta::seconds(11))), "ACTOR_MALFORMED");
}

#[test]
fn secure_s33_a_long_life_is_refused_even_when_signed() {
    let keys = keys();
    let identity = keys.identity("gateway").unwrap();
    let mut context = ActorContext::decode(&identity.sign(&customer(), "billing", "req-1", now()).actor[..]).unwrap();
    context.expires_at = Some(timestamp(now() + TimeDelta::days(1)));
    let signed = identity.sign_context(&context).encode_to_vec();
    assert_eq!(reason(keys.verifier("billing").verify(&signed, "req-1", now())), "ACTOR_MALFORMED");
}

#[test]
fn secure_s33_forged_is_refused() {
    let keys = keys();
    let stranger = ServiceIdentity::generate("gateway").unwrap();
    let signed = stranger.sign(&customer(), "billing", "req-1", now()).encode_to_vec();
    assert_eq!(reason(keys.verifier("billing").verify(&signed, "req-1", now())), "ACTOR_FORGED");
    let unknown = ServiceIdentity::generate("intruder").unwrap();
    let signed = unknown.sign(&customer(), "billing", "req-1", now()).encode_to_vec();
    assert_eq!(reason(keys.verifier("billing").verify(&signed, "req-1", now())), "ACTOR_FORGED");
}

#[test]
fn secure_s33_altered_in_any_byte_is_refused() {
    let keys = keys();
    let verifier = keys.verifier("billing");
    let signed = signed(&keys, "gateway");
    for index in 0..signed.len() {
        let mut altered = signed.clone();
        altered[index] ^= 1;
        assert!(verifier.verify(&altered, "req-1", now()).is_err(), "byte {index} may not be altered");
    }
    assert_eq!(reason(verifier.verify(b"", "req-1", now())), "ACTOR_FORGED");
}

#[test]
fn secure_s33_only_the_gateway_signs_for_people() {
    let keys = keys();
    let actor = keys.verifier("billing").verify(&signed(&keys, "catalog"), "req-1", now()).unwrap();
    assert_eq!(
        (actor.kind, actor.subject.as_str()),
        (ActorKind::Service, "catalog"),
        "passed on as the service itself"
    );
    assert_eq!(actor.brand, customer().brand, "in the person's brand");

    let catalog = keys.identity("catalog").unwrap();
    let mut context = ActorContext::decode(&catalog.sign(&customer(), "billing", "req-1", now()).actor[..]).unwrap();
    context.kind = ActorKind::Staff.to_proto().into();
    let person = catalog.sign_context(&context).encode_to_vec();
    assert_eq!(reason(keys.verifier("billing").verify(&person, "req-1", now())), "ACTOR_FORGED");
    context.kind = ActorKind::Service.to_proto().into();
    context.subject = "gateway".to_owned();
    let other = catalog.sign_context(&context).encode_to_vec();
    assert_eq!(reason(keys.verifier("billing").verify(&other, "req-1", now())), "ACTOR_FORGED");
}

#[test]
fn keys_are_made_once_private_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = ServiceKeys::open(folder.path(), ["billing"]).unwrap();
    let mode = std::fs::metadata(folder.path().join("billing.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = ServiceKeys::open(folder.path(), ["billing"]).unwrap();
    assert_eq!(first.identity("billing").unwrap().public_key(), again.identity("billing").unwrap().public_key());
    assert!(again.identity("catalog").is_err());
}

#[test]
fn secure_s36_a_world_readable_private_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    ServiceKeys::open(folder.path(), ["billing"]).unwrap();
    let path = folder.path().join("billing.key");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(ServiceKeys::open(folder.path(), ["billing"]), Err(KeyError::Exposed { mode: 0o644, .. })));
}

#[test]
fn a_service_that_starts_later_is_known_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let billing = ServiceKeys::open(folder.path(), ["billing"]).unwrap();
    let gateway = ServiceKeys::open(folder.path(), ["gateway"]).unwrap();
    assert!(billing.verifier("billing").verify(&signed(&gateway, "gateway"), "req-1", now()).is_ok());
}
