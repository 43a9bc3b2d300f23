use std::path::Path;

#[test]
fn the_committed_definitions_are_fresh() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../k8s/crds/ottery.yaml");
    let fresh = operator::crds_yaml().unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    assert!(
        committed == fresh,
        "k8s/crds/ottery.yaml is stale: run `UPDATE=1 cargo test -p operator` and look at the difference"
    );
}

#[test]
fn every_definition_has_a_status_and_a_schema() {
    for crd in operator::types::crds() {
        let version = &crd.spec.versions[0];
        assert!(version.subresources.as_ref().is_some_and(|sub| sub.status.is_some()), "{}", crd.spec.names.kind);
        assert!(version.schema.is_some(), "{}", crd.spec.names.kind);
    }
}
