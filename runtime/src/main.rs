//! `runtime`: see `runtime --help`.

use std::io::{Write, stdout};
use std::process::exit;

use anyhow::{Context, Result};
use bundle::{DealerBundle, PartyBundle};
use cli::{Output, describe};
use net::Listener;
use runtime::exit::code_of;
use runtime::message::Role;
use runtime::options::{Command, Options};
use runtime::settings::Settings;
use runtime::start::{Parent, Ready};
use runtime::{cached, cores, dealer, evaluate, infer, log, party};

/// Gives large blocks out again without a way through the system, which would hand over each page anew: an online phase
/// takes and frees hundreds of megabytes in half a second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let options = match Options::from_args(std::env::args_os()) {
        Ok(options) => options,
        Err(error) => exit(cli::usage(&error)),
    };
    if let Err(error) = run(&options.command) {
        runtime::cache::give_way();
        if cli::reader_left(&error) {
            return;
        }
        log(&format!("error: {}", describe(&error)));
        exit(code_of(&error));
    }
}

fn run(command: &Command) -> Result<()> {
    let (core, threads) = command.cores();
    cores::settle(core, threads)?;
    ctrlc::set_handler(runtime::cache::interrupt).context("watching for Ctrl-C")?;
    match command {
        Command::Infer(options) => infer::run(options, &mut Output::new(stdout().lock())),
        Command::Evaluate(options) => evaluate::run(options, &mut Output::new(stdout().lock())),
        #[cfg(feature = "bench")]
        Command::Bench(options) => runtime::bench::run(options, &mut Output::new(stdout().lock())),
        Command::Cache(options) => cached::run(options, &mut Output::new(stdout().lock())),
        Command::Party(options) => {
            let role = if options.index == 0 { Role::Party0 } else { Role::Party1 };
            options.child.consented(role)?;
            let settings = Settings { link: options.link, ..options.child.running.settings()? };
            let parent = Parent::watch()?;
            // what can be wrong here is found before anybody waits for this role
            let listener = Listener::loopback(options.port)?;
            let bundle = PartyBundle::open(&options.child.bundle, usize::from(options.index))?;
            ready(role, listener.local_addr().port())?;
            party::serve(&listener, bundle, &parent.start(settings.deadline)?, &settings)
        }
        Command::Dealer(options) => {
            options.child.consented(Role::Dealer)?;
            let settings = options.child.running.settings()?;
            let parent = Parent::watch()?;
            let bundle = DealerBundle::open(&options.child.bundle)?;
            ready(Role::Dealer, 0)?;
            dealer::serve(bundle, &parent.start(settings.deadline)?, &settings)
        }
    }
}

fn ready(role: Role, port: u16) -> Result<()> {
    let mut out = Output::new(stdout().lock());
    writeln!(out, "{}", serde_json::to_string(&Ready { ready: role, port })?)?;
    Ok(out.flush()?)
}
