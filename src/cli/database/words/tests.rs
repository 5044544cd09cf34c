use std::path::PathBuf;

use super::*;

fn words(mode: &str, root: &str) -> Words {
    let given = |text: &str| Some(text.to_owned()).filter(|it| !it.is_empty());
    Words { mode: given(mode), root: given(root), ..Words::default() }
}

#[test]
fn the_words_are_taken_out_of_a_url_and_the_rest_is_as_it_was() {
    for (told, rest, said) in [
        ("postgresql://me@h/shop", "postgresql://me@h/shop", words("", "")),
        ("postgresql://me@h/shop?sslmode=require", "postgresql://me@h/shop", words("require", "")),
        (
            "postgres://h/shop?options=-c%20a%3Db&sslmode=verify-full&user=me&sslrootcert=%2Fa%20b",
            "postgres://h/shop?options=-c%20a%3Db&user=me",
            words("verify-full", "/a b"),
        ),
        // A password may hold what begins the words elsewhere.
        ("postgresql://me:?sslmode=x@h/shop", "postgresql://me:?sslmode=x@h/shop", words("", "")),
        ("postgresql://h?sslmode=prefer&sslmode=disable", "postgresql://h", words("disable", "")),
    ] {
        assert_eq!(take(told), (rest.to_owned(), said), "{told}");
    }
}

#[test]
fn the_words_are_taken_out_of_a_list_and_the_rest_is_as_it_was() {
    for (told, rest, said) in [
        ("host=h user=me", "host=h  user=me ", words("", "")),
        ("host=h sslmode=require user=me", "host=h  user=me ", words("require", "")),
        (
            r"sslrootcert = '/a b\'s' password='a \' sslmode=x' sslmode=verify-ca",
            r"password='a \' sslmode=x' ",
            words("verify-ca", "/a b's"),
        ),
        (r"sslrootcert=/a\ b host=h", "host=h ", words("", "/a b")),
        // The crate says what is wrong with these.
        ("nonsense", "nonsense", words("", "")),
        ("sslmode=require host='h", "host='h", words("require", "")),
    ] {
        assert_eq!(take(told), (rest.to_owned(), said), "{told}");
    }
}

#[test]
fn the_words_mean_what_they_mean_to_libpq() {
    let file = || Some(Roots::File(PathBuf::from("root.crt")));
    for (mode, root, meant, roots) in [
        ("", "", ServerMode::Prefer, None),
        ("prefer", "", ServerMode::Prefer, None),
        ("require", "", ServerMode::Require, None),
        ("require", "root.crt", ServerMode::VerifyCa, file()),
        ("verify-ca", "root.crt", ServerMode::VerifyCa, file()),
        ("verify-full", "root.crt", ServerMode::VerifyFull, file()),
        ("", "system", ServerMode::VerifyFull, Some(Roots::System)),
    ] {
        let settings = words(mode, root).settings().unwrap().unwrap();
        assert_eq!((settings.mode, settings.roots), (meant, roots), "{mode} {root}");
    }
    assert_eq!(words("disable", "").settings().unwrap(), None);
}

#[test]
fn words_that_make_nobody_sure_of_anything_are_mistakes() {
    for (mode, root, told) in [
        ("verify-full", "", "sslmode=verify-full needs sslrootcert=FILE"),
        ("verify-ca", "", "sslmode=verify-ca needs sslrootcert=FILE"),
        ("", "root.crt", "sslrootcert is for a server that is made sure of"),
        ("require", "system", "sslmode=require with sslrootcert=system trusts whoever"),
        ("allow", "", "sslmode=allow is not known here: say disable"),
    ] {
        let error = words(mode, root).settings().unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
    let certificate = Words { certificate: Some("a.crt".to_owned()), ..Words::default() };
    assert!(certificate.settings().unwrap_err().to_string().starts_with("sslcert needs sslkey"));
    let key = Words { key: Some("a.key".to_owned()), ..Words::default() };
    assert!(key.settings().unwrap_err().to_string().starts_with("sslkey needs sslcert"));
}
