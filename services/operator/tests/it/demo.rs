use operator::apply::{Document, parse};

#[test]
fn the_demo_documents_are_well_formed() {
    let documents = parse(operator::DEMO).unwrap();
    let count = |wanted: fn(&Document) -> bool| documents.iter().filter(|document| wanted(document)).count();
    assert_eq!(count(|document| matches!(document, Document::Brand(_))), 1);
    assert_eq!(count(|document| matches!(document, Document::Panel(_))), 1);
    assert_eq!(count(|document| matches!(document, Document::Plan(_))), 4);
}
