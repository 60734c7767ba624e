//! Which listeners a server has, where they are bound, and on which workers.

use std::net::SocketAddr;
use std::sync::Arc;

use swapwire_core::{Addr, Endpoint, ErrorClass, Incoming, Listener, WireLayers, async_trait};
use tokio::sync::oneshot;

use crate::accept::balance;
use crate::compose::{BoundPlace, PlaceBase, Planned};
use crate::drain::{Member, Successor};
use crate::metrics::{ListenerInfo, ListenerStats, Snapshot, Stats};
use crate::runtime::part::{LoopControl, Part, Route, Source};

/// The listeners, in the order of the builder or of the last change.
#[derive(Default)]
pub(in crate::runtime) struct Roster {
    pub(super) listeners: Vec<Arc<Listening>>,
    /// Those that were removed and may still have sessions.
    pub(super) removed: Vec<Arc<Listening>>,
    /// What those counted that are gone.
    past: Snapshot,
    /// Where the next place begins that not every worker serves.
    pub(super) next: usize,
}

/// One listener.
pub(super) struct Listening {
    pub(super) planned: Planned,
    pub(super) stats: Arc<ListenerStats>,
    pub(super) places: Vec<Place>,
}

pub(super) struct Place {
    pub(super) base: PlaceBase,
    pub(super) dial: Endpoint,
    pub(super) reloads: bool,
    pub(super) controls: Vec<Arc<LoopControl>>,
    /// Of services before, whose sessions go on.
    pub(super) before: Vec<Arc<LoopControl>>,
}

/// Who is to leave what it has to whom, and what ends when it has.
pub(super) struct Pass {
    pub(super) from: Arc<LoopControl>,
    pub(super) to: Successor,
    pub(super) given: oneshot::Receiver<()>,
}

impl Place {
    /// Whether any member is served, so that its loop can leave it to another.
    pub(super) fn is_served(&self) -> bool {
        self.controls.iter().any(|control| !control.has_ended())
    }

    fn all_controls(&self) -> impl Iterator<Item = &Arc<LoopControl>> {
        self.controls.iter().chain(&self.before).filter(|control| !control.has_ended())
    }
}

impl Listening {
    pub(super) fn controls(&self) -> impl Iterator<Item = &Arc<LoopControl>> {
        self.places.iter().flat_map(Place::all_controls)
    }

    /// What was just bound, spread over `workers`; `next` as of a [`Roster`].
    pub(super) fn bound(
        planned: Planned,
        bound: Vec<BoundPlace>,
        stats: ListenerStats,
        workers: usize,
        next: &mut usize,
    ) -> (Arc<Self>, Vec<Part>) {
        let (stats, mut places, mut parts) = (Arc::new(stats), Vec::new(), Vec::new());
        for BoundPlace { members, reloads, base } in bound {
            let count = members.len();
            let first = if count < workers { *next } else { 0 };
            *next = if count < workers { (*next + count) % workers } else { *next };
            let Some((local, dial)) = members.first().map(|first| (first.local(), first.dial())) else { continue };
            let controls: Vec<_> = (0..count).map(|i| LoopControl::of_worker((first + i) % workers)).collect();
            let route = Arc::new(Route::new(&planned, local, &stats));
            parts.extend(make_parts(&route, &controls, members.into_iter().map(Source::Bound)));
            places.push(Place { base, dial, reloads, controls, before: Vec::new() });
        }
        (Arc::new(Self { planned, stats, places }), parts)
    }

    /// What `before` has bound, served as `planned` from now on, under `layers`.
    pub(super) fn passed(
        planned: Planned,
        before: &Self,
        layers: WireLayers,
        stats: impl FnOnce(ListenerInfo) -> ListenerStats,
    ) -> (Arc<Self>, Vec<Part>, Vec<Pass>) {
        let above: Vec<_> =
            before.places.iter().map(|place| layers.wrap(Box::new(StandIn(place.base.clone())))).collect();
        let sockets =
            before.places.iter().flat_map(|place| &place.controls).filter(|control| !control.has_ended()).count();
        let stats = Arc::new(stats(planned.info(above.iter().map(|listener| listener.dial()).collect(), sockets)));
        let (layers, takes) = (Arc::new(layers), planned.service.succession());
        let (mut places, mut parts, mut passes) = (Vec::new(), Vec::new(), Vec::new());
        for (place, above) in before.places.iter().zip(above) {
            let (local, dial, reloads) = (above.local(), above.dial(), above.reloads());
            let old: Vec<_> = place.controls.iter().filter(|control| !control.has_ended()).collect();
            let controls: Vec<_> = old.iter().map(|control| LoopControl::of_worker(control.worker)).collect();
            let route = Arc::new(Route::new(&planned, local, &stats));
            let sources = old.iter().map(|control| {
                let (to, handed, given) = Successor::new(takes);
                passes.push(Pass { from: Arc::clone(control), to, given });
                Source::Handed(handed, Arc::clone(&layers))
            });
            parts.extend(make_parts(&route, &controls, sources));
            let before = place.all_controls().cloned().collect();
            places.push(Place { base: place.base.clone(), dial, reloads, controls, before });
        }
        (Arc::new(Self { planned, stats, places }), parts, passes)
    }
}

