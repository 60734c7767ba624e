//! Words that several reports use for the same thing.

use swapwire_core::needs_escape;

use crate::analysis::words::WHOLE_ROUND;
use crate::{Faults, LoadInfo, Run, TargetInfo};

use super::loads::by_load;
use super::units::{COUNT, TIGHT, TIME, percent};

/// Without what a terminal or a page would obey, and as wide as before.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if needs_escape(c) { '\u{fffd}' } else { c }).collect()
}

/// At most `most` characters: the middle gives way, since endpoints differ at both ends.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(1);
    let (head, tail) = (kept / 2, kept - kept / 2);
    chars[..head].iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect()
}

/// The target's name; its number where the run does not list it.
pub(crate) fn name(run: &Run, target: usize) -> String {
    run.targets.get(target).map_or_else(|| format!("target {}", target + 1), |target| clean(&target.name))
}

/// Names of all targets, none longer than `most` (at least 8); those that would look alike have their number in front.
pub(crate) fn short_names(run: &Run, most: usize) -> Vec<String> {
    let short: Vec<_> = (0..run.targets.len()).map(|target| shorten(&name(run, target), most)).collect();
    let twice = |name: &String| short.iter().filter(|other| *other == name).count() > 1;
    let named = |(at, name): (usize, &String)| {
        if twice(name) { shorten(&format!("{}:{name}", at + 1), most) } else { name.clone() }
    };
    short.iter().enumerate().map(named).collect()
}

/// What is known of a target's server.
pub(crate) fn server(target: &TargetInfo) -> &'static str {
    match target.server.as_str() {
        "process" => "a process of its own on this machine",
        "same-process" => "in the generator's own process",
        _ => "elsewhere: its CPU and memory are not known",
    }
}

/// The shape of a target's wire, and what it may do.
pub(crate) fn wire(target: &TargetInfo) -> String {
    let shape = match target.wire.as_str() {
        "" if target.datagrams => "datagrams",
        "datagram" => "datagrams",
        shape => shape,
    };
    let does = if target.datagrams { "may lose, repeat and reorder" } else { "loses nothing" };
    if shape.is_empty() { does.to_owned() } else { format!("{}: {does}", clean(shape)) }
}

/// What the run is about, in a line that tells it from others: `tcp, unix: 64 B, 64 connections, closed loop`.
pub(crate) fn title(run: &Run) -> String {
    const MOST: usize = 5;
    let mut names = short_names(run, 40);
    if names.len() > MOST {
        let more = names.len() - (MOST - 1);
        names.truncate(MOST - 1);
        names.push(format!("{more} more"));
    }
    let loads: Vec<_> = by_load(run).iter().map(|group| load(group.load)).collect();
    let what = match (run.found.first(), loads.as_slice()) {
        (Some(found), _) => format!("highest rates at {}", clean(&found.slo)),
        (None, [one]) => one.clone(),
        (None, several) => format!("{} loads", several.len()),
    };
    format!("{}: {what}", names.join(", "))
}

