//! `convert`: see `convert --help`.

use std::io::stdout;
use std::process::exit;

use convert::{Options, exit_code, run};

fn main() {
    let options = match Options::from_args(std::env::args_os()) {
        Ok(options) => options,
        Err(error) => exit(cli::usage(&error)),
    };
    let done = cli::check_threads().and_then(|()| run(&options, &mut cli::Output::new(stdout())));
    if let Err(error) = done {
        if cli::reader_left(&error) {
            return;
        }
        cli::log(&format!("error: {}", cli::describe(&error)));
        exit(exit_code(&error));
    }
}
