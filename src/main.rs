//! The program `fogold`: see the library's room `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fogold::cli::main()
}
