//! Exit codes, the same for every command.

use net::NetError;

use crate::message::ControlError;

pub use cli::exit::{BAD_INPUT, GATE, INTERRUPTED, LOST, OTHER, REFUSED};
pub use cli::{Coded, coded, describe};

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
            return error.exit_code();
        }
        if let Some(error) = cause.downcast_ref::<datasets::Error>() {
            return error.exit_code();
        }
        if cause.is::<bundle::BundleError>() || cause.is::<checkpoint::Error>() {
            return BAD_INPUT;
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
