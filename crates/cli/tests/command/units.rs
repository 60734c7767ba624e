//! The unit files in `examples/operate`: systemd understands them, and they start this command.

#![cfg(all(target_os = "linux", feature = "systemd"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};

use crate::common::{PATIENCE, Running, Said, Serving, finish, until_dialled};
use tempfile::TempDir;

const UNITS: [&str; 3] = ["swapwire.service", "swapwire.socket", "swapwire-datagram.socket"];
const INSTALLED: &str = "/usr/bin/swapwire";
const BUILT: &str = env!("CARGO_BIN_EXE_swapwire");

fn unit(name: &str) -> String {
    fs::read_to_string(format!("{}/../../examples/operate/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The values of `key` in a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// The units, of which `rewrite` makes others, with the built command.
fn directory(rewrite: impl Fn(String) -> String) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in UNITS {
        let text = rewrite(unit(name)).replace(INSTALLED, BUILT);
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

/// What `systemd-analyze` says of the units in `directory`; `None` if it is not installed.
fn analyze(directory: &TempDir, args: &[&str], units: &[&str]) -> Option<Said> {
    let mut command = Command::new("systemd-analyze");
    command.args(args).args(units.iter().map(|name| directory.path().join(name)));
    // No units of a user.
    command.env("HOME", directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match Running::start(&mut command) {
        Ok(running) => Some(finish(running)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Past the capture of a passing test.
            let _ = writeln!(std::io::stderr(), "skipped: unit files, systemd-analyze is not installed");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    const VERIFY: [&str; 2] = ["verify", "--man=no"];
    let Some(said) = analyze(&directory(|unit| unit), &VERIFY, &UNITS) else { return };
    assert_eq!((said.code, &*said.stderr), (Some(0), ""), "{said:?}");
    // An unknown key is a line, and no failure.
    let wrong = directory(|unit| unit.replace("ProtectClock=", "ProtectClok="));
    let said = analyze(&wrong, &VERIFY, &UNITS).unwrap();
    assert!(said.stderr.contains("Unknown key 'ProtectClok'"), "{said:?}");
}

#[test]
fn the_service_has_little_that_it_could_misuse() {
    // Of 100 points of exposure.
    const HARDENED: [&str; 3] = ["security", "--offline=true", "--threshold=20"];
    let Some(said) = analyze(&directory(|unit| unit), &HARDENED, &UNITS[..1]) else { return };
    assert_eq!(said.code, Some(0), "{said:?}");
    let open = directory(|unit| unit.replace("CapabilityBoundingSet=\n", "").replace("DynamicUser=yes\n", ""));
    assert_eq!(analyze(&open, &HARDENED, &UNITS[..1]).unwrap().code, Some(1));
}

/// Sockets of both kinds, as the socket units name them, and the command line of the service.
#[test]
fn the_service_serves_what_its_sockets_are_called() {
    let [service, stream, datagram] = UNITS.map(unit);
    let (line, file) = values(&service, "ExecStart")[0].rsplit_once(' ').unwrap();
    let line = line.strip_prefix(INSTALLED).unwrap();
    let sockets: Vec<_> = values(&service, "Sockets")[0].split(' ').collect();
    assert_eq!(sockets, UNITS[1..]);
    let [stream, datagram] = [&stream, &datagram].map(|unit| values(unit, "FileDescriptorName")[0]);

    let directory = tempfile::tempdir().unwrap();
    let [place, other, own] = ["stream", "datagram", "client"].map(|name| directory.path().join(name));
    let names = format!("--fdname={stream}:{datagram}");
    // The configuration that lies beside the units.
    let config = unit(std::path::Path::new(file).file_name().unwrap().to_str().unwrap());
    let file = directory.path().join("config");
    let admin = directory.path().join("admin.sock").display().to_string();
    let config = config.replace(&format!("/run/{}/admin.sock", values(&service, "RuntimeDirectory")[0]), &admin);
    fs::write(&file, config).unwrap();
    let mut command = Command::new("systemd-socket-activate");
    command.arg("-l").arg(&place).arg("systemd-socket-activate").args(["--datagram", &names, "-l"]).arg(&other);
    command.arg(BUILT).args(line.split_whitespace()).arg(file);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = match Running::start(&mut command) {
        Ok(running) => running,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let _ = writeln!(std::io::stderr(), "skipped: the service, systemd-socket-activate is not installed");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let mut client = until_dialled(|| UnixStream::connect(&place));
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"hello\n").unwrap();
    let server = Serving::watch(2, running);
    let mut answer = [0; 6];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HELLO\n");
    let client = UnixDatagram::bind(own).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"hello", &other).unwrap();
    let len = client.recv(&mut answer).unwrap();
    assert_eq!(&answer[..len], b"HELLO");
    assert!(UnixStream::connect(admin).is_ok());
    server.stop();
}
