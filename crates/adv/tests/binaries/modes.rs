//! Every other mode against a server that stands it, and one that does not.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::common::{adv, dir, echo, lines, tcp, tcp_echo, udp, udp_echo, unix, unix_dgram_echo};

/// Reads for so long, and closes cleanly.
fn closes_after(time: Duration) -> String {
    tcp(move |_, mut stream| {
        stream.set_read_timeout(Some(Duration::from_millis(10)))?;
        let begun = std::time::Instant::now();
        while begun.elapsed() < time {
            let _ = stream.read(&mut [0; 64]);
        }
        Ok(())
    })
}

#[test]
fn hold_asks_all_that_stayed() {
    let (_dir, path) = dir();
    for endpoint in [tcp_echo(), unix(&path("streams"), echo)] {
        let run = adv(&format!("hold {endpoint} -n 50 --hold-for 50ms --ask --concurrency 8"));
        run.assert_ok();
        assert_eq!((run.number("opened"), run.number("answered")), (50, 50), "{run:?}");
    }
    // Every fifth is closed at once.
    let endpoint = tcp(|number, stream| if number % 5 == 0 { Ok(()) } else { echo(stream) });
    let run = adv(&format!("hold {endpoint} -n 50 --hold-for 200ms --ask"));
    assert_eq!((run.code, run.number("answered")), (1, 40), "{run:?}");
    adv(&format!("hold {endpoint} -n 50 --hold-for 200ms --ask --least 40")).assert_ok();
}

#[test]
fn hold_uses_many_source_addresses() {
    let seen = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let noted = seen.clone();
    let endpoint = tcp(move |_, stream| {
        noted.lock().unwrap().insert(stream.peer_addr()?.ip().to_string());
        echo(stream)
    });
    adv(&format!("hold {endpoint} -n 6 --hold-for 0s --ask --src 127.0.0.2 --src 127.0.0.3")).assert_ok();
    assert_eq!(seen.lock().unwrap().iter().collect::<Vec<_>>(), ["127.0.0.2", "127.0.0.3"]);
}

#[test]
fn drip_and_stall_see_when_they_are_closed() {
    let endpoint = closes_after(Duration::from_secs(1));
    for mode in ["drip --every 50ms", "stall-handshake"] {
        let run = adv(&format!("{mode} {endpoint} -n 5 --closed-within 200ms..60s"));
        run.assert_ok();
        assert_eq!((run.number("closed"), run.number("still_open")), (5, 0), "{run:?}");
        let run = adv(&format!("{mode} {endpoint} -n 5 --closed-within 0ms..50ms"));
        assert_eq!(run.code, 1, "too late: {run:?}");
    }
    let run = adv(&format!("drip {} -n 5 --every 50ms --for 300ms --closed-within 0ms..200ms", tcp_echo()));
    assert_eq!((run.code, run.number("still_open")), (1, 5), "never: {run:?}");
}

/// A server that closes each connection when it has heard the first word, or at once if none is to come.
#[test]
fn who_stalls_says_a_first_word_and_comes_again() {
    for (say, word) in [(String::new(), &b""[..]), (r" --say a\x16".to_owned(), b"a\x16")] {
        let count = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counted = count.clone();
        let endpoint = tcp(move |_, mut stream| {
            let mut heard = vec![0; word.len()];
            stream.read_exact(&mut heard)?;
            assert_eq!(heard, word);
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            // So that those who come again are few.
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        });
        let run = adv(&format!("stall-handshake {endpoint} -n 3 --again --for 2s{say}"));
        run.assert_ok();
        let (again, served) = (run.number("came_again"), count.load(std::sync::atomic::Ordering::Relaxed));
        assert!(again > 0 && run.number("opened") == again + 3, "{run:?}");
        assert!(served.abs_diff(again + 3) <= 3 && run.number("closed") > 0, "{served}: {run:?}");
    }
    let run = adv(&format!("stall-handshake {} -n 3", closes_after(Duration::ZERO)));
    assert_eq!((run.number("came_again"), run.number("closed")), (0, 3), "{run:?}");
}

