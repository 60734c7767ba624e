use super::super::line::tests::CELLS;
use super::*;

/// Without a terminal and a file.
fn desk(raw: bool) -> Desk {
    desk_for(Ways { raw, text: true, empty: false, max: 1 << 20 })
}

fn desk_for(ways: Ways) -> Desk {
    Desk::new(Screen::default(), History::default(), ways)
}

/// The peer says something.
async fn says(desk: &Desk, text: &[u8]) {
    let mut output = desk;
    output.show(text).await.unwrap();
}

/// What would be written now.
fn written(desk: &Desk) -> String {
    String::from_utf8(std::mem::take(&mut desk.state.borrow_mut().out)).unwrap()
}

fn press(desk: &Desk, keys: &[u8]) {
    desk.change(|state| {
        for key in keys {
            desk.key(state, *key);
        }
    });
}

/// A peer that never ends its line costs a key no more than one that says a little.
#[tokio::test]
async fn a_key_costs_the_same_however_much_was_said_without_an_end() {
    for (raw, text) in
        [(false, "p"), (false, "\x1b"), (false, "\u{301}"), (true, "p"), (true, "\x1b[1mp"), (true, "\x1b[1m")]
    {
        let desk = desk(raw);
        let all = text.repeat((64 << 10) / text.len());
        for piece in all.as_bytes().chunks(1 << 10) {
            says(&desk, piece).await;
            written(&desk);
        }
        let before = CELLS.get();
        press(&desk, b"x");
        let (cells, drawn) = (CELLS.get() - before, written(&desk).len());
        let most = 4 * SEEN * 4 * width();
        assert!(cells < most && drawn < most, "{raw} {text:?}: {cells} cells looked at, {drawn} bytes drawn");
    }
}

/// What the arrow key, or Ctrl-Y, brings back.
fn comes_back(desk: &Desk, key: &[u8]) -> String {
    press(desk, key);
    let line = String::from_utf8_lossy(desk.state.borrow().editor.line().bytes()).into_owned();
    press(desk, b"\x15");
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
        let desk = desk(false);
        says(&desk, before.as_bytes()).await;
        press(&desk, b"hid");
        says(&desk, between.as_bytes()).await;
        press(&desk, b"den");
        says(&desk, behind.as_bytes()).await;
        press(&desk, b"\r");
        assert_eq!(comes_back(&desk, UP), if remembered { "hidden" } else { "" }, "{before:?} {between:?} {behind:?}");
        // The next line is another one.
        says(&desk, b"\n").await;
        press(&desk, b"next\r");
        assert_eq!(comes_back(&desk, UP), "next");
    }
}

#[tokio::test]
async fn what_was_cut_out_of_a_secret_does_not_come_back() {
    let desk = desk(false);
    says(&desk, b"Password: ").await;
    press(&desk, b"hiddne\x15hidden\r");
    assert_eq!(comes_back(&desk, b"\x19"), "");
}

/// What is to be sent, as far as that is known.
fn typed(desk: &Desk) -> Vec<Item> {
    std::iter::from_fn(|| desk.state.borrow_mut().take_item()).take_while(|item| *item != Item::End).collect()
}

#[test]
fn only_what_waits_behind_something_can_be_too_much() {
    let desk = desk_for(Ways { raw: false, text: true, empty: false, max: 8 << 20 });
    let long = [&vec![b'x'; 2 * TYPED][..], b"\r"].concat();
    press(&desk, &long);
    assert!(!desk.has_lost());
    press(&desk, &long);
    assert!(desk.has_lost());
    let sent = typed(&desk);
    assert!(matches!(&sent[..], [Item::Message(line)] if line.len() == 2 * TYPED));
    press(&desk, b"next\r");
    assert_eq!(typed(&desk), [Item::Message(b"next".to_vec())]);
}

#[test]
fn a_line_that_is_too_long_is_told_as_one() {
    let desk = desk(false);
    press(&desk, b"first\r");
    for over in [1, 1000] {
        press(&desk, &[&vec![b'x'; (1 << 20) + over][..], b"\r"].concat());
    }
    assert!(!desk.has_lost(), "nobody blames the peer");
    let told = [1, 1000].map(|over| Item::TooLong((1 << 20) + over));
    let [first, rest @ ..] = &typed(&desk)[..] else { panic!("nothing to send") };
    assert_eq!((first, rest), (&Item::Message(b"first".to_vec()), &told[..]));
}

#[test]
fn the_end_of_the_input_ends_the_last_line() {
    for (keys, sent) in [(&b"half a line\x04"[..], Some("half a line")), (b"\x04", None)] {
        let desk = desk(false);
        press(&desk, keys);
        let sent: Vec<_> = sent.into_iter().map(|line| Item::Message(line.into())).collect();
        assert_eq!(typed(&desk), sent);
        assert_eq!(desk.state.borrow_mut().take_item(), Some(Item::End));
        // What is typed behind it is nothing that the peer did not let be sent.
        press(&desk, b"more");
        assert!(!desk.close());
    }
    let desk = desk(false);
    press(&desk, b"half a line");
    assert!(desk.close());
}
