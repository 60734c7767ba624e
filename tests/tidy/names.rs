//! Words that named things once and are given up for the field's own.

use crate::source::{Source, closing, sources_of};

/// None of these, nor its plural, may be a word of the name of a type, a module, a file, a constant, a field or a variant.
const OLD: &[&str] = &[
    "bell",
    "caretaker",
    "complaint",
    "crew",
    "desk",
    "door",
    "gate",
    "intake",
    "keeper",
    "ledger",
    "nest",
    "outlet",
    "pace",
    "room",
    "scratch",
    "seat",
    "second_look",
    "share",
    "throttle",
    "trouble",
    "turn",
    "wakes",
    "witness",
];

const CRATES: &[&str] = &[
    "core", "server", "bench", "cli", "udp", "unix", "tcp", "mem", "mmsg", "socket", "systemd", "admin", "handlers",
    "layers",
];

/// What the field calls so: the crate, the name, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[("handlers", "room", "people who chat are in a room")];

/// The names that a file gives: its own and those of its types, modules, constants, fields and variants.
fn names(source: &Source) -> Vec<String> {
    let tokens = &source.tokens;
    let mut names = source.module();
    for at in 0..tokens.len().saturating_sub(1) {
        match &*tokens[at] {
            "struct" | "enum" | "union" => {
                names.push(tokens[at + 1].clone());
                let body = (at..tokens.len()).find(|at| matches!(&*tokens[*at], "{" | "(" | ";")).unwrap();
                if tokens[body] == "{" {
                    names.extend(members(&tokens[body + 1..closing(tokens, body) - 1]));
                }
            }
            "trait" | "type" | "mod" | "const" | "static" => names.push(tokens[at + 1].clone()),
            _ => {}
        }
    }
    names
}

/// The fields of a struct, or the variants of an enum and their fields.
fn members(body: &[String]) -> Vec<String> {
    let word = |at: usize| body.get(at).map_or("", |token| &**token);
    let named = |at: usize| word(at + 1) == ":" && word(at) != ":";
    let variant = |at: usize| {
        let first = at == 0 || matches!(word(at - 1), "," | "]" | "}");
        first && word(at).starts_with(char::is_uppercase) && matches!(word(at + 1), "" | "," | "(" | "{" | "=")
    };
    (0..body.len()).filter(|at| named(*at) || variant(*at)).map(|at| body[at].clone()).collect()
}

/// `OneWord` and `ONE_WORD` as `one_word`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    let shouted = !name.contains(char::is_lowercase);
    for c in name.chars() {
        if c.is_uppercase() && !shouted && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// The old word that a name has.
fn old(name: &str) -> Option<&'static str> {
    let name = format!("_{}_", snake(name));
    let has = |word: &str| name.contains(&format!("_{word}_")) || name.contains(&format!("_{word}s_"));
    OLD.iter().copied().find(|word| has(word))
}

#[test]
fn no_name_has_an_old_word() {
    let mut wrong = Vec::new();
    for of in CRATES {
        for source in sources_of(of) {
            for name in names(&source) {
                let Some(word) = old(&name) else { continue };
                if !EXCEPTIONS.iter().any(|(exempt, known, _)| exempt == of && *known == word) {
                    wrong.push(format!("{name} in {of}/src/{}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "old words:\n{}", wrong.join("\n"));
}

#[test]
fn every_kind_of_name_is_read() {
    let text =
        "mod a; struct B<T> { pub(crate) c: D, e: F<G>, } struct H(I); struct J; const K: L = 1; static M: N = 2;
        enum O { P, Q(R), S { t: U }, #[default] V = 7 } trait W {} type X = Y; fn z(aa: Bb) { let cc: Dd = 1; }";
    let mut found = names(&Source::new("one/two.rs", text));
    found.sort();
    assert_eq!(found, ["B", "H", "J", "K", "M", "O", "P", "Q", "S", "V", "W", "X", "a", "c", "e", "one", "t", "two"]);
    for (name, word) in [
        ("SecondLook", Some("second_look")),
        ("LARGEST_SCRATCH", Some("scratch")),
        ("Rooms", Some("room")),
        ("Roommate", None),
        ("return_value", None),
    ] {
        assert_eq!(old(name), word, "{name}");
    }
}
