//! What can go wrong between here and the hub.

use std::path::PathBuf;
use std::time::Duration;

use super::choose::Missing;
use crate::Error;

/// Why the hub did not give what was asked for. `what` is always an address or a file's name, never a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(
        "cannot reach the hub at {endpoint}: {reason}; check the network, HF_ENDPOINT, HTTPS_PROXY and SSL_CERT_FILE, or set HF_HUB_OFFLINE=1 to use only what is in the cache"
    )]
    Unreachable { endpoint: String, reason: String },
    #[error(
        "{what}: the hub does not show it (status 401): there is no such repository, or it is private; check the spelling, and set HF_TOKEN if it is private"
    )]
    Hidden { what: String },
    #[error(
        "{what}: the hub refuses the token that was sent (status 401); set HF_TOKEN to a valid one (from {endpoint}/settings/tokens), or unset it for what is public"
    )]
    BadToken { what: String, endpoint: String },
    #[error(
        "{what}: the hub refuses it (status {status}): the repository is gated or private; accept its terms at {page} and set HF_TOKEN to a token that may read it"
    )]
    Refused { what: String, status: u16, page: String },
    #[error(
        "{what}: not found on the hub (status 404){detail}; check the spelling; a private repository needs HF_TOKEN"
    )]
    NotFound { what: String, detail: &'static str },
    #[error("{what}: too many requests (status 429); try again {}{}", when(.after), if *.token { "" } else { ", or set HF_TOKEN: those who are logged in may ask more often" })]
    TooMany { what: String, after: Option<Duration>, token: bool },
    #[error("{what}: the hub has a problem (status {status}), also after several attempts; try again later")]
    Server { what: String, status: u16 },
    #[error(
        "{what}: unexpected answer of the hub: {reason}; check HF_ENDPOINT, and whether a proxy answers in its place"
    )]
    Odd { what: String, reason: String },
    #[error(
        "{what}: its content has not the digest that the hub announced; what came was deleted, run the same command again"
    )]
    Digest { what: String },
    #[error(
        "{what}: broken off {tries} times in a row ({reason}); {there} of {size} bytes are there, and the same command goes on from there"
    )]
    BrokenOff { what: String, tries: u32, reason: String, there: u64, size: String },
    #[error("offline, and not in the cache: {what} (looked in {}); unset HF_HUB_OFFLINE to fetch it, or set HF_HUB_CACHE to the folder that has it", .folder.display())]
    NotCached { what: String, folder: PathBuf },
    #[error("{place}: {missing}")]
    Lacks { place: String, missing: Missing },
}

impl Fault {
    /// Whether the hub gave no answer of worth, so that the cache may answer in its place.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Fault::Unreachable { .. } | Fault::Server { .. } | Fault::TooMany { .. })
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error::Hub(fault.to_string())
    }
}

fn when(after: &Option<Duration>) -> String {
    after.map_or("later".into(), |after| format!("in {} s", after.as_secs()))
}
