//! The committed description is the one the code gives.

use std::path::Path;

#[test]
fn the_committed_description_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let text = gateway::openapi_json();
    if std::env::var_os("OTTERY_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "openapi.json is stale: run this test once with OTTERY_BLESS=1 and commit the file");
}

#[test]
fn the_description_names_nobody() {
    let text = gateway::openapi_json();
    assert!(text.starts_with("{\n  \"openapi\": \"3.1"), "{}", &text[..60]);
}
