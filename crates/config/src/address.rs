//! Addresses to listen on and to dial.

use std::net::{IpAddr, SocketAddr};

use crate::origin::{Fault, shown};
use crate::section::Item;

/// Where to listen: an IP address of this machine and a port.
pub(crate) fn listened(item: &Item) -> Result<SocketAddr, Fault> {
    let text = item.text("0.0.0.0:7100")?;
    text.parse().map_err(|_| {
        let cure = "write an IP address and a port, such as \"0.0.0.0:7100\" or \"[::]:7100\"";
        item.fault(format_args!("is \"{}\"; {cure}", shown(&text)))
    })
}

/// Where to dial: a host or an IP address, and a port.
pub(crate) fn dialled(item: &Item) -> Result<String, Fault> {
    let text = item.text("party0.example.org:7100")?;
    match wrong(&text) {
        None => Ok(text),
        Some(why) => Err(item.fault(format_args!(
            "is \"{}\": {why}; write a host and a port, such as \"party0.example.org:7100\"",
            shown(&text)
        ))),
    }
}

fn wrong(text: &str) -> Option<&'static str> {
    if text.contains("://") {
        return Some("it has a scheme");
    }
    let Some((host, port)) = text.rsplit_once(':') else { return Some("it has no port") };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bracketed.is_none() && host.contains(':') {
        return Some("an IPv6 address stands in brackets, and a port follows it");
    }
    // a sign is no part of a port, though numbers are read with one
    let digits = port.chars().all(|c| c.is_ascii_digit());
    if !digits || port.parse::<u16>().is_err() || port.parse() == Ok(0u16) {
        return Some("its port is not a number from 1 to 65535");
    }
    match (bracketed.unwrap_or(host).parse::<IpAddr>(), bracketed) {
        (Ok(ip), _) if ip.is_unspecified() => Some("this is where to listen, on all addresses, and nowhere to dial"),
        (Ok(_), _) => None,
        (Err(_), Some(_)) => Some("what stands in brackets is no IPv6 address"),
        (Err(_), None) => {
            let odd = |c: char| !(c.is_ascii_alphanumeric() || ".-_".contains(c));
            (host.is_empty() || host.len() > 253 || host.contains(odd)).then_some("its host is no name of a machine")
        }
    }
}
