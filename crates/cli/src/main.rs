//! The command `swapwire`: see `swapwire --help`.

fn main() -> std::process::ExitCode {
    swapwire_cli::run(std::env::args_os())
}
