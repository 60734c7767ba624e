//! Called wrongly, both programs say in one line what would be right.

use crate::common::{misuse, tcp_echo};

#[test]
fn misuse_is_one_line_and_exit_code_2() {
    for (program, line, problem) in [
        ("adv", "verify", "<ENDPOINT>"),
        ("adv", "verify mem:a", "write tcp://HOST:PORT"),
        ("adv", "verify tcp://127.0.0.1:1 --size 39", "size 39: write at least 40"),
        ("adv", "verify tcp://127.0.0.1:1 --size 90..80", "write the smaller one first"),
        ("adv", "verify tcp://127.0.0.1:1 --signal 1", "--until-closed"),
        ("adv", "hold udp://127.0.0.1:1", "hold udp://127.0.0.1:1: write a tcp or unix endpoint"),
        ("adv", "hold tcp://127.0.0.1:1 -n 1G", "1000000000 sockets at once"),
        ("adv", "drip tcp://127.0.0.1:1 --every 0", "write a time above 0"),
        ("adv", "udp-spoof tcp://127.0.0.1:1", "write a udp endpoint"),
        ("adv", "udp-spoof udp://127.0.0.1:1 --src-net ::1/64", "same family"),
        ("adv", "udp-spoof udp://127.0.0.1:1 --src-net 127.0.0.1/32 -n 1M", "the network has 64512 sources"),
        ("adv", "garbage tcp://127.0.0.1:1 --claim 4k", "write --framing length"),
        ("adv", "garbage tcp://127.0.0.1:1 --framing raw --empty-frames 3", "raw bytes have no frames"),
        ("faultproxy", "tcp://127.0.0.1:0 udp://127.0.0.1:1", "write two streams, or two datagram sockets"),
        ("faultproxy", "tcp://127.0.0.1:0 tcp://127.0.0.1:1 --drop 2", "write a chance from 0 to 1"),
        ("faultproxy", "tcp://127.0.0.1:0", "<CONNECT>"),
    ] {
        let (code, stderr) = misuse(program, line);
        assert_eq!(code, 2, "{program} {line}: {stderr}");
        assert!(stderr.contains(problem), "{program} {line}: {stderr}");
        assert!(stderr.starts_with(&format!("{program}: ")) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn what_cannot_be_done_is_exit_code_1() {
    let (code, stderr) = misuse("adv", "watch 4294967295");
    assert_eq!(
        (code, stderr.as_str()),
        (1, "adv: look at process 4294967295: No such file or directory (os error 2)\n")
    );
    let (code, stderr) = misuse("faultproxy", "unix:/no/such/dir/a unix:/no/such/dir/b");
    assert_eq!(code, 1);
    assert!(stderr.starts_with("faultproxy: listen unix:/no/such/dir/a: No such file or directory"), "{stderr}");
}

#[test]
fn the_deadline_ends_a_run() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_adv"))
        .args(["hold", &tcp_echo(), "--hold-for=1h", "--deadline=200ms"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("fault: not done at the deadline of 200ms"), "{text}");
}
