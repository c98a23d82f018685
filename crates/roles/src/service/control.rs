//! Standing connections of who dials: kept up for as long as the service runs, and what is amiss is said once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use net::TlsIdentity;
use tracing::{info, warn};

use crate::handshake::{HELLO_DEADLINE, Identity, Peer, exchange_hellos};
use crate::message::{Purpose, Role};
use crate::service::dial::PeerAddress;

/// Pauses between attempts grow from this one...
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// ... to this one.
const LAST_PAUSE: Duration = Duration::from_secs(3);
/// How often it is looked whether the service ends.
const LOOK: Duration = Duration::from_millis(50);
/// How often it is said that a role is still waited for.
const SAY: Duration = Duration::from_secs(60);

/// Keeps a connection up until `stop` is set: without a deadline, for others may be started much later. Each connection
/// is handed to `attend`, which returns when it ends. What prevents one is logged by `role` when it changes, and once a minute.
pub(crate) fn keep_up(
    role: Role,
    purpose: Purpose,
    reach: &dyn Fn() -> (PeerAddress, Arc<TlsIdentity>),
    own: &dyn Fn() -> Result<Identity>,
    stop: &AtomicBool,
    attend: &mut dyn FnMut(&mut Peer) -> Result<()>,
) {
    let (mut pause, mut said) = (FIRST_PAUSE, (String::new(), Instant::now()));
    while !stop.load(Ordering::Relaxed) {
        let (to, tls) = reach();
        let peer = to.role;
        match connect(&to, &tls, purpose, own) {
            Ok(mut link) => {
                info!(%role, %peer, address = %to.address, "connected");
                said.0 = String::new();
                let begin = Instant::now();
                let attended = attend(&mut link);
                // one that ends at once is not tried at once again and again
                if begin.elapsed() >= LAST_PAUSE {
                    pause = FIRST_PAUSE;
                }
                match attended {
                    Ok(()) => return,
                    Err(error) => warn!(%role, %peer, "{}; connecting again", cli::describe(&error)),
                }
            }
            Err(error) => {
                let why = cli::describe(&error);
                if said.0 != why || said.1.elapsed() >= SAY {
                    warn!(%role, %peer, address = %to.address, "waiting for {peer}: {why}");
                    said = (why, Instant::now());
                }
            }
        }
        let end = Instant::now() + pause;
        while Instant::now() < end && !stop.load(Ordering::Relaxed) {
            thread::sleep(LOOK);
        }
        pause = (2 * pause).min(LAST_PAUSE);
    }
}

fn connect(to: &PeerAddress, tls: &TlsIdentity, purpose: Purpose, own: &dyn Fn() -> Result<Identity>) -> Result<Peer> {
    let me = own()?;
    let mut link: Peer = Box::new(to.connect(tls, HELLO_DEADLINE)?);
    exchange_hellos(&me, &mut link, to.role, &me.hello(to.role, purpose), &mut |_| ())?;
    Ok(link)
}
