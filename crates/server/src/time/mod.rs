//! The clock of a listener, and deadlines.

mod deadline_check;
mod tick_control;
mod timer_entry;
mod timer_wheel;

pub(crate) use deadline_check::{DeadlineCheck, over, within};
#[cfg(all(test, swapwire_loom))]
pub(crate) use tick_control::TickControl;
pub(crate) use timer_entry::TimerEntry;
pub(crate) use timer_wheel::{HELD_UP, Since, Tick, TimerWheel};
