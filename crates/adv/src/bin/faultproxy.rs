//! The proxy with faults: see `faultproxy --help`.

fn main() -> std::process::ExitCode {
    swapwire_adv::faultproxy(std::env::args_os())
}