/// As a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// How the run was asked for; nothing if that is not known.
pub(crate) fn command(run: &Run) -> Option<String> {
    let words: Vec<_> = run.command.iter().map(|word| clean(&quoted(word))).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// `64 B`, `64 B to 1 KiB`, `sizes of PATH`.
pub(crate) fn size(size: &str) -> String {
    let bytes = |text: &str| match text.parse::<u64>() {
        Ok(bytes) if bytes >= 1 << 20 && bytes % (1 << 20) == 0 => format!("{}{TIGHT}MiB", bytes >> 20),
        Ok(bytes) if bytes >= 1024 && bytes % 1024 == 0 => format!("{}{TIGHT}KiB", bytes >> 10),
        _ => format!("{}{TIGHT}B", clean(text)),
    };
    match (size.strip_prefix("file:"), size.split_once("..")) {
        (Some(path), _) => format!("sizes of {}", clean(path)),
        (None, Some((least, most))) => format!("{} to {}", bytes(least), bytes(most)),
        (None, None) => bytes(size),
    }
}

/// `64 B, 64 connections, closed loop`.
pub(crate) fn load(load: &LoadInfo) -> String {
    format!("{}, {}", size(&load.size), without_size(load))
}

/// `64 connections, closed loop`.
pub(crate) fn without_size(load: &LoadInfo) -> String {
    let under_way = match (load.rate_per_s, load.pipeline) {
        (None, 1) => "closed loop".to_owned(),
        (None, pipeline) => format!("closed loop with {pipeline} under way on each"),
        (Some(rate), _) => format!("open loop at {} requests/s", COUNT.chosen(rate)),
    };
    format!("{}, {under_way}", connections(load))
}

/// `64 connections`.
pub(crate) fn connections(load: &LoadInfo) -> String {
    format!("{} connection{}", load.connections, if load.connections == 1 { "" } else { "s" })
}

/// Whether anything went wrong in the measured part. What the system dropped is counted over the whole round: it tells why
/// something was lost, and not that it was.
pub(crate) fn faulty(faults: &Faults) -> bool {
    let seen = [faults.wrong, faults.lost, faults.late, faults.unsent, faults.broken];
    let visible = [faults.duplicated, faults.reordered].into_iter().flatten();
    seen.into_iter().chain(visible).chain(faults.errors.values().copied()).any(|count| count > 0)
}

/// `connect: connection refused × 3`.
pub(crate) fn errors(faults: &Faults) -> String {
    let each = |(kind, count): (&String, &u64)| format!("{} × {}", clean(kind), COUNT.whole(*count));
    faults.errors.iter().map(each).collect::<Vec<_>>().join("; ")
}

/// `12 lost (0.01 %), of which 3 came late, 5 reordered (0.005 %)`: what went wrong; nothing if nothing did. What the system
/// dropped has no share: it is counted over the whole round, and a train as one.
pub(crate) fn faults(faults: &Faults, requests: u64) -> String {
    let counts = [
        ("wrong", Some(faults.wrong)),
        ("lost", Some(faults.lost)),
        ("duplicated", faults.duplicated),
        ("reordered", faults.reordered),
        ("unsent", Some(faults.unsent)),
        ("broken off", Some(faults.broken)),
    ];
    let dropped = [("client", faults.client_drops), ("server", faults.server_drops)];
    let dropped = dropped.into_iter().filter_map(|(whose, count)| {
        let count = COUNT.whole(count.filter(|count| *count > 0)?);
        Some(format!("{count} dropped at the {whose}'s sockets ({WHOLE_ROUND})"))
    });
    let some = |(what, count): (&str, Option<u64>)| {
        let count = count.filter(|count| *count > 0)?;
        let late = if what == "lost" && faults.late > 0 {
            format!(", of which {} came late", COUNT.whole(faults.late))
        } else {
            String::new()
        };
        Some(format!("{} {what} ({}){late}", COUNT.whole(count), percent(count, requests)))
    };
    let errors = (!faults.errors.is_empty()).then(|| format!("errors: {}", errors(faults)));
    counts.into_iter().filter_map(some).chain(dropped).chain(errors).collect::<Vec<_>>().join(", ")
}

/// Why a search found no higher rate.
pub(crate) fn limit(limited_by: &str) -> String {
    match limited_by {
        "objective" => "the objective".to_owned(),
        "rate" => "the server did not keep up".to_owned(),
        "errors" => "errors".to_owned(),
        "client" => "the generator: it may be higher".to_owned(),
        other => clean(other),
    }
}

/// In lines of at most `width` characters, where spaces allow it; all but the first begin with `indent` spaces.
pub(crate) fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
            Some(_) => lines.push(" ".repeat(indent) + word),
        }
    }
    lines.join("\n").replace(TIGHT, " ")
}

/// A time in seconds.
pub(crate) fn seconds(seconds: f64) -> String {
    TIME.chosen(seconds * 1e9)
}

