//! Running a bound server: its listeners, its workers, what each of them serves, and its drain.

mod handle;
mod listeners;
mod loops;
mod part;
mod running;
mod server;
mod worker;

pub use handle::ServerHandle;
pub use listeners::Applied;
pub use running::Running;
pub use server::Server;
