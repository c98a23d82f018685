//! `runtime`: see `runtime --help`.

use std::io::{Write, stdout};
use std::process::exit;
use std::time::Duration;

use anyhow::{Context, Result};
use bundle::{DealerBundle, PartyBundle};
use cli::{Output, describe};
use net::Listener;
use runtime::exit::code_of;
use runtime::message::Role;
use runtime::options::{Child, Command, Options};
use runtime::start::{Parent, Ready};
use runtime::{dealer, evaluate, infer, log, party};

/// Gives large blocks out again without a way through the system, which would hand over each page anew: an online phase
/// takes and frees hundreds of megabytes in half a second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let options = match Options::from_args(std::env::args_os()) {
        Ok(options) => options,
        Err(error) => error.exit(),
    };
    if let Err(error) = run(&options.command) {
        runtime::shipped::give_way();
        log(&format!("error: {}", describe(&error)));
        exit(code_of(&error));
    }
}

fn run(command: &Command) -> Result<()> {
    ctrlc::set_handler(runtime::shipped::interrupt).context("watching for Ctrl-C")?;
    match command {
        Command::Infer(options) => infer::run(options, &mut Output(stdout().lock())),
        Command::Evaluate(options) => evaluate::run(options, &mut Output(stdout().lock())),
        Command::Party(options) => {
            let parent = Parent::watch()?;
            // what can be wrong here is found before anybody waits for this role
            let listener = Listener::loopback(options.port)?;
            let bundle = PartyBundle::open(&options.child.bundle, usize::from(options.index))?;
            let role = if options.index == 0 { Role::Party0 } else { Role::Party1 };
            ready(role, listener.local_addr().port())?;
            let start = parent.start(deadline(&options.child))?;
            party::serve(&listener, bundle, &start, deadline(&options.child), options.child.memory)
        }
        Command::Dealer(options) => {
            let parent = Parent::watch()?;
            let bundle = DealerBundle::open(&options.child.bundle)?;
            ready(Role::Dealer, 0)?;
            let start = parent.start(deadline(&options.child))?;
            dealer::serve(bundle, &start, deadline(&options.child), options.child.memory)
        }
    }
}

fn deadline(child: &Child) -> Duration {
    Duration::from_secs(child.deadline)
}

fn ready(role: Role, port: u16) -> Result<()> {
    let mut out = Output(stdout().lock());
    writeln!(out, "{}", serde_json::to_string(&Ready { ready: role, port })?)?;
    Ok(out.flush()?)
}
