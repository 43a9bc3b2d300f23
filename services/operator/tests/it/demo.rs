use operator::apply::{Content, parse};

#[test]
fn the_demo_documents_are_well_formed() {
    let documents = parse("demo", operator::DEMO).unwrap();
    let count = |wanted: fn(&Content) -> bool| documents.iter().filter(|document| wanted(&document.content)).count();
    assert_eq!(count(|content| matches!(content, Content::Brand(_))), 1);
    assert_eq!(count(|content| matches!(content, Content::Panel(_))), 1);
    assert_eq!(count(|content| matches!(content, Content::Plan(_))), 4);
}
