//! Exit codes, the same for every command.

use net::NetError;

use crate::message::ControlError;

/// Anything without a code of its own.
pub const OTHER: i32 = 1;
/// The command line is wrong (clap's own code too).
pub const USAGE: i32 = 2;
/// A file or folder cannot be read or is not what it should be.
pub const BAD_FILE: i32 = 3;
/// A model's ranges or accuracy do not pass.
pub const GATE: i32 = 4;
/// A peer refused us, or was refused.
pub const REFUSED: i32 = 5;
/// A peer was lost or did not answer in time.
pub const LOST: i32 = 6;
/// Stopped by Ctrl-C.
pub const INTERRUPTED: i32 = 130;

/// An error whose exit code the caller knows.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Coded {
    /// What, where, and what to do.
    pub message: String,
    /// Exit code.
    pub code: i32,
}

/// An error with a code.
pub fn coded(code: i32, message: impl Into<String>) -> anyhow::Error {
    Coded { message: message.into(), code }.into()
}

/// An error with its causes, each said once.
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    text
}

/// The exit code of an error.
pub fn code_of(error: &anyhow::Error) -> i32 {
    for cause in error.chain() {
        if let Some(coded) = cause.downcast_ref::<Coded>() {
            return coded.code;
        }
        if let Some(net) = cause.downcast_ref::<NetError>() {
            return net_code(net);
        }
        if let Some(control) = cause.downcast_ref::<ControlError>() {
            return match control {
                ControlError::Net(net) => net_code(net),
                _ => REFUSED,
            };
        }
        if let Some(mpc::MpcError::Net(net)) = cause.downcast_ref::<mpc::MpcError>() {
            return net_code(net);
        }
        if matches!(cause.downcast_ref(), Some(bundle::BundleError::Stopped)) {
            return INTERRUPTED;
        }
        if let Some(error) = cause.downcast_ref::<convert::ConvertError>() {
            return i32::from(error.exit_code());
        }
        if cause.is::<bundle::BundleError>() || cause.is::<checkpoint::Error>() || cause.is::<datasets::Error>() {
            return BAD_FILE;
        }
    }
    OTHER
}

fn net_code(error: &NetError) -> i32 {
    match error {
        NetError::Timeout { .. } | NetError::Lost { .. } => LOST,
        NetError::Unreachable { .. } | NetError::NobodyCame { .. } => LOST,
        NetError::Listen { .. } | NetError::Setup { .. } => OTHER,
        _ => REFUSED,
    }
}
