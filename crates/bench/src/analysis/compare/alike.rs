//! Whether two runs were made under the same conditions.

use std::fmt::Display;

use crate::Run;

/// Each difference that matters, as `threads 1 and 2`.
pub(super) fn differences(before: &Run, after: &Run) -> Vec<String> {
    let before = conditions(before).into_iter();
    before
        .zip(conditions(after))
        .filter(|(before, after)| before != after)
        .map(|((name, before), (_, after))| format!("{name} {before} and {after}"))
        .collect()
}

fn conditions(run: &Run) -> [(&'static str, String); 10] {
    let settings = &run.settings;
    let pin = settings.pin.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    [
        ("expect", settings.expect.clone()),
        ("message", or_none(settings.message.as_ref())),
        ("framing", settings.framing.clone()),
        ("timeout", or_none(settings.timeout_s.map(|seconds| format!("{seconds} s")).as_ref())),
        ("reconnect-every", or_none(settings.reconnect_every.as_ref())),
        ("handler", or_none(settings.handler.as_ref())),
        ("threads", settings.threads.to_string()),
        ("pin", or_none(Some(&pin).filter(|pin| !pin.is_empty()))),
        ("spin", if settings.spin { "on" } else { "off" }.to_owned()),
        ("processors", run.machine.cpus.to_string()),
    ]
}

fn or_none(value: Option<&impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), ToString::to_string)
}
