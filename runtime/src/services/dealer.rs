//! `runtime dealer --config`: the dealer as a service.

use std::io::Write;
use std::sync::Arc;

use anyhow::Result;
use bundle::{DealerBundle, Role, check_alone};
use config::Config;
use local::cores;
use net::TlsIdentity;
use roles::dealer::DealerModel;
use roles::service::dealer::DealerService;
use tracing::info;

use super::flags::{ConfigFlags, parties, settings};
use super::party::again;
use super::{logs, signals};

/// Deals as a configuration says, until a signal ends it.
pub fn run(config: &Config, flags: &ConfigFlags, out: &mut dyn Write) -> Result<()> {
    let settings = settings(config)?;
    let tls = TlsIdentity::read(&config.keys)?;
    let addresses = parties(config)?;
    check_alone(&config.bundle, Role::Dealer)?;
    let bundle = DealerBundle::open(&config.bundle)?;
    if flags.check_config {
        writeln!(out, "dealer: the configuration is right; key {}, bundle {}", tls.pin(), bundle.id)?;
        return Ok(out.flush()?);
    }
    logs::begin(&config.log, Role::Dealer)?;
    cores::settle(None, config.run.threads)?;
    info!(role = "dealer", pin = %tls.pin(), "dealing");
    let model = DealerModel::new(bundle, settings.engine);
    let service = Arc::new(DealerService::new(model, settings, config.limits.join, tls, addresses));
    let serving = Arc::clone(&service);
    let reload = || {
        let again = again(config, flags)?;
        service.replace(TlsIdentity::read(&again.keys)?, parties(&again)?);
        Ok(())
    };
    signals::run(Role::Dealer, move || serving.serve(), reload, || service.end(config.limits.drain))
}
