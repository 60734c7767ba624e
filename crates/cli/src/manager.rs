//! The service manager that started the command, if it wants to be told what it does (`sd_notify(3)`).

#[cfg(all(target_os = "linux", feature = "systemd"))]
mod told;
#[cfg(not(all(target_os = "linux", feature = "systemd")))]
mod untold;

#[cfg(all(target_os = "linux", feature = "systemd"))]
pub(crate) use told::Manager;
#[cfg(not(all(target_os = "linux", feature = "systemd")))]
pub(crate) use untold::Manager;
