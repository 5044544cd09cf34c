use std::path::PathBuf;

use super::*;

/// The exit status, what was said, and what was wrong, with the file's folder taken out.
fn checked(text: &str) -> (ExitCode, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    fs::write(&path, text).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = check(&path, &Overrides::default(), &[], &mut out, &mut err).unwrap();
    let prefix = format!("{}/", folder.path().display());
    let said = |bytes| String::from_utf8(bytes).unwrap().replace(&prefix, "");
    (status, said(out), said(err))
}

#[test]
fn a_good_file_is_told_in_words() {
    let (status, out, err) = checked(
        r#"
            [proxy]
            upstream = "127.0.0.1:5432"
            [[rule]]
            id = "a"
            constraint = "a_pkey"
            schema = "public"
            table = "a"
            [[rule]]
            id = "b"
            constraint = "b_*"
            table = "b"
            databases = "shop"
            users = ["web", "job_?"]
            action = "observe"
            [[rule]]
            id = "c"
            constraint = "c.d"
            schema = "My Schema"
            application_names = "batch-*"
            action = "alert"
            [[rule]]
            id = "d"
            constraint = "d_pkey"
        "#,
    );
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        [
            "rules.toml: ok, 4 rules",
            "  a: a duplicate of a_pkey on public.a becomes success: the client sees INSERT 0 0",
            "  b: a duplicate of b_* on b of any schema (database shop; user web or job_?) \
             is shown to the client, and logged as one to absorb",
            "  c: a duplicate of \"c.d\" on any table of \"My Schema\" (application batch-*) \
             is shown to the client, and logged as an error",
            "  d: a duplicate of d_pkey on any table becomes success: the client sees INSERT 0 0",
        ]
    );
    assert_eq!((status, err.as_str()), (ExitCode::SUCCESS, ""));
}

#[test]
fn a_bad_file_is_told_mistake_by_mistake() {
    let (status, out, err) = checked("[proxy]\nupstraem = \"127.0.0.1:5432\"\nlisten = 1\n");
    assert_eq!(
        err,
        "rules.toml:1:2: upstream is missing in [proxy]; write it like \
         upstream = \"127.0.0.1:5432\"\n\
         rules.toml:2:1: unknown key \"upstraem\" in [proxy]; did you mean \"upstream\"?\n\
         rules.toml:3:10: listen must be an address or a list of them, not an integer\n\
         3 mistakes in rules.toml\n"
    );
    assert_eq!((status, out.as_str()), (ExitCode::FAILURE, ""));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_its_path_and_reason() {
    let path = PathBuf::from("/nowhere/rules.toml");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let error = check(&path, &Overrides::default(), &[], &mut out, &mut err).unwrap_err();
    let text = format!("{error:#}");
    assert_eq!(text, "cannot read /nowhere/rules.toml: No such file or directory (os error 2)");
}

#[test]
fn what_a_rule_answers_is_told_and_where_it_may_mislead() {
    let (_, out, _) = checked(
        r#"
            [proxy]
            upstream = "127.0.0.1:5432"
            [[rule]]
            id = "lock"
            constraint = "shedlock_pkey"
            affected_rows = "requested"
            [[rule]]
            id = "told"
            constraint = "a_pkey"
            affected_rows = "requested"
            [[rule]]
            id = "upsert"
            constraint = "lock_pkey"
            on_conflict = "update"
            set = "*"
        "#,
    );
    let lines: Vec<_> = out.lines().collect();
    assert!(lines[1].ends_with("becomes success: the client is told that the row was inserted"));
    assert!(lines[3].ends_with("becomes success: the row that is there is updated"));
    let [warning] = lines[4..] else { panic!("{lines:?}") };
    assert!(warning.starts_with("warning: rule \"lock\" tells the client"), "{warning}");
}
