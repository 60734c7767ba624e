//! Subjects of a NATS broker. A test whose broker is not installed says so and passes.

#![cfg(all(unix, feature = "nats"))]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use crate::broker::real::Broker;
use crate::common::bench::{bench, read};
use crate::common::{Serving, connect, run};

/// A file that only its owner reads.
fn secret(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// A place where nobody listens.
fn nobody() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("127.0.0.1:{port}")
}

/// The line that the command says, without its name, and its exit code.
fn line(args: &[&str]) -> (Option<i32>, String) {
    let said = run(args, "");
    assert_eq!(said.text(), "", "{said:?}");
    (said.code, said.line().trim_start_matches("swapwire: ").to_owned())
}

#[test]
fn what_is_wrong_with_an_endpoint_is_told_before_a_broker_is_asked() {
    let place = nobody();
    let cases = [
        ("/a%20b", "no blanks"),
        ("/a.*", "no wildcards (* and >): a handler is not told"),
        ("/a..b", "an empty token"),
        ("", "no subject; write it behind the port, as in nats://127.0.0.1:4222/orders.new"),
        ("/x?backlog=1", "unknown option \"backlog\""),
        ("/x?ca=c&tls=false", "ca= has no meaning with tls=false"),
        ("/x?creds=c&token_file=t", "leave out the others"),
    ];
    for (rest, part) in cases {
        for command in ["serve", "connect"] {
            let endpoint = format!("nats://{place}{rest}");
            let (code, line) = line(&[command, &endpoint]);
            assert!(line.contains(part), "{command} {endpoint}: {line}");
            assert_eq!(code, Some(2), "{command} {endpoint}: {line}");
        }
    }
    let (code, several) = line(&["serve", "--workers", "2", &format!("nats://{place}/x")]);
    assert_eq!(code, Some(2), "{several}");
    assert!(several.ends_with(
        "each of 2 workers would get every message: add queue=NAME, which shares them, or serve with one worker"
    ));
    let (code, sessions) = line(&["serve", "--handler", "chat", &format!("nats://{place}/x?queue=q")]);
    assert!(code == Some(2) && sessions.contains("the handler needs sessions"), "{sessions}");
    let (code, twice) = line(&["connect", &format!("nats://{place}/x?queue=q")]);
    assert_eq!((code, twice.ends_with("option \"queue\" is for binding only")), (Some(2), true), "{twice}");
}

#[test]
fn a_password_in_an_endpoint_is_refused_and_not_shown() {
    for command in ["serve", "connect", "bench"] {
        for endpoint in
            ["nats://ada:SECRET@127.0.0.1:4222/x", "nats://127.0.0.1:4222/x?servers=ada:SECRET@127.0.0.1:4223"]
        {
            let said = run(&[command, endpoint], "");
            // A measurement learns of options of its clients when it connects.
            let is_late = command == "bench" && endpoint.contains("servers");
            assert_eq!(said.code, Some(if is_late { 1 } else { 2 }), "{said:?}");
            assert!(said.stderr.contains("user_file=FILE") && !said.stderr.contains("SECRET"), "{said:?}");
        }
    }
}

#[test]
fn nobody_there_is_told_at_once_with_what_would_be_right() {
    let place = nobody();
    let endpoint = format!("nats://{place}/x?queue=q");
    let there = format!("{place}: no broker there: connection refused");
    let right = format!("bind {endpoint}: {there}; start it, or serve as soon as it is there with wait=true");
    assert_eq!(line(&["serve", &endpoint]), (Some(1), right));
    let (code, said) = line(&["connect", &format!("nats://{place}/x")]);
    assert_eq!((code, said.ends_with(&there)), (Some(1), true), "{said}");
    // One that is no broker.
    let server = Serving::start(1, &["tcp://127.0.0.1:0", "--handler", "daytime"]);
    let place = server.endpoints[0].trim_start_matches("tcp://").to_owned();
    let (code, said) = line(&["connect", &format!("nats://{place}/x")]);
    assert!(code == Some(1) && said.contains(&format!("{place}: this is no NATS broker: it said \"")), "{said}");
    server.stop();
}

