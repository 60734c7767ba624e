//! Running a bound server: its workers, what each of them serves, and its drain.

mod handle;
mod running;
mod server;
mod worker;
mod worker_assignment;

pub use handle::ServerHandle;
pub use running::Running;
pub use server::Server;
pub(crate) use worker::MOST_WORKERS;
pub(crate) use worker_assignment::{Route, Served};
