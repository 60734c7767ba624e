//! The page of the admin endpoint.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use crate::browser::Browser;
use crate::common::{PATIENCE, Serving, next};

/// Width, height, and the name of the screenshot in the folder for temporary files of cargo.
const SIZES: [(u32, u32, &str); 3] = [(1280, 900, "wide"), (820, 1100, "tablet"), (390, 844, "phone")];

/// The number of a tile of the first listener, by its caption.
fn tile(caption: &str) -> String {
    format!(
        "[...document.querySelectorAll('article[data-name=front] figure')]
            .find((tile) => tile.firstChild.textContent === '{caption}').querySelector('.now').textContent"
    )
}

#[test]
fn the_admin_page_shows_a_server_live() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("swapwire.toml");
    let listeners = ["front", "a name that is long, and has <b>signs</b> & \"quotes\" in it"]
        .map(|name| format!("[[listen]]\nname = {name:?}\nendpoint = \"tcp://127.0.0.1:0\"\nhandler = \"echo\"\n"));
    std::fs::write(&file, format!("[admin]\nlisten = \"tcp://127.0.0.1:0\"\n{}", listeners.concat())).unwrap();
    let server = Serving::start(2, &["--config", file.to_str().unwrap()]);
    let url = next(&server.stderr).strip_prefix("swapwire: the admin endpoint is ").unwrap().to_owned();
    let page = browser.open(&url);
    browser.until(&page, "document.body?.dataset.state === 'ready'");
    browser.until(&page, &format!("{} === '0'", tile("Open sessions")));

    let mut client = TcpStream::connect(server.endpoint().strip_prefix("tcp://").unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut exchange = || {
        client.write_all(&[b'x'; 1000]).unwrap();
        client.read_exact(&mut [0; 1000]).unwrap();
    };
    exchange();
    browser.until(&page, &format!("{} === '1'", tile("Open sessions")));
    // Until a point of the plot lies above the others, in which there was something to count.
    let rates = format!("{} + {}", tile("Messages"), tile("Bytes"));
    browser.evaluate(&page, "globalThis.seen = new Set()");
    let is_seen = format!(
        "seen.add({rates}), [...seen].some((text) => /[1-9].*in.*[1-9].*out.*[1-9].*in.*[1-9].*out/.test(text))"
    );
    let end = Instant::now() + PATIENCE;
    while browser.evaluate(&page, &is_seen) != true {
        assert!(Instant::now() < end, "no rate is shown");
        exchange();
    }
    let drawn =
        "[...document.querySelectorAll('article[data-name=front] path')].every((path) => path.getAttribute('d'))";
    assert_eq!(browser.evaluate(&page, drawn), true);
    // Names are text.
    assert_eq!(browser.evaluate(&page, "document.querySelectorAll('article b').length"), 0);
    assert_eq!(
        browser.evaluate(&page, "document.querySelectorAll('article h3')[1].textContent.includes('<b>signs')"),
        true
    );
    browser.evaluate(&page, "document.querySelectorAll('details').forEach((one) => one.open = true)");
    browser.until(&page, "document.querySelector('article[data-name=front] dl').textContent.includes('sessions')");
    browser.until(&page, "document.getElementById('limits').textContent.includes('max_connections')");
    for (width, height, name) in SIZES {
        browser.resize(&page, width, height);
        let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(browser.evaluate(&page, fits), true, "{name}: it is wider than its window");
        browser.screenshot(&page, &Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("admin-{name}.png")));
    }
    assert_eq!(browser.complaints(), [""; 0]);
    drop(client);
    server.stop();
    browser.until(&page, "document.body.dataset.state === 'silent'");
    let state = browser.evaluate(&page, "document.getElementById('state').textContent");
    assert!(state.as_str().unwrap().starts_with("✕ No answer"), "{state}");
    browser.close();
}
