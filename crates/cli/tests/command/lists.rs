//! Lists, help and completions.

#![cfg(unix)]

use crate::common::run;

#[test]
fn handlers_are_listed_with_what_they_do() {
    let said = run(&["handlers"], "");
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let known = swapwire::default_handlers();
    assert_eq!(said.text().lines().count(), known.iter().count());
    for ((name, entry), line) in known.iter().zip(said.text().lines()) {
        assert!(line.starts_with(&format!("{name} ")) && line.ends_with(entry.description()), "{line}");
    }
    assert!(said.text().lines().any(|line| line.starts_with("chat ") && line.contains(" lines ")));
}

#[test]
fn transports_are_listed_with_what_their_wires_can_do() {
    let said = run(&["transports"], "");
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let known = swapwire::default_registry();
    assert_eq!(
        said.text().lines().count(),
        known.schemes().count() + known.layers().count() + known.socket_sources().count()
    );
    for (layer, line) in known.layers().zip(said.text().lines().skip(known.schemes().count())) {
        assert!(line.starts_with(&format!("{} ", layer.name())) && line.contains(" layer "), "{line}");
    }
    for ((scheme, transport), line) in known.schemes().zip(said.text().lines()) {
        assert!(line.starts_with(&format!("{scheme} ")), "{line}");
        assert!(line.contains(&transport.capabilities(scheme).shape.to_string()), "{line}");
    }
    let line = |scheme: &str| said.text().lines().find(|line| line.starts_with(scheme)).unwrap();
    for scheme in known.socket_sources() {
        assert!(line(&format!("{scheme} ")).contains(" passed socket "), "{}", said.text());
    }
    assert!(line("tcp ").contains("reliable, ordered, half-close"));
    assert!(line("udp ").contains("messages up to 65507 bytes") && !line("udp ").contains("reliable"));
}

#[test]
fn options_are_listed_on_demand() {
    let said = run(&["transports", "--options"], "");
    assert_eq!(said.code, Some(0));
    let known = swapwire::default_registry();
    let transports = known.schemes().map(|(scheme, transport)| (scheme, transport.options(scheme)));
    for (name, options) in transports.chain(known.layers().map(|layer| (layer.name(), layer.options()))) {
        let text = said.text();
        let at = text.find(&format!("\noptions of {name}:")).unwrap();
        for option in options {
            assert!(text[at..].contains(&format!("  {} ", option.name)) && text[at..].contains(option.help));
        }
    }
}

#[test]
fn completions_are_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = run(&["completions", shell], "");
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(said.text().contains("max-connections"), "{shell}");
    }
}

#[test]
fn help_shows_examples_and_exit_codes() {
    for args in [&["--help"] as &[_], &["serve", "--help"], &["connect", "--help"], &["bench", "--help"]] {
        let said = run(args, "");
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
        assert!(said.text().contains("Examples:") && said.text().contains("Exit codes:"), "{args:?}");
        assert!(!said.text().contains("--help has more") && !said.text().contains("--help tells"), "{args:?}");
    }
    assert!(run(&["--version"], "").text().starts_with("swapwire "));
    let nothing = run(&[], "");
    assert_eq!((nothing.code, nothing.text()), (Some(2), ""));
    assert!(nothing.stderr.contains("Usage: swapwire <COMMAND>"));
}