#[test]
fn noread_sees_when_it_is_closed() {
    // Replies until the peer has taken nothing for 200 ms.
    let endpoint = tcp(|_, mut stream| {
        stream.set_write_timeout(Some(Duration::from_millis(200)))?;
        let mut buffer = [0; 65536];
        loop {
            let len = stream.read(&mut buffer)?;
            stream.write_all(&buffer[..len])?;
        }
    });
    let run = adv(&format!("noread {endpoint} -n 3 --receive-buffer 4k --closed-within 100ms..60s"));
    run.assert_ok();
    assert!(run.number("written_bytes/min") > 1000 && run.number("heard_bytes") == 0, "{run:?}");
    let run = adv(&format!("noread {} -n 3 --ask 1k --for 1s --closed-within 0ms..100ms", tcp_echo()));
    assert_eq!((run.code, run.number("written_bytes/max")), (1, 1024), "{run:?}");
}

#[test]
fn a_crowd_greets_before_it_does_anything_and_wants_an_answer() {
    // Answers in two pieces; every third not at all.
    let endpoint = tcp(|number, mut stream| {
        let mut greeting = [0; 9];
        stream.read_exact(&mut greeting)?;
        assert_eq!(&greeting, b"upgrade\r\n");
        if number % 3 == 0 {
            return Ok(());
        }
        stream.write_all(b"yes\r\nto all\r\n\r")?;
        stream.write_all(b"\n")?;
        echo(stream)
    });
    let run = adv(&format!(r"hold {endpoint} -n 9 --hold-for 50ms --ask --greet upgrade\r\n"));
    assert_eq!((run.code, run.number("opened"), run.number("answered")), (1, 6, 6), "{run:?}");
    adv(&format!(r"hold {endpoint} -n 9 --hold-for 50ms --ask --greet upgrade\r\n --least 6")).assert_ok();
}

#[test]
fn churn_tells_good_connections_from_bad() {
    let (_dir, path) = dir();
    for endpoint in [tcp_echo(), unix(&path("streams"), echo), udp_echo(), unix_dgram_echo(&path("datagrams"))] {
        let run = adv(&format!("churn {endpoint} -n 200"));
        run.assert_ok();
        assert_eq!(run.number("good"), 200, "{run:?}");
    }
    let endpoint = lines(|connection, _, line| if connection % 4 == 0 { b"no\n".to_vec() } else { line.to_vec() });
    let run = adv(&format!("churn {endpoint} -n 40 --timeout 3s"));
    assert_eq!((run.code, run.number("good")), (1, 30), "{run:?}");
    adv(&format!("churn {endpoint} -n 40 --silent")).assert_ok();
}

#[test]
fn rst_ends_with_a_look_whether_the_server_lives() {
    for flags in ["", "--before-accept"] {
        let run = adv(&format!("rst {} -n 200 --seed 1 {flags}", tcp_echo()));
        run.assert_ok();
        assert_eq!(run.number("resets"), 200, "{run:?}");
    }
    // One that falls silent when it has seen as many resets.
    let endpoint = tcp(|number, stream| {
        if number < 20 {
            return echo(stream);
        }
        thread::sleep(Duration::from_secs(60));
        Ok(())
    });
    let run = adv(&format!("rst {endpoint} -n 20 --concurrency 1 --timeout 200ms"));
    assert!(run.code == 1 && run.json["alive"] == false, "{run:?}");
}