#[test]
fn limits_of_a_source_are_refused_for_such_a_listener_and_remarked_on_for_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let file = |text: &str| {
        let path = directory.path().join("swapwire.toml");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let own = file("[[listen]]\nendpoint = \"nats://127.0.0.1/x?queue=q\"\nlimits.source_rate = 5\n");
    let said = run(&["serve", "--config", &own, "--check"], "");
    assert!(said.code == Some(2) && said.stderr.contains("source_rate"), "{said:?}");
    assert!(said.stderr.contains("limits each source, and nats has none: leave it out"), "{said:?}");

    let servers = file(
        "[limits]\nmax_per_source = 5\n[[listen]]\nendpoint = \"nats://127.0.0.1/x?queue=q\"\n\
         [[listen]]\nendpoint = \"nats://127.0.0.1/y?queue=q\"\n[[listen]]\nendpoint = \"tcp://127.0.0.1:0\"\n",
    );
    let said = run(&["serve", "--config", &servers, "--check"], "");
    assert_eq!(said.code, Some(0), "{said:?}");
    let remark = |subject: &str| {
        let why = "each request has another address here, so these limits do not apply: max_per_source";
        format!("swapwire: nats://127.0.0.1:4222/{subject}?queue=q: {why}\n")
    };
    assert_eq!(said.stderr, remark("x") + &remark("y"));
    assert_eq!(said.text().lines().count(), 3, "{said:?}");
}

#[test]
fn what_is_said_at_one_end_of_a_broker_is_answered_at_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::start("authorization { user: ada, password: s3cret }") else { return };
    let user = secret(&directory, "user", "ada\ns3cret\n");
    let bound = broker.endpoint(&format!("upper?queue=q&user_file={user}"));
    let server = Serving::start(1, &[&bound, "--workers", "2"]);
    // Without what only the server may know.
    assert_eq!(server.endpoints, [broker.endpoint("upper")]);
    let dialled = broker.endpoint(&format!("upper?user_file={user}"));
    let said = connect(&dialled, "hello\nworld\n");
    let mut answers: Vec<_> = said.text().lines().collect();
    answers.sort_unstable();
    assert_eq!((said.code, answers), (Some(0), vec!["HELLO", "WORLD"]), "{said:?}");

    let (code, refused) = line(&["connect", &broker.endpoint("upper")]);
    let help = "the broker says: Authorization Violation; name a file that says who this client is: user_file=, token_file= or creds=";
    assert!(code == Some(1) && refused.ends_with(help), "{refused}");
    fs::set_permissions(&user, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, open) = line(&["connect", &dialled]);
    assert!(code == Some(2) && open.contains("every user can read it (mode 644): chmod 640 "), "{open}");
    server.stop();
}

#[test]
fn a_server_at_a_broker_is_measured_beside_others_in_one_table() {
    let Some(broker) = Broker::start("") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (json, html) = (directory.path().join("run.json"), directory.path().join("page.html"));
    let out = ["--json", json.to_str().unwrap(), "--html", html.to_str().unwrap()];
    let said = bench(&[&["tcp", "udp", &broker.endpoint("x"), "-n", "100"][..], &out].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    let names: Vec<_> = read(&json).targets.iter().map(|target| target.name.clone()).collect();
    assert_eq!(names, ["tcp", "udp", "nats"]);
    let has = |text: &str| ["tcp", "udp", "nats"].iter().all(|name| text.contains(name));
    assert!(has(said.text()) && has(&fs::read_to_string(Path::new(&html)).unwrap()), "{said:?}");

    // Alone it is a server that runs already, unless one is asked for.
    let own = bench(&["--self", &broker.endpoint("x"), "-n", "100"]);
    assert_eq!(own.code, Some(0), "{own:?}");
    let bare = bench(&["nats"]);
    assert!(
        bare.code == Some(2) && bare.line().contains("a server there needs a broker that runs; write where"),
        "{bare:?}"
    );
}

/// A server and a client that say the same of themselves to a broker of this configuration.
fn converse(config: &str, host: &str, options: &str) {
    let Some(broker) = Broker::start(config) else { return };
    let endpoint = broker.endpoint("upper").replace("127.0.0.1", host);
    let server = Serving::start(1, &[&format!("{endpoint}?queue=q&{options}"), "--workers", "1"]);
    let said = connect(&format!("{endpoint}?{options}"), "hello\n");
    assert_eq!((said.code, said.text()), (Some(0), "HELLO\n"), "{config}: {said:?}");
    let refused = connect(&endpoint, "hello\n");
    assert!(refused.code != Some(0) && refused.text().is_empty(), "{config}: {refused:?}");
    server.stop();
}

#[test]
fn a_token_a_key_and_a_certificate_are_what_a_real_broker_takes() {
    let directory = tempfile::tempdir().unwrap();
    let token = secret(&directory, "token", "t0ken\n");
    converse("authorization { token: t0ken }", "127.0.0.1", &format!("token_file={token}"));
    // The example of the documentation of NATS.
    let seed = secret(&directory, "seed", "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n");
    let public = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let config = format!("authorization {{ users: [ {{ nkey: {public} }} ] }}");
    converse(&config, "127.0.0.1", &format!("creds={seed}"));
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let cert = secret(&directory, "cert", &signed.cert.pem());
    let key = secret(&directory, "key", &signed.signing_key.serialize_pem());
    converse(&format!("tls {{ cert_file: '{cert}', key_file: '{key}' }}"), "localhost", &format!("ca={cert}"));
}
