//! The adversary: see `adv --help`.

fn main() -> std::process::ExitCode {
    swapwire_adv::adv(std::env::args_os())
}
