//! A run's cells by load.

use crate::{Cell, LoadInfo, Ratio, Round, Run};

/// The cells of one load, a target each, in the run's order.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) load: &'a LoadInfo,
    pub(crate) cells: Vec<&'a Cell>,
}

impl Group<'_> {
    /// A target's ratio under this load.
    pub(crate) fn ratio<'r>(&self, run: &'r Run, target: usize, metric: &str) -> Option<&'r Ratio> {
        run.ratios.iter().find(|ratio| ratio.target == target && ratio.metric == metric && ratio.load == *self.load)
    }
}

/// All loads, in the order in which they first appear.
pub(crate) fn by_load(run: &Run) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for cell in &run.cells {
        match groups.iter_mut().find(|group| *group.load == cell.load) {
            Some(group) => group.cells.push(cell),
            None => groups.push(Group { load: &cell.load, cells: vec![cell] }),
        }
    }
    groups
}

/// Loads that differ in the size of their requests alone, where there are several sizes; the sizes in their order.
pub(crate) fn by_size(run: &Run) -> Vec<Vec<Group<'_>>> {
    let mut families: Vec<Vec<Group<'_>>> = Vec::new();
    for group in by_load(run) {
        let alike = |family: &&mut Vec<Group<'_>>| {
            LoadInfo { size: group.load.size.clone(), ..family[0].load.clone() } == *group.load
        };
        match families.iter_mut().find(alike) {
            Some(family) => family.push(group),
            None => families.push(vec![group]),
        }
    }
    families.retain(|family| family.len() > 1);
    families
}

/// One measurement: a round of a cell, or a probe of a search.
#[derive(Debug)]
pub(crate) struct Measured<'a> {
    /// `round` or `probe`.
    pub(crate) kind: &'static str,
    pub(crate) target: usize,
    pub(crate) load: LoadInfo,
    /// From 1.
    pub(crate) number: usize,
    pub(crate) round: &'a Round,
}

/// Every measurement of a run, in the order in which they were made.
pub(crate) fn measured(run: &Run) -> Vec<Measured<'_>> {
    let rounds = run.cells.iter().flat_map(|cell| {
        let measured = |(at, round)| Measured {
            kind: "round",
            target: cell.target,
            load: cell.load.clone(),
            number: at + 1,
            round,
        };
        cell.rounds.iter().enumerate().map(measured)
    });
    let probes = run.found.iter().flat_map(|found| {
        found.probes.iter().enumerate().map(|(at, probe)| Measured {
            kind: "probe",
            target: found.target,
            load: LoadInfo { rate_per_s: Some(probe.rate_per_s), ..found.load.clone() },
            number: at + 1,
            round: &probe.round,
        })
    });
    let mut all: Vec<_> = rounds.chain(probes).collect();
    all.sort_by(|one, other| one.round.at_s.total_cmp(&other.round.at_s));
    all
}
