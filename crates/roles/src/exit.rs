//! Which exit code an error of a role has; the codes themselves are `cli`'s, the same for every program.

use std::io;

use cli::exit::{BAD_INPUT, BUSY, EXHAUSTED, INTERRUPTED, LOST, OTHER, REFUSED, STOCK, TAKEN, UNWRITABLE};
use net::NetError;
use stock::StockError;

use crate::message::ControlError;

/// The exit code of an error.
pub fn code_of(error: &anyhow::Error) -> i32 {
    error.chain().find_map(of_cause).unwrap_or(OTHER)
}

/// The exit code of one cause of an error, where it has one.
pub fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<i32> {
    if let Some(code) = cli::exit::code_in(cause) {
        return Some(code);
    }
    if let Some(net) = cause.downcast_ref::<NetError>() {
        return Some(of_net(net));
    }
    if let Some(control) = cause.downcast_ref::<ControlError>() {
        return Some(match control {
            ControlError::Net(net) => of_net(net),
            ControlError::Busy { .. } => BUSY,
            ControlError::LostBehind { .. } => LOST,
            ControlError::Exhausted { .. } => EXHAUSTED,
            _ => REFUSED,
        });
    }
    if let Some(stock) = cause.downcast_ref::<StockError>() {
        return Some(of_stock(stock));
    }
    if cause.is::<net::IdentityError>() || cause.is::<model::TextsError>() || cause.is::<model::SampleError>() {
        return Some(BAD_INPUT);
    }
    match cause.downcast_ref::<mpc::MpcError>() {
        Some(mpc::MpcError::Net(net)) => return Some(of_net(net)),
        Some(mpc::MpcError::Spool(_)) => return Some(UNWRITABLE),
        _ => {}
    }
    cause.downcast_ref::<bundle::BundleError>().map(|bundle| match bundle {
        bundle::BundleError::Stopped => INTERRUPTED,
        bundle::BundleError::Write { .. } => UNWRITABLE,
        _ => BAD_INPUT,
    })
}

fn of_net(error: &NetError) -> i32 {
    match error {
        NetError::Timeout { .. } | NetError::Lost { .. } => LOST,
        NetError::Unreachable { .. } | NetError::NobodyCame { .. } => LOST,
        NetError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => TAKEN,
        NetError::Listen { .. } | NetError::Setup { .. } => OTHER,
        _ => REFUSED,
    }
}

fn of_stock(error: &StockError) -> i32 {
    match error {
        StockError::Full { .. } | StockError::Io { .. } => UNWRITABLE,
        StockError::KeyReadable { .. } | StockError::KeyLength { .. } | StockError::KeyInside { .. } => BAD_INPUT,
        StockError::Entropy(_) => OTHER,
        _ => STOCK,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cli::{Coded, coded};

    use super::*;

    #[test]
    fn a_peer_whose_key_or_certificate_is_refused_is_refused() {
        let (peer, why) = ("party0".to_owned(), "expired".to_owned());
        let wait = net::Wait::Handshake;
        let got = format!("pb1-{}", "0".repeat(64)).parse().unwrap();
        assert_eq!(of_net(&NetError::WrongPin { peer: peer.clone(), expected: vec![], got }), REFUSED);
        assert_eq!(of_net(&NetError::Certificate { peer: peer.clone(), why: why.clone() }), REFUSED);
        assert_eq!(of_net(&NetError::Tls { peer: peer.clone(), why }), REFUSED);
        assert_eq!(of_net(&NetError::Timeout { peer, wait, waited: std::time::Duration::ZERO }), LOST);
    }

    #[test]
    fn a_stock_that_cannot_be_used_differs_from_a_disk_and_from_a_key() {
        let (folder, path) = (std::path::PathBuf::from("stock"), std::path::PathBuf::from("key"));
        let code = |error: StockError| code_of(&anyhow::Error::new(error).context("opening"));
        assert_eq!(code(StockError::Locked { folder: folder.clone() }), STOCK);
        assert_eq!(code(StockError::NotReconciled { folder }), STOCK);
        assert_eq!(code(StockError::KeyLength { path: path.clone(), length: 31 }), BAD_INPUT);
        assert_eq!(code(StockError::KeyReadable { path: path.clone(), mode: 0o644 }), BAD_INPUT);
        let room = stock::Room::Disk { free: None };
        assert_eq!(code(StockError::Full { room, needed: 1, path: path.clone() }), UNWRITABLE);
        let source = io::ErrorKind::PermissionDenied.into();
        assert_eq!(code(StockError::Io { doing: "write", path, source }), UNWRITABLE);
    }

    #[test]
    fn a_code_is_found_below_any_context() {
        let listen = |kind: io::ErrorKind| {
            let error = NetError::Listen { address: "127.0.0.1:80".into(), source: Arc::new(kind.into()) };
            code_of(&anyhow::Error::new(error).context("starting"))
        };
        assert_eq!(listen(io::ErrorKind::AddrInUse), TAKEN);
        assert_eq!(listen(io::ErrorKind::PermissionDenied), OTHER);
        let write = |source: io::Error| bundle::BundleError::Write { path: "b".into(), source };
        assert_eq!(code_of(&write(io::ErrorKind::StorageFull.into()).into()), UNWRITABLE);
        let inside = io::Error::other(Coded { message: "full".into(), code: UNWRITABLE });
        assert_eq!(code_of(&anyhow::Error::new(inside).context("printing")), UNWRITABLE);
        assert_eq!(code_of(&anyhow::Error::new(io::Error::other("odd"))), OTHER);
        assert_eq!(code_of(&coded(LOST, "gone")), LOST);
    }
}
