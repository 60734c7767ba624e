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
    desk.change(|state| keys.iter().for_each(|key| drop(desk.key(state, *key))));
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
