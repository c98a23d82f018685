//! `distill`: see `distill --help`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use cli::exit::{BAD_INPUT, INTERRUPTED, OTHER};
use distill::options::Options;
use distill::parallel::Launch;
use distill::training::{STOP, TRAINING};

fn main() -> ExitCode {
    // This may restart the program, so it comes before --config is read: a pipe can be read only once.
    distill::environment::restart_with_variables();
    let options = match Options::from_args(std::env::args_os()) {
        Ok(options) => options,
        Err(error) => return refused(&error),
    };
    let on_signal = || {
        if STOP.swap(true, Ordering::SeqCst) || !TRAINING.load(Ordering::SeqCst) {
            cli::atomic::abandon();
            std::process::exit(INTERRUPTED);
        }
        cli::log("stopping after this step; once more to stop at once");
    };
    if let Err(error) = ctrlc::set_handler(on_signal) {
        cli::log(&format!("warning: Ctrl-C will not leave a checkpoint: {error}"));
    }
    match cli::check_threads().and_then(|()| act(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if cli::reader_left(&error) => ExitCode::SUCCESS,
        Err(error) => refused(&error),
    }
}

/// Reports an error and gives its exit code; clap words errors of the command line itself.
fn refused(error: &anyhow::Error) -> ExitCode {
    if let Some(error) = error.downcast_ref::<clap::Error>() {
        return ExitCode::from(cli::usage(error) as u8);
    }
    cli::log(&format!("error: {}", cli::describe(error)));
    // every code is below 256
    ExitCode::from(exit_code(error) as u8)
}

fn act(options: &Options) -> anyhow::Result<()> {
    if options.print_recipe {
        return answer(&options.recipe_text);
    }
    let launch = Launch::from_env()?;
    if launch.rank > 0 && (options.dry_run || options.evaluate_only.is_some()) {
        // Only rank 0 prints.
        return Ok(());
    }
    match &options.evaluate_only {
        Some(folder) => {
            let results = distill::pipeline::evaluate_folder(options, folder)?;
            answer(&format!("{}\n", serde_json::to_string_pretty(&results)?))
        }
        None if options.dry_run => answer(&distill::pipeline::describe(options, &launch)?),
        None => distill::pipeline::run(options, &launch),
    }
}

/// Writes to standard output.
fn answer(text: &str) -> anyhow::Result<()> {
    let mut out = cli::Output::new(std::io::stdout());
    Ok(out.write_all(text.as_bytes()).and_then(|()| out.flush())?)
}

/// The exit code of an error.
fn exit_code(error: &anyhow::Error) -> i32 {
    if let Some(code) = error.chain().find_map(cli::exit::code_in) {
        code
    } else if let Some(error) = error.downcast_ref::<datasets::Error>() {
        error.exit_code()
    } else if error.is::<checkpoint::Error>() {
        BAD_INPUT
    } else {
        OTHER
    }
}
