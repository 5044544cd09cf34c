use proptest::prelude::*;

use super::*;

#[test]
fn a_text_with_the_word_insert_may_insert() {
    for yes in ["insert", "x INSERT y", "iInSeRt", "'insert'", "ins insert"] {
        assert!(may_insert(yes.as_bytes()), "{yes}");
    }
    for no in ["", "select 1", "inser", "i", "in sert"] {
        assert!(!may_insert(no.as_bytes()), "{no}");
    }
}

#[test]
fn a_text_may_check_deferred_constraints_by_its_first_word() {
    for yes in ["commit", " END;", "Prepare transaction 'x'", "set constraints all", "/* */ x", ";"]
    {
        assert!(may_check_deferred(yes.as_bytes()), "{yes}");
    }
    for no in ["", " ", "select 1", "ending", "(select 1)", "insert into t values (1)"] {
        assert!(!may_check_deferred(no.as_bytes()), "{no}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_glance_panic(text: Vec<u8>) {
        let _ = (may_insert(&text), may_check_deferred(&text));
    }
}
