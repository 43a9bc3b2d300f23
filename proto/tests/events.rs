//! The event catalogue (`docs/events.md`) says what the contracts say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// Routing key to message name and field names.
type Catalogue = BTreeMap<String, (String, BTreeSet<String>)>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// From the comments over the messages of every `events.proto`: `// <routing key>` begins an event's description.
fn contracts() -> Catalogue {
    let descriptors =
        FileDescriptorSet::decode(ottery_proto::DESCRIPTORS).expect("the descriptors were made by protox");
    let mut catalogue = Catalogue::new();
    for file in descriptors.file.iter().filter(|file| file.name().ends_with("/events.proto")) {
        let text =
            std::fs::read_to_string(root().join(file.name())).expect("the contract the descriptors were made of");
        for message in &file.message_type {
            let head = text.split(&format!("message {} {{", message.name())).next().expect("split has a first part");
            let key = head
                .lines()
                .rev()
                .take_while(|line| line.is_empty() || line.starts_with("//"))
                .filter_map(|line| line.strip_prefix("// "))
                .filter_map(|line| line.split([':', ' ']).next())
                .find(|word| word.ends_with(".v1"))
                .unwrap_or_else(|| panic!("{}: the comment over {} names no routing key", file.name(), message.name()));
            let fields = message.field.iter().map(|field| field.name().to_owned()).collect();
            catalogue.insert(key.to_owned(), (message.name().to_owned(), fields));
        }
    }
    catalogue
}

/// From the headings, the first words and the `fields` rows of the page.
fn page() -> Catalogue {
    let text = std::fs::read_to_string(root().join("../docs/events.md")).expect("docs/events.md");
    let quoted = |line: &str| -> Vec<String> { line.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    text.split("\n### ")
        .skip(1)
        .filter_map(|part| {
            let key = quoted(part.lines().next()?).pop()?;
            let message = quoted(part.lines().skip(1).find(|line| line.starts_with('`'))?).first()?.clone();
            let fields = quoted(part.lines().find(|line| line.starts_with("| fields"))?).into_iter().collect();
            Some((key, (message, fields)))
        })
        .filter(|(key, _)| !key.starts_with('<'))
        .collect()
}

#[test]
fn the_event_catalogue_says_what_the_contracts_say() {
    let (contracts, page) = (contracts(), page());
    assert!(contracts.len() > 15, "only {} events were found in the contracts", contracts.len());
    for (key, said) in &contracts {
        assert_eq!(page.get(key), Some(said), "docs/events.md about `{key}`");
    }
    let gone: Vec<&String> = page.keys().filter(|key| !contracts.contains_key(*key)).collect();
    assert!(gone.is_empty(), "docs/events.md describes events that no contract has: {gone:?}");
}
