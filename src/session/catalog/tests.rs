use super::*;

#[test]
fn an_old_answer_serves_until_the_next_and_no_longer_than_once_more() {
    let shared = SharedCatalog::default();
    assert!(shared.is_due() && shared.current().is_none());
    shared.store(Catalog::default());
    assert!(!shared.is_due() && shared.current().is_some());
    shared.expire();
    assert!(shared.is_due() && shared.current().is_some());
    shared.expire();
    assert!(shared.is_due() && shared.current().is_none());
}
