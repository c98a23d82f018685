//! The stock of a party that is a service, as its configuration says it.

use anyhow::Result;
use config::Config;
use roles::party_model::PartyModel;
use roles::service::stock::{Filling, Marks, Refill, StockService};
use roles::stocked::{PartyStock, StockPlace};

/// Opens the stock of the party that serves `model`, if it is to have one.
pub(super) fn of(config: &Config, model: &PartyModel) -> Result<Option<StockService>> {
    let Some(stock) = &config.stock else { return Ok(None) };
    let place = StockPlace { folder: stock.folder.clone(), key: stock.key.clone(), quota: stock.quota };
    let marks =
        |(tokens, marks): (&u32, &config::Marks)| (*tokens as usize, Marks { low: marks.low, high: marks.high });
    let refill = stock.refill.map(|refill| Refill { from: refill.from, until: refill.until, renew: refill.renew });
    let filling = Filling { marks: stock.classes.iter().map(marks).collect(), parallel: stock.parallel, refill };
    Ok(Some(StockService::new(PartyStock::open(&place, model)?, filling)?))
}
