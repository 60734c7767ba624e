//! What the list of counters holds.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::super::families::FAMILIES;
use super::*;

#[test]
fn every_field_is_listed_with_its_value() {
    let stats = Stats::default();
    Stats::add(&stats.broken, 2);
    Stats::one(&stats.receive_stalls);
    let snapshot = stats.snapshot();
    let listed: Vec<_> = snapshot.iter().map(|counter| format!("{}: {}", counter.name, counter.value)).collect();
    let fields = format!("{snapshot:?}");
    assert_eq!(fields, format!("Snapshot {{ {} }}", listed.join(", ")));
    for counter in snapshot.iter() {
        let line = !counter.help.is_empty() && !counter.help.contains('\n') && counter.help.trim() == counter.help;
        assert!(line && counter.help.ends_with('.') && counter.unit.ends_with('s'), "{counter:?}");
    }
}

#[test]
fn every_end_is_counted_by_a_counter_of_its_own() {
    let stats = Stats::default();
    for (count, end) in (1..).zip(SessionEnd::ALL) {
        stats.ended(*end);
        let snapshot = stats.snapshot();
        assert_eq!(snapshot.ended(*end), 1, "{end:?}");
        let ends =
            snapshot.iter().filter(|counter| counter.families.iter().any(|(name, _)| *name == "sessions_ended_total"));
        assert_eq!(ends.map(|counter| counter.value).sum::<u64>(), count);
        // The name is the variant in snake case.
        let camel: String = end.name().split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
        assert_eq!(camel, format!("{end:?}"));
    }
    assert_eq!((SessionEnd::ALL.len(), stats.snapshot().handler_errors, stats.snapshot().panics), (13, 1, 1));
}

#[test]
fn every_family_has_counters_and_every_counter_of_one_has_another_label() {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for counter in Snapshot::default().iter() {
        for (name, label) in counter.families {
            let family = FAMILIES.iter().find(|family| family.name == *name);
            let family = family.unwrap_or_else(|| panic!("{}: there is no family {name}", counter.name));
            assert_eq!(family.label.is_empty(), label.is_empty(), "{name} {label}");
            assert!(!found.contains(&(*name, *label)), "{name} has {label:?} twice");
            found.push((*name, *label));
        }
    }
    for family in FAMILIES {
        assert!(found.iter().any(|(name, _)| *name == family.name), "{family:?}");
        assert!(family.name.ends_with("_total") && family.help.ends_with('.'), "{family:?}");
    }
}

#[test]
fn a_counter_has_a_text() {
    let stats = Stats::default();
    Stats::one(&stats.broken);
    let text = |name: &str| stats.snapshot().iter().find(|counter| counter.name == name).unwrap().to_string();
    assert_eq!((text("broken"), text("refused")), ("1 connection broke".into(), "0 connections were refused".into()));
    assert_eq!(text("done"), "sessions done: 0");
}
