//! A student as integers, and the bundle of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bundle::{BundleId, Contents, Embedding, EmbeddingTable, WriteOptions};
use model::{Folded, InputKind, ProblemType, Quantised, Ranges, Spec, choose, quantise};

use crate::calibration::with_unusual;
use crate::error::ConvertError;
use crate::paths::check_output;
use crate::student::Student;

/// A student at the scales of its spec.
pub struct Converted {
    /// Scales and series.
    pub spec: Arc<Spec>,
    /// The folded network with its neurons in the order of the spec; the same function as the student's.
    pub folded: Folded,
    /// Which neuron comes to which place in each layer.
    pub orders: Vec<Vec<usize>>,
    /// The weights as ring words, for [`model::Clear`].
    pub quantised: Quantised,
    /// What the logits mean.
    pub problem: ProblemType,
}

impl fmt::Debug for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Converted {{ weights: {} secret }}", self.quantised.len())
    }
}

/// Chooses scales and series for these ranges, orders the neurons by their classes, and rounds the weights.
pub fn convert(student: &Student, ranges: &Ranges) -> Result<Converted, ConvertError> {
    let choice = choose(student.shape(), &with_unusual(student, ranges)?)?;
    let mut folded = student.folded.clone();
    for (layer, order) in choice.orders.iter().enumerate() {
        folded.permute_neurons(layer, order);
    }
    let quantised = quantise(folded.matrices(), &choice.spec.calibrated(InputKind::OneHot).scales)?;
    let (spec, orders, problem) = (Arc::new(choice.spec), choice.orders, student.config.problem());
    Ok(Converted { spec, folded, orders, quantised, problem })
}

/// Splits a converted student between the roles, with fresh seeds. The folder is written whole or not at all.
pub fn write_bundle(
    student: &Student,
    converted: &Converted,
    embedding: Embedding,
    folder: &Path,
    options: WriteOptions<'_>,
) -> Result<BundleId, ConvertError> {
    check_output(&student.folder, folder)?;
    let table = (embedding == Embedding::Client).then(|| EmbeddingTable::of(&converted.folded));
    let contents = Contents {
        spec: &converted.spec,
        quantised: &converted.quantised,
        embedding,
        config_json: &student.config_json,
        tokenizer_json: &student.tokenizer_json,
        table: table.as_ref(),
    };
    Ok(bundle::write(folder, &contents, options)?)
}
