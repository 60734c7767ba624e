//! The page, without a browser; with one it is tried by the command.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use crate::answer::{PAGE, SCRIPT, STYLE};

fn hash_of(element: &str) -> String {
    let (begin, end) = (format!("<{element}>"), format!("</{element}>"));
    assert_eq!((PAGE.matches(&begin).count(), PAGE.matches(&end).count()), (1, 1), "{element}");
    let text = PAGE.split_once(&begin).unwrap().1.split_once(&end).unwrap().0;
    STANDARD.encode(digest(&SHA256, text.as_bytes()))
}

#[test]
fn a_browser_runs_what_the_policy_names() {
    assert_eq!(
        (hash_of("script"), hash_of("style")),
        (SCRIPT.to_owned(), STYLE.to_owned()),
        "the constants in answer.rs"
    );
}

#[test]
fn the_page_is_one_file_and_loads_nothing() {
    for word in ["src=", "@import", "url(", "innerHTML", "//cdn", "https://", "style=\""] {
        assert!(!PAGE.contains(word), "{word}");
    }
    // The name of a format, which is not loaded.
    assert_eq!(PAGE.matches("http://").count(), PAGE.matches("http://www.w3.org/2000/svg").count());
}