/// `7 rounds of 1 s after 200 ms of warm-up (12k requests, in no other number)`; of a search, its probes.
pub(crate) fn rounds(run: &Run) -> String {
    let settings = &run.settings;
    let count = match settings.rounds {
        _ if !run.found.is_empty() => "probes".to_owned(),
        1 => "1 round".to_owned(),
        rounds => format!("{rounds} rounds"),
    };
    let each = match (settings.duration_s, settings.requests) {
        (Some(duration), _) => format!(" of {}", seconds(duration)),
        (None, Some(1)) => " of 1 request".to_owned(),
        (None, Some(requests)) => format!(" of {} requests", COUNT.chosen(requests as f64)),
        (None, None) => String::new(),
    };
    let probes = run.found.iter().flat_map(|found| &found.probes).map(|probe| &probe.round);
    let rounds = run.cells.iter().flat_map(|cell| &cell.rounds).chain(probes);
    let warmup = match rounds.map(|round| round.warmup_requests).sum::<u64>() {
        0 => String::new(),
        requests => format!(" ({} requests, in no other number)", COUNT.whole(requests)),
    };
    match settings.warmup_s {
        0.0 => format!("{count}{each} without a warm-up"),
        time => format!("{count}{each} after {} of warm-up{warmup}", seconds(time)),
    }
}

