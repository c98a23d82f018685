//! How the end of a session by a fault is logged: once, with the role, the session, and the step where there is one.

use mpc::MpcError;
use net::NetError;
use tracing::warn;

use crate::message::{ControlError, Role};

/// Logs why a session of `role` ended before its client said goodbye.
pub(crate) fn session_failed(role: Role, session: &str, error: &anyhow::Error) {
    warn!(%role, %session, step = step_of(error), "{}", cli::describe(error));
}

/// The step at which it happened, where it happened at one.
fn step_of(error: &anyhow::Error) -> Option<u32> {
    error.chain().find_map(|cause| {
        let of_control = || match cause.downcast_ref::<ControlError>() {
            Some(ControlError::Net(net)) => Some(net),
            _ => None,
        };
        let of_mpc = || match cause.downcast_ref::<MpcError>() {
            Some(MpcError::Net(net)) => Some(net),
            _ => None,
        };
        cause.downcast_ref::<NetError>().or_else(of_control).or_else(of_mpc)?.step()
    })
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::sync::Arc;

    use net::Wait;

    use super::*;

    #[test]
    fn the_step_is_found_below_any_context() {
        let source = Arc::new(ErrorKind::ConnectionReset.into());
        let net = NetError::Lost { peer: "party1".into(), wait: Wait::Receive(Some(7)), source };
        let errors: [anyhow::Error; 3] =
            [net.clone().into(), ControlError::Net(net.clone()).into(), MpcError::Net(net).into()];
        for error in errors {
            assert_eq!(step_of(&error.context("lost: party1")), Some(7));
        }
        assert_eq!(step_of(&anyhow::anyhow!("no step")), None);
    }
}
