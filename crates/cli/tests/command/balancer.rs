//! What `examples/operate` has for HAProxy. Where a tool is missing, the tests say so and pass.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{finish, run, start};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[test]
fn haproxy_finds_nothing_wrong_with_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let front = folder.path().join("front.pem");
    std::fs::write(&front, own.pem() + &key.serialize_pem()).unwrap();
    let text = std::fs::read_to_string(Path::new(ROOT).join("examples/operate/haproxy.cfg")).unwrap();
    let config = folder.path().join("haproxy.cfg");
    std::fs::write(&config, text.replace("/etc/haproxy/front.pem", front.to_str().unwrap())).unwrap();
    let Ok(checked) = Command::new("haproxy").arg("-c").arg("-f").arg(config).output() else {
        eprintln!("skipped: no haproxy on this machine");
        return;
    };
    // A warning is a mistake, too.
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && !said.contains("[WARNING]"), "{said}");
}

#[test]
fn a_server_takes_the_file_that_the_configuration_of_haproxy_shows() {
    let text = std::fs::read_to_string(Path::new(ROOT).join("examples/operate/haproxy.cfg")).unwrap();
    let file: String = text.lines().filter_map(|line| Some(line.strip_prefix("#   ")?.to_owned() + "\n")).collect();
    let file = file.replace("cert=/etc/swapwire/cert.pem&key=/etc/swapwire/key.pem", "self_signed=true");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("swapwire.toml");
    std::fs::write(&path, file).unwrap();
    let said = run(&["serve", "--config", path.to_str().unwrap(), "--check"], "");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.text().lines().filter(|line| line.starts_with("ok ")).count(), 3, "{said:?}");
}

/// `scripts/rolling-replace`, with checks that follow each other faster and a small load.
#[test]
fn no_request_fails_while_three_servers_are_replaced_behind_haproxy() {
    let mut script = Command::new("python3");
    script.args(["scripts/rolling-replace", "--rate", "100", "--inter", "100ms", "--program"]);
    script.arg(env!("CARGO_BIN_EXE_swapwire")).current_dir(ROOT);
    script.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: no python3 on this machine");
        return;
    }
    let said = finish(start(&mut script));
    assert_eq!(said.code, Some(0), "{said:?}");
    if said.text().starts_with("skipped: ") {
        eprintln!("{}", said.text().trim_end());
        return;
    }
    let count = |word: &str| said.text().lines().filter(|line| line.contains(word)).count();
    assert_eq!((count(": replaced in "), count(" 0 failed; ")), (3, 3), "{said:?}");
}
