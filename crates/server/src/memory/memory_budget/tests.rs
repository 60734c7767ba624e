use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use super::*;

const BUDGET: usize = 1 << 20;

struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A connection that counts how often it is woken.
struct Connection {
    account: HeldMemory,
    woken: Arc<Woken>,
}

fn budget() -> Option<Arc<MemoryBudget>> {
    MemoryBudget::new(&Limits { memory_budget: Some(BUDGET), ..Limits::default() })
}

fn connection() -> Connection {
    Connection { account: HeldMemory::default(), woken: Arc::new(Woken(AtomicUsize::new(0))) }
}

impl Connection {
    fn keep(&mut self, budget: &Option<Arc<MemoryBudget>>, kept: usize) -> bool {
        self.account.set(budget.as_ref(), kept, &Arc::clone(&self.woken).into())
    }

    fn is_told(&self) -> bool {
        assert_eq!(self.account.must_end(), self.woken.0.load(Relaxed) == 1);
        self.account.must_end()
    }
}

#[test]
fn the_largest_goes_and_among_equals_the_oldest() {
    let budget = budget();
    let sizes = [100 << 10, 300 << 10, 260 << 10, 9 << 10, FREE];
    let mut all: Vec<_> = sizes.iter().map(|_| connection()).collect();
    for (connection, size) in all.iter_mut().zip(sizes) {
        assert!(!connection.keep(&budget, size));
    }
    let mut last = connection();
    assert!(!last.keep(&budget, 270 << 10));
    assert!(!all.iter().any(Connection::is_told));
    // One byte above, by one that keeps little: of those between 256 and 512 KiB the first has to go.
    assert!(!all[0].keep(&budget, BUDGET - (839 << 10) + 1));
    let told: Vec<_> = all.iter().map(Connection::is_told).collect();
    assert_eq!((told, last.is_told()), (vec![false, true, false, false, false], false));
    // Its memory is not free yet, and does not count twice.
    assert!(!all[3].keep(&budget, 10 << 10));
    assert!(!last.is_told() && !all[2].is_told());
    // It is told by whatever it does next, unless it keeps nothing any more.
    assert!(all[1].keep(&budget, 301 << 10));
    assert!(!all[1].keep(&budget, 0) && !all[1].account.is_open());
}

#[test]
fn no_more_than_an_eighth_above_is_kept_by_those_that_go() {
    let budget = budget();
    let mut all = Vec::new();
    let mut refused = 0;
    for _ in 0..1000 {
        let mut connection = connection();
        let ends = connection.keep(&budget, 16 << 10);
        refused += usize::from(ends);
        // Those that others told to go are slow.
        if ends {
            drop(connection);
        } else {
            all.push(connection);
        }
        let kept = budget.as_ref().map_or(0, |budget| budget.kept.load(Relaxed));
        assert!(kept <= BUDGET + BUDGET / 8, "{kept}");
    }
    let told = all.iter().filter(|connection| connection.is_told()).count();
    assert_eq!((all.len(), told, refused), (72, 8, 928));
}

#[test]
fn nothing_is_left_of_those_that_went() {
    let budget = budget();
    let mut all: Vec<_> = (0..100).map(|_| connection()).collect();
    for round in 1..6 {
        all.iter_mut().for_each(|connection| assert!(!connection.keep(&budget, round * 2000)));
    }
    all.iter_mut().step_by(2).for_each(|connection| assert!(!connection.keep(&budget, 0)));
    drop(all);
    let budget = budget.as_ref().map(|budget| (budget.kept.load(Relaxed), budget.holders()));
    assert!(budget.is_some_and(|(kept, holders)| kept == 0 && holders.leaving == 0 && holders.by_size.is_empty()));
}

#[test]
fn without_a_budget_nothing_is_counted() {
    let mut connection = connection();
    assert!(!connection.keep(&None, usize::MAX) && !connection.account.is_open());
}
