//! How a batch's output is opened to the client.

use std::iter::once;

use model::{CERTIFICATE_FRAC, Spec, Texts};
use mpc::OutputShape;

/// How the output is opened to the client: the logits of all texts, and where they come with certificates each text's own.
pub fn output_shapes(spec: &Spec, texts: &Texts, frac: i32, certified: bool) -> Vec<OutputShape> {
    let kept = frac.min(spec.logits.frac);
    let logits = OutputShape { count: spec.shape.labels * texts.len(), shift: (frac - kept) as u32, frac: kept };
    let certificate = |rows: &usize| {
        let frac = spec.certificate_frac(texts.class(*rows, &spec.shape));
        OutputShape { count: 1, shift: (CERTIFICATE_FRAC - frac) as u32, frac }
    };
    let certificates = texts.lengths().iter().filter(|_| certified).map(certificate);
    once(logits).chain(certificates).collect()
}
