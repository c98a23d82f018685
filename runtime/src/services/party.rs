//! `runtime party --config`: a party as a service.

use std::io::Write;
use std::sync::Arc;

use anyhow::Result;
use bundle::{PartyBundle, Role, check_alone};
use config::Config;
use local::cores;
use local::network::LinkSpeed;
use net::{Listener, TlsIdentity};
use roles::party_model::PartyModel;
use roles::service::party::PartyService;
use tracing::{info, warn};

use super::flags::{ConfigFlags, address, limits, roster, settings};
use super::{logs, signals, stock};

/// Serves as a configuration says, until a signal ends it. For trials the links to the other party are slowed down to `link`, which
/// no configuration says: both parties must be given the same.
pub fn run(config: &Config, flags: &ConfigFlags, link: LinkSpeed, out: &mut dyn Write) -> Result<()> {
    let role = config.role;
    let settings = settings(config)?;
    let party0 = (role == Role::Party1).then(|| address(config, Role::Party0)).transpose()?.map(|to| to.address);
    let tls = TlsIdentity::read(&config.keys)?;
    check_alone(&config.bundle, role)?;
    let bundle = PartyBundle::open(&config.bundle, usize::from(role == Role::Party1))?;
    if flags.check_config {
        writeln!(out, "{role}: the configuration is right; key {}, bundle {}", tls.pin(), bundle.id)?;
        return Ok(out.flush()?);
    }
    logs::begin(&config.log, role)?;
    cores::settle(None, config.run.threads)?;
    let Some(listen) = config.listen else { return Err(config.fault("listen", "is missing")) };
    let listener = Listener::on(listen)?;
    let (pin, local) = (tls.pin(), listener.local_addr());
    let model = PartyModel::new(bundle, settings.engine);
    let stock = stock::of(config, &model)?;
    let service = PartyService::new(model, settings, limits(config), tls, roster(config), party0);
    let service = Arc::new(service.stocked(stock).slowed(link.shape()));
    if link.shape().is_some() {
        warn!("for measuring: {}", link.describe());
    }
    info!(%role, %pin, address = %local, "listening");
    let serving = Arc::clone(&service);
    let reload = || {
        let again = again(config, flags)?;
        service.replace(TlsIdentity::read(&again.keys)?, roster(&again));
        Ok(())
    };
    signals::run(role, move || serving.serve(&listener), reload, || service.end(config.limits.drain))
}

/// The configuration as it stands now. Keys and pins count from then on; what else has changed is said, and waits for a restart.
pub(super) fn again(config: &Config, flags: &ConfigFlags) -> Result<Config> {
    let again = flags.read(&[config.role])?.unwrap_or_else(|| config.clone());
    let same = [
        ("bundle", again.bundle == config.bundle),
        ("listen", again.listen == config.listen),
        ("run", again.run == config.run),
        ("limits", again.limits == config.limits),
        ("stock", again.stock == config.stock),
        ("log", again.log == config.log),
    ];
    for (what, _) in same.iter().filter(|(_, same)| !same) {
        warn!(role = %config.role, "`{what}` has changed, which needs a restart of the service");
    }
    Ok(again)
}