/// One part for each control.
fn make_parts(route: &Arc<Route>, controls: &[Arc<LoopControl>], sources: impl Iterator<Item = Source>) -> Vec<Part> {
    let (logged, count) = (Arc::default(), controls.len());
    let members = sources.zip(Member::group(count)).zip(balance(count)).zip(controls);
    let part = |(((source, member), balance), control): (_, &Arc<LoopControl>)| {
        let (route, logged, control) = (Arc::clone(route), Arc::clone(&logged), Arc::clone(control));
        Part { source, member, balance, route, logged, control }
    };
    members.map(part).collect()
}

impl Roster {
    /// Of what a builder bound, with the parts that serve it.
    pub(in crate::runtime) fn new(bound: Vec<(Planned, Vec<BoundPlace>)>, workers: usize) -> (Self, Vec<Part>) {
        let (mut roster, mut parts) = (Self::default(), Vec::new());
        for (planned, places) in bound {
            let stats = ListenerStats::new(planned.info_at(&places), workers);
            let (listening, its) = Listening::bound(planned, places, stats, workers, &mut roster.next);
            roster.listeners.push(listening);
            parts.extend(its);
        }
        (roster, parts)
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.listeners.iter().flat_map(|listening| &listening.places)
    }

    /// What clients dial.
    pub(in crate::runtime) fn dials(&self) -> Vec<Endpoint> {
        self.places().map(|place| place.dial.clone()).collect()
    }

    /// Those that can read again what they were bound with.
    pub(in crate::runtime) fn reloads(&self) -> Vec<Endpoint> {
        self.places().filter(|place| place.reloads).map(|place| place.dial.clone()).collect()
    }

    /// The addresses of all datagram sockets.
    pub(in crate::runtime) fn datagram_addresses(&self) -> Vec<SocketAddr> {
        let sockets = self.listeners.iter().filter(|listening| listening.is_datagram());
        let addrs = sockets.flat_map(|listening| &listening.places).map(|place| Addr::of_endpoint(&place.base.local));
        addrs.filter_map(|addr| if let Some(Addr::Inet(addr)) = addr { Some(addr) } else { None }).collect()
    }

    /// The numbers of each listener.
    pub(in crate::runtime) fn stats(&self) -> impl Iterator<Item = &Arc<ListenerStats>> {
        self.listeners.iter().map(|listening| &listening.stats)
    }

    /// What all listeners have counted, those that were removed among them.
    pub(in crate::runtime) fn total(&self) -> Snapshot {
        let mut total = self.past;
        total.add(&Stats::total(self.counted().into_iter().flat_map(|stats| stats.workers())));
        total
    }

    /// What one worker has counted, for listeners that are there or still have sessions.
    pub(in crate::runtime) fn of_worker(&self, worker: usize) -> Snapshot {
        Stats::total(self.counted().into_iter().map(|stats| stats.of_worker(worker)))
    }

    /// The endpoints that are unhealthy.
    pub(in crate::runtime) fn unhealthy(&self) -> Vec<Endpoint> {
        Stats::unhealthy(self.stats().flat_map(|stats| stats.workers()))
    }

    /// All numbers that are not in the past, each once: a listener has those of one before that was called the same.
    fn counted(&self) -> Vec<&Arc<ListenerStats>> {
        let mut counted: Vec<&Arc<ListenerStats>> = Vec::new();
        for listening in self.listeners.iter().chain(&self.removed) {
            if !counted.iter().any(|other| other.is_continued_by(&listening.stats)) {
                counted.push(&listening.stats);
            }
        }
        counted
    }

    /// Takes other listeners in the place of those that are there.
    pub(super) fn set(&mut self, listeners: Vec<Arc<Listening>>, next: usize) {
        let before = std::mem::replace(&mut self.listeners, listeners);
        self.next = next;
        let gone = |listening: &Arc<Listening>| !self.listeners.iter().any(|other| Arc::ptr_eq(other, listening));
        self.removed.extend(before.into_iter().filter(gone));
        for listening in std::mem::take(&mut self.removed) {
            let is_counted = self.counted().iter().any(|other| other.is_continued_by(&listening.stats));
            // On a datagram socket a loop leaves its sessions to the next.
            if listening.controls().next().is_some() || (!is_counted && listening.stats.are_in_use()) {
                self.removed.push(listening);
            } else if !is_counted {
                self.past.add(&listening.stats.snapshot());
            }
        }
    }

    /// All loops that have not ended, those of removed listeners among them.
    pub(in crate::runtime) fn controls(&self) -> Vec<Arc<LoopControl>> {
        self.listeners.iter().chain(&self.removed).flat_map(|listening| listening.controls()).cloned().collect()
    }

    /// The workers that have anything to do.
    pub(in crate::runtime) fn workers(&self) -> Vec<usize> {
        let controls = self.listeners.iter().chain(&self.removed).flat_map(|listening| &listening.places);
        let mut workers: Vec<_> = controls.flat_map(|place| &place.controls).map(|control| control.worker).collect();
        workers.sort_unstable();
        workers.dedup();
        workers
    }
}

/// A listener of which layers ask where it is.
struct StandIn(PlaceBase);

#[async_trait]
impl Listener for StandIn {
    fn local(&self) -> Endpoint {
        self.0.local.clone()
    }

    fn dial(&self) -> Endpoint {
        self.0.dial.clone()
    }

    async fn accept(&mut self) -> std::io::Result<Incoming> {
        std::future::pending().await
    }

    fn reloads(&self) -> bool {
        self.0.reloads
    }

    fn classify(&self, _: &std::io::Error) -> ErrorClass {
        ErrorClass::ListenerFatal
    }
}
