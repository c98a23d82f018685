//! `runtime`: see `runtime --help`.

use std::io::{Write, stdout};
use std::process::exit;

use anyhow::{Context, Result};
use bundle::{DealerBundle, PartyBundle};
use cli::{Output, describe, log};
use local::parent::{Parent, Ready};
use local::{cores, interrupt};
use net::{Listener, Shaped};
use roles::message::Role;
use roles::{dealer, party};
use runtime::exit::code_of;
use runtime::options::{Command, Options};
use runtime::{cached, evaluate, infer, services, stock};

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
        interrupt::wait_while_ending();
        if cli::reader_left(&error) {
            return;
        }
        log(&format!("error: {}", describe(&error)));
        exit(code_of(&error));
    }
}

fn run(command: &Command) -> Result<()> {
    let out = &mut Output::new(stdout().lock());
    // services have signals and threads of their own
    match command {
        Command::Party(options) => {
            if let Some(config) = options.service.read(&[Role::Party0, Role::Party1])? {
                return services::party::run(&config, &options.service, options.link, out);
            }
        }
        Command::Dealer(options) => {
            if let Some(config) = options.service.read(&[Role::Dealer])? {
                return services::dealer::run(&config, &options.service, out);
            }
        }
        _ => {}
    }
    let (core, threads) = command.cores();
    cores::settle(core, threads)?;
    ctrlc::set_handler(interrupt::interrupt).context("watching for Ctrl-C")?;
    match command {
        Command::Infer(options) => infer::run(options, out),
        Command::Evaluate(options) => evaluate::run(options, out),
        #[cfg(feature = "bench")]
        Command::Bench(options) => bench::run(options, out),
        Command::Cache(options) => cached::run(options, out),
        Command::Keys(options) => services::keys::run(options, out),
        Command::Doctor(options) => services::doctor::run(options, out),
        Command::Stock(options) => stock::run(options, out),
        Command::Party(options) => {
            let index = options.index.unwrap_or_default();
            let role = if index == 0 { Role::Party0 } else { Role::Party1 };
            let part = options.child.consented(role)?;
            let settings = options.child.running.settings()?.roles;
            let parent = Parent::watch()?;
            // what can be wrong here is found before anybody waits for this role
            let listener = Listener::loopback(options.port)?;
            let bundle = PartyBundle::open(part, usize::from(index))?;
            ready(role, listener.local_addr().port(), out)?;
            let start = parent.start(settings.deadline)?;
            let stock = options.stock.as_deref().map(|folder| local::stock::place(folder, role));
            party::serve_through(&listener, bundle, &start, &settings, stock.as_ref(), |peer| {
                match options.link.shape() {
                    Some(shape) => Box::new(Shaped::new(peer, shape)),
                    None => peer,
                }
            })
        }
        Command::Dealer(options) => {
            let part = options.child.consented(Role::Dealer)?;
            let settings = options.child.running.settings()?.roles;
            let parent = Parent::watch()?;
            let bundle = DealerBundle::open(part)?;
            ready(Role::Dealer, 0, out)?;
            dealer::serve(bundle, &parent.start(settings.deadline)?, &settings)
        }
    }
}

fn ready(role: Role, port: u16, out: &mut impl Write) -> Result<()> {
    writeln!(out, "{}", serde_json::to_string(&Ready { ready: role, port })?)?;
    Ok(out.flush()?)
}
