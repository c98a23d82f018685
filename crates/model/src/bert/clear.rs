//! A BERT in clear fixed point, on tokenised texts.

use std::sync::Arc;

use super::{Bert, InputKind};
use crate::clear::Clear;
use crate::fixed::Fixed;
use crate::network::{Calibrated, Network, Output};
use crate::opening::CERTIFICATE_FRAC;
use crate::quantise::Quantised;
use crate::sample::{SampleError, one_hot};
use crate::shape::Texts;
use crate::spec::Spec;
use crate::spec_error::SpecError;
use crate::table::Site;

/// Why a batch cannot be run in clear.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClearError {
    /// The tokens are not those of the texts, or not this model's.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The spec cannot be run.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

/// Logits of a batch in clear fixed point, one row a text.
pub fn clear_logits(
    spec: &Arc<Spec>,
    weights: &Quantised,
    texts: &Texts,
    ids: &[u32],
    segments: &[u32],
) -> Result<Vec<Vec<f64>>, ClearError> {
    Ok(clear_certified(spec, weights, texts, ids, segments)?.into_iter().map(|(logits, _)| logits).collect())
}

/// The same with each text's certificate.
pub fn clear_certified(
    spec: &Arc<Spec>,
    weights: &Quantised,
    texts: &Texts,
    ids: &[u32],
    segments: &[u32],
) -> Result<Vec<(Vec<f64>, f64)>, ClearError> {
    let calibrated = spec.calibrated(InputKind::OneHot);
    run(&calibrated, &mut Clear::new(calibrated.scales.clone(), weights), texts, ids, segments)
}

/// Every wire that the batch opens, in order, as real numbers, without the defects; for finding the layer at fault.
pub fn clear_trace(
    spec: &Arc<Spec>,
    weights: &Quantised,
    texts: &Texts,
    ids: &[u32],
    segments: &[u32],
) -> Result<Vec<(Site, Vec<f64>)>, ClearError> {
    let calibrated = spec.calibrated(InputKind::OneHot);
    let mut engine = Clear::traced(calibrated.scales.clone(), weights);
    run(&calibrated, &mut engine, texts, ids, segments)?;
    let table = calibrated.network.table();
    Ok(engine.arithmetic.into_trace().into_iter().filter(|(site, _)| !table[*site].defect).collect())
}

fn run(
    calibrated: &Calibrated<Bert>,
    engine: &mut Fixed<Clear<'_>>,
    texts: &Texts,
    ids: &[u32],
    segments: &[u32],
) -> Result<Vec<(Vec<f64>, f64)>, ClearError> {
    let bert = &calibrated.network;
    let input = calibrated.input(texts, one_hot(&bert.shape, texts, ids, segments)?);
    let frac = input.form.frac;
    let input = calibrated.input(texts, input.data.iter().map(|v| (*v as u64) << frac).collect());
    let Output { results: logits, certificates } = bert.run(engine, texts, &mut (), &input)?;
    let rows = logits.data.chunks(logits.form.cols).map(|row| ring64::decode_slice(row, logits.form.frac));
    // as the client reads them: what is beyond the ring's half is negative
    let certificates = certificates.iter().flat_map(|c| ring64::decode_slice(&c.data, CERTIFICATE_FRAC));
    Ok(rows.zip(certificates).collect())
}
