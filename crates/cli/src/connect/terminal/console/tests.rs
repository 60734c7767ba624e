use super::super::line::tests::CELLS;
use super::*;

/// Without a terminal and a file.
fn console(raw: bool) -> Console {
    console_for(Ways { raw, text: true, empty: false, max: 1 << 20 })
}

fn console_for(ways: Ways) -> Console {
    Console::new(Screen::default(), History::default(), ways)
}

/// The peer says something.
async fn says(console: &Console, text: &[u8]) {
    let mut output = console;
    output.show(text).await.unwrap();
}

/// What would be written now.
fn written(console: &Console) -> String {
    String::from_utf8(std::mem::take(&mut console.state.borrow_mut().out)).unwrap()
}

fn press(console: &Console, keys: &[u8]) {
    console.change(|state| {
        for key in keys {
            console.key(state, *key);
        }
    });
}

/// A peer that never ends its line costs a key no more than one that says a little.
#[tokio::test]
async fn a_key_costs_the_same_however_much_was_said_without_an_end() {
    for (raw, text) in
        [(false, "p"), (false, "\x1b"), (false, "\u{301}"), (true, "p"), (true, "\x1b[1mp"), (true, "\x1b[1m")]
    {
        let console = console(raw);
        let all = text.repeat((64 << 10) / text.len());
        for piece in all.as_bytes().chunks(1 << 10) {
            says(&console, piece).await;
            written(&console);
        }
        let before = CELLS.get();
        press(&console, b"x");
        let (cells, drawn) = (CELLS.get() - before, written(&console).len());
        let most = 4 * SEEN * 4 * width();
        assert!(cells < most && drawn < most, "{raw} {text:?}: {cells} cells looked at, {drawn} bytes drawn");
    }
}

/// What the arrow key, or Ctrl-Y, brings back.
fn comes_back(console: &Console, key: &[u8]) -> String {
    press(console, key);
    let line = String::from_utf8_lossy(console.state.borrow().editor.line().bytes()).into_owned();
    press(console, b"\x15");
    line
}

const UP: &[u8] = b"\x1b[A";

#[tokio::test]
async fn a_secret_is_one_whatever_the_peer_says_until_it_is_entered() {
    // What is said before, between and behind the keys, and whether the line is remembered.
    for (before, between, behind, remembered) in [
        ("", "", "", true),
        ("login: ", "", "", true),
        ("Password: ", "", "", false),
        ("Password: ", "\r\nLogin timed out\r\n", "", false),
        ("Password: ", "", "\r\nLogin timed out\r\n$ ", false),
        ("Password: ", "\n", "Enter a command: ", false),
        ("", "Pass", "word: ", false),
        ("", "Password: ", "\n", false),
        ("", "\nPassword: \n", "\n", true),
    ] {
        let console = console(false);
        says(&console, before.as_bytes()).await;
        press(&console, b"hid");
        says(&console, between.as_bytes()).await;
        press(&console, b"den");
        says(&console, behind.as_bytes()).await;
        press(&console, b"\r");
        assert_eq!(
            comes_back(&console, UP),
            if remembered { "hidden" } else { "" },
            "{before:?} {between:?} {behind:?}"
        );
        // The next line is another one.
        says(&console, b"\n").await;
        press(&console, b"next\r");
        assert_eq!(comes_back(&console, UP), "next");
    }
}

#[tokio::test]
async fn what_was_cut_out_of_a_secret_does_not_come_back() {
    let console = console(false);
    says(&console, b"Password: ").await;
    press(&console, b"hiddne\x15hidden\r");
    assert_eq!(comes_back(&console, b"\x19"), "");
}

/// What is to be sent, as far as that is known.
fn typed(console: &Console) -> Vec<Item> {
    std::iter::from_fn(|| console.state.borrow_mut().take_item()).take_while(|item| *item != Item::End).collect()
}

#[test]
fn only_what_waits_behind_something_can_be_too_much() {
    let console = console_for(Ways { raw: false, text: true, empty: false, max: 8 << 20 });
    let long = [&vec![b'x'; 2 * TYPED][..], b"\r"].concat();
    press(&console, &long);
    assert!(!console.has_lost());
    press(&console, &long);
    assert!(console.has_lost());
    let sent = typed(&console);
    assert!(matches!(&sent[..], [Item::Message(line)] if line.len() == 2 * TYPED));
    press(&console, b"next\r");
    assert_eq!(typed(&console), [Item::Message(b"next".to_vec())]);
}

#[test]
fn a_line_that_is_too_long_is_told_as_one() {
    let console = console(false);
    press(&console, b"first\r");
    for over in [1, 1000] {
        press(&console, &[&vec![b'x'; (1 << 20) + over][..], b"\r"].concat());
    }
    assert!(!console.has_lost(), "nobody blames the peer");
    let told = [1, 1000].map(|over| Item::TooLong((1 << 20) + over));
    let [first, rest @ ..] = &typed(&console)[..] else { panic!("nothing to send") };
    assert_eq!((first, rest), (&Item::Message(b"first".to_vec()), &told[..]));
}

#[test]
fn the_end_of_the_input_ends_the_last_line() {
    for (keys, sent) in [(&b"half a line\x04"[..], Some("half a line")), (b"\x04", None)] {
        let console = console(false);
        press(&console, keys);
        let sent: Vec<_> = sent.into_iter().map(|line| Item::Message(line.into())).collect();
        assert_eq!(typed(&console), sent);
        assert_eq!(console.state.borrow_mut().take_item(), Some(Item::End));
        // What is typed behind it is nothing that the peer did not let be sent.
        press(&console, b"more");
        assert!(!console.close());
    }
    let console = console(false);
    press(&console, b"half a line");
    assert!(console.close());
}
