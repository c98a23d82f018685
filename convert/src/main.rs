//! `convert`: see `convert --help`.

use std::io::stdout;
use std::process::exit;

use convert::{Options, exit_code, run};

fn main() {
    let options = match Options::from_args(std::env::args_os()) {
        Ok(options) => options,
        Err(error) => error.exit(),
    };
    if let Err(error) = run(&options, &mut cli::Output::new(stdout())) {
        if cli::reader_left(&error) {
            return;
        }
        cli::log(&format!("error: {}", cli::describe(&error)));
        exit(exit_code(&error));
    }
}