#[test]
fn halfclose_wants_the_whole_reply_and_the_end() {
    let run = adv(&format!("halfclose {} -n 50 --bytes 20k --size 40..300", tcp_echo()));
    run.assert_ok();
    assert_eq!(run.number("whole"), 50, "{run:?}");
    // Takes the end of the input for the end of everything.
    let hasty = tcp(|_, mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        stream.write_all(&all[..all.len() / 2])
    });
    let run = adv(&format!("halfclose {hasty} -n 5"));
    let fault = run.fault();
    assert!(fault.starts_with("5 not; the first: 1 of 1 replies missing, and cut within one"), "{fault}");
    // Never closes.
    let open = tcp(|_, stream| {
        echo(&stream)?;
        thread::sleep(Duration::from_secs(60));
        Ok(())
    });
    let run = adv(&format!("halfclose {open} -n 2 --timeout 2s"));
    let fault = run.fault();
    assert!(fault.contains("no end behind the whole reply"), "{fault}");
}

#[test]
fn pipeline_wants_every_reply_however_late_it_reads() {
    let run = adv(&format!("pipeline {} 300k -n 3 --size 1k --stuck 5s", tcp_echo()));
    run.assert_ok();
    assert_eq!((run.number("whole"), run.number("taken_bytes/max")), (3, 300 << 10), "{run:?}");
    // Closes with unread input, before the last reply.
    let rude = tcp(|_, stream| {
        let (mut input, mut output) = (BufReader::with_capacity(1024, stream.try_clone()?), stream);
        for _ in 1..1500 {
            let mut line = Vec::new();
            input.read_until(b'\n', &mut line)?;
            output.write_all(&line)?;
        }
        Ok(())
    });
    let run = adv(&format!("pipeline {rude} 1500k -n 2 --size 1k --junk 1M --stuck 50ms"));
    assert_eq!((run.code, run.number("whole")), (1, 0), "{run:?}");
    // Closes upon a line that is too long, and reads what is left.
    let polite = |stream: TcpStream| {
        stream.shutdown(std::net::Shutdown::Write)?;
        io::copy(&mut &stream, &mut io::sink()).map(drop)
    };
    let endpoint = tcp(move |_, stream| {
        let mut input = BufReader::with_capacity(1024, stream.try_clone()?);
        loop {
            let mut line = Vec::new();
            io::Read::take(&mut input, 2048).read_until(b'\n', &mut line)?;
            if !line.ends_with(b"\n") {
                return polite(stream);
            }
            (&stream).write_all(&line)?;
        }
    });
    adv(&format!("pipeline {endpoint} 1500k -n 2 --size 1k --junk 1M --stuck 50ms")).assert_ok();
}

#[test]
fn pipeline_without_waiting_measures_what_a_server_takes() {
    let deaf = tcp(|_, _stream| {
        thread::sleep(Duration::from_secs(60));
        Ok(())
    });
    let run = adv(&format!("pipeline {deaf} 64M --no-wait --size 1k --stuck 100ms"));
    run.assert_ok();
    assert!(run.number("taken_bytes/max") < 64 << 20, "{run:?}");
    let run = adv(&format!("pipeline {} 100k --no-wait --size 1k --most 50k --stuck 100ms", tcp_echo()));
    assert_eq!(run.code, 1, "{run:?}");
}

#[test]
fn garbage_is_survived() {
    let (_dir, path) = dir();
    for endpoint in [tcp_echo(), unix(&path("streams"), echo), udp_echo(), unix_dgram_echo(&path("datagrams"))] {
        let run = adv(&format!("garbage {endpoint} -n 500 --seed 3"));
        run.assert_ok();
        assert!(run.number("frames") > 450 && run.number("connections") == 50, "{run:?}");
        let run = adv(&format!("garbage {endpoint} --empty-frames 1k --concurrency 4"));
        run.assert_ok();
        assert_eq!((run.number("frames"), run.number("connections")), (1000, 4), "{run:?}");
    }
    let run = adv(&format!("garbage {} -n 100 --framing length --concurrency 4", tcp_echo()));
    run.assert_ok();
    // One that stays open when the peer has ended.
    let open = tcp(|_, stream| {
        thread::sleep(Duration::from_secs(60));
        drop(stream);
        Ok(())
    });
    let run = adv(&format!("garbage {open} -n 10 --timeout 100ms"));
    assert_eq!((run.code, run.number("open_at_the_end")), (1, 1), "{run:?}");
}