/// `Linux 6.1, AMD EPYC, 2 processors`.
pub(crate) fn machine(run: &Run) -> String {
    let plural = if run.machine.cpus == 1 { "" } else { "s" };
    let known = [clean(&run.machine.os), clean(&run.machine.cpu), format!("{} processor{plural}", run.machine.cpus)];
    known.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// `2026-11-22 20:54 UTC`.
pub(crate) fn date(unix_s: u64) -> String {
    // Days into eras of 400 years that begin on the 1st of March, so that a leap day is the last of its year.
    let (days, minutes) = (unix_s / 86_400 + 719_468, unix_s % 86_400 / 60);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// Where a run comes from, as pairs of a name and what it is.
pub(crate) fn origin(run: &Run) -> Vec<(&'static str, String)> {
    let begun = format!("{}, took {}", date(run.started_unix_s), seconds(run.elapsed_s));
    let known = [("Tool", clean(&run.tool)), ("Begun", begun), ("Machine of the generator", machine(run))];
    command(run).map(|command| ("Command", command)).into_iter().chain(known).collect()
}

/// What was asked for, as pairs of a name and what it is.
pub(crate) fn facts(run: &Run) -> Vec<(&'static str, String)> {
    let settings = &run.settings;
    let generator = [
        Some(format!("{} thread{}", settings.threads, if settings.threads == 1 { "" } else { "s" })),
        (!settings.pin.is_empty()).then(|| format!("bound to processors {:?}", settings.pin)),
        settings.spin.then(|| "polling instead of sleeping".to_owned()),
        Some(format!("seed {}", settings.seed)),
    ];
    let timeout = match settings.timeout_s {
        Some(timeout) => seconds(timeout),
        None => "1 s on wires that may lose messages, 5 s on others".to_owned(),
    };
    let mut facts = vec![
        ("Measured", rounds(run)),
        ("Generator", generator.into_iter().flatten().collect::<Vec<_>>().join(", ")),
        ("A right reply", clean(&settings.expect)),
        ("A reply counts as lost after", timeout),
    ];
    let streams = run.targets.iter().any(|target| matches!(target.wire.as_str(), "" | "byte stream"));
    if streams {
        facts.push(("Framing on byte streams", clean(&settings.framing)));
    }
    if let Some(message) = &settings.message {
        facts.push(("Every request holds", shorten(&clean(message), 200)));
    }
    if !settings.sources.is_empty() {
        facts.push(("Connections come from", clean(&settings.sources.join(", "))));
    }
    if let Some(handler) = &settings.handler {
        facts.push(("Handler of the servers", clean(handler)));
    }
    if settings.ramp_s > 0.0 {
        facts.push(("Connections are opened over", seconds(settings.ramp_s)));
    }
    if let Some(replies) = settings.reconnect_every {
        facts.push(("Each connection is opened anew after", format!("{replies} replies")));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_long_as_they_may_be() {
        assert_eq!(wrap("one two three", 7, 2), "one two\n  three");
        assert_eq!(wrap("one twothreefour", 7, 0), "one\ntwothreefour", "a word is never cut");
    }

    #[test]
    fn what_went_wrong_is_said_with_its_share_and_nothing_else_is() {
        let some = Faults {
            lost: 5,
            late: 2,
            reordered: Some(0),
            client_drops: Some(0),
            server_drops: Some(4),
            errors: [("connect: refused".to_owned(), 3)].into(),
            ..Faults::default()
        };
        let said = faults(&some, 1000).replace(TIGHT, " ");
        let lost = "5 lost (0.500 %), of which 2 came late";
        let dropped = "4 dropped at the server's sockets (in the whole round, warm-up included)";
        assert_eq!(said, format!("{lost}, {dropped}, errors: connect: refused × 3"));
        assert!(faulty(&some));
        assert!(!faulty(&Faults { duplicated: Some(0), ..Faults::default() }));
        assert!(
            !faulty(&Faults { client_drops: Some(5), ..Faults::default() }),
            "nothing was lost in the measured part"
        );
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_399), "2000-02-28 23:59 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_795_380_855), "2026-11-22 20:54 UTC");
    }

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(clean("a\u{1b}[31mb\u{202e}c\n"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
    }

    #[test]
    fn a_title_tells_runs_apart_and_a_command_can_be_called_again() {
        let mut run =
            Run { targets: vec![TargetInfo { name: "tcp".to_owned(), ..TargetInfo::default() }], ..Run::default() };
        let load = |size: &str| LoadInfo { size: size.to_owned(), connections: 64, pipeline: 1, rate_per_s: None };
        run.cells = vec![crate::Cell { load: load("64"), ..crate::Cell::default() }];
        assert_eq!(title(&run).replace(TIGHT, " "), "tcp: 64 B, 64 connections, closed loop");
        run.cells.push(crate::Cell { load: load("128"), ..crate::Cell::default() });
        run.targets = vec![run.targets[0].clone(); 7];
        assert_eq!(title(&run), "1:tcp, 2:tcp, 3:tcp, 4:tcp, 3 more: 2 loads");
        assert_eq!(command(&run), None);
        run.command = ["swapwire", "bench", "tcp://[::1]:7", "", "it's\u{1b}"].map(str::to_owned).to_vec();
        assert_eq!(command(&run).unwrap(), "swapwire bench 'tcp://[::1]:7' '' 'it'\\''s\u{fffd}'");
    }

    #[test]
    fn a_socket_of_datagrams_is_no_stream() {
        let target = |wire: &str, datagrams| TargetInfo { wire: wire.to_owned(), datagrams, ..TargetInfo::default() };
        assert_eq!(wire(&target("byte stream", false)), "byte stream: loses nothing");
        assert_eq!(wire(&target("datagram", false)), "datagrams: loses nothing");
        assert_eq!(wire(&target("datagram", true)), "datagrams: may lose, repeat and reorder");
        assert_eq!(wire(&target("", true)), "datagrams: may lose, repeat and reorder");
        assert_eq!(wire(&target("", false)), "loses nothing", "a file of an earlier version does not tell");
    }

    #[test]
    fn long_names_stay_apart() {
        let target = |name: &str| TargetInfo { name: name.to_owned(), ..TargetInfo::default() };
        let names = ["tcp", "tcp://one.example.com/aaaaaaaa:4000", "tcp://one.example.org/bbbbbbbb:4000"];
        let run = Run { targets: names.map(target).to_vec(), ..Run::default() };
        let short = short_names(&run, 12);
        assert_eq!(short[0], "tcp");
        assert_ne!(short[1], short[2]);
        assert!(short.iter().all(|name| name.chars().count() <= 12), "{short:?}");
    }

    #[test]
    fn loads_are_described_in_words() {
        let closed = LoadInfo { size: "1024".to_owned(), connections: 1, pipeline: 8, rate_per_s: None };
        assert_eq!(load(&closed).replace(TIGHT, " "), "1 KiB, 1 connection, closed loop with 8 under way on each");
        let open = LoadInfo { size: "64..1000".to_owned(), connections: 64, pipeline: 8, rate_per_s: Some(10_000.0) };
        assert_eq!(load(&open).replace(TIGHT, " "), "64 B to 1000 B, 64 connections, open loop at 10k requests/s");
    }
}
