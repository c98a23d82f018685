//! A party's own service, asked by the party's own key: what it alone knows while it runs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use bundle::{PartyBundle, Role};
use config::Config;
use net::TlsIdentity;
use roles::handshake::{Identity, fresh};
use roles::service::dial::PeerAddress;
use roles::service::examine::examine;
use roles::service::status::Status;

/// How long a service is tried to be reached.
pub const REACH: Duration = Duration::from_secs(5);

/// Where the service of this configuration is reached from its own machine; nothing where none listens by it.
pub fn address(config: &Config, tls: &TlsIdentity) -> Option<PeerAddress> {
    let listen = config.listen?;
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listen.port()).to_string();
    Some(PeerAddress { role: config.role, address, pins: vec![tls.pin()] })
}

/// How the service of this configuration is.
pub fn status(config: &Config) -> Result<Status> {
    let tls = TlsIdentity::read(&config.keys)?;
    let to = address(config, &tls).ok_or_else(|| config.fault("listen", "is missing"))?;
    let bundle = PartyBundle::open(&config.bundle, usize::from(config.role == Role::Party1))?;
    let me = Identity::pinned(config.role, fresh()?, bundle.id, &bundle.spec)?;
    Ok(examine(&tls, &me, &to, REACH)?.status)
}