#[test]
fn a_claim_must_be_refused() {
    let claim = |endpoint: &str, timeout| {
        let flags = "-n 5 --framing length --claim 3GiB --concurrency 5";
        adv(&format!("garbage {endpoint} {flags} --timeout {timeout}"))
    };
    let careful = tcp(|_, mut stream| {
        let mut header = [0; 4];
        stream.read_exact(&mut header)?;
        let mut message = vec![0; u32::from_be_bytes(header) as usize & 0xffff];
        if u32::from_be_bytes(header) > 1 << 20 {
            return Ok(());
        }
        stream.read_exact(&mut message)?;
        stream.write_all(&header)?;
        stream.write_all(&message)
    });
    let run = claim(&careful, "10s");
    run.assert_ok();
    assert_eq!(run.number("closed_early"), 5, "{run:?}");
    let run = claim(&tcp_echo(), "100ms");
    assert_eq!((run.code, run.number("open_at_the_end")), (1, 5), "{run:?}");
}

#[test]
fn a_long_message_is_taken_whole_or_not_at_all() {
    adv(&format!("garbage {} --long 70k -n 20", tcp_echo())).assert_ok();
    adv(&format!("garbage {} --long 2000 -n 20 --concurrency 1", udp_echo())).assert_ok();
    let careless = udp(|_, datagram| vec![datagram[..datagram.len().min(1000)].to_vec()]);
    let run = adv(&format!("garbage {careless} --long 2000 -n 200 --concurrency 1 --per-connection 20"));
    assert!(run.code == 1 && run.fault().contains("taken for shorter ones"), "{run:?}");
}

#[test]
fn spoofed_sources_are_distinct_and_amplification_is_seen() {
    let run = adv(&format!("udp-spoof {} -n 500 --rate 20k --open 100 --settle 1s", udp_echo()));
    run.assert_ok();
    assert_eq!(run.number("sources"), 500, "{run:?}");
    assert!(run.number("answered") > 0 && run.number("most_to_one") == 1, "{run:?}");
    let loud = udp(|_, datagram| if datagram.len() == 1 { vec![vec![7; 65]] } else { vec![datagram.to_vec()] });
    let run = adv(&format!("udp-spoof {loud} -n 10 --settle 3s"));
    assert_eq!((run.code, run.number("most_to_one")), (1, 65), "{run:?}");
    adv(&format!("udp-spoof {loud} -n 10 --settle 100ms --ratio 65")).assert_ok();
}

#[test]
fn watch_looks_at_a_process_until_it_ends() {
    let (_dir, path) = dir();
    let csv = path("watch.csv");
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let (pid, lines) = (child.id(), csv.clone());
    // It ends when it was looked at so often, and has ended when it was waited for.
    let ended = thread::spawn(move || {
        while !std::fs::read_to_string(&lines).is_ok_and(|text| text.lines().count() > 6) {
            thread::sleep(Duration::from_millis(10));
        }
        child.wait()
    });
    let run = adv(&format!("watch {pid} --every 20ms --csv {csv}"));
    run.assert_ok();
    assert!(ended.join().unwrap().unwrap().success());
    let looks = run.number("rss_kib/looks");
    let text = std::fs::read_to_string(csv).unwrap();
    assert!(text.starts_with("elapsed_s,rss_kib,fds,threads,cpu_percent\n"), "{text}");
    assert!(looks > 5 && text.lines().count() as u64 == looks + 1, "{text}");
    let run = adv(&format!("watch {} --every 20ms --for 60ms --max-rss 1k --max-fds 1", std::process::id()));
    assert_eq!((run.code, run.json["faults"].as_array().unwrap().len()), (1, 2), "{run:?}");
}
