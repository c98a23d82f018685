//! A student as integers, and the bundle of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bundle::{BundleId, Contents, Embedding, Table, WriteOptions};
use model::{CERTIFICATE_FRACS, Folded, InputKind, ORDINARY, ProblemType, Quantised, Ranges, Spec, choose, quantise};

use crate::calibration::with_unusual;
use crate::comparison::Comparison;
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

impl Converted {
    /// Holds the bounds of certificates to those of texts of the kind that the model is for: ten times as much is accepted, or
    /// the conversion is refused.
    pub fn accept(&mut self, comparison: &Comparison) -> Result<(), ConvertError> {
        let spec = Arc::make_mut(&mut self.spec);
        for (class, largest) in comparison.certificates.iter().enumerate() {
            let tokens = 1 << class;
            while ORDINARY * largest > spec.certificate_limit(tokens) {
                if spec.certificates[class] == *CERTIFICATE_FRACS.start() {
                    let limit = spec.certificate_limit(tokens) / ORDINARY;
                    return Err(ConvertError::Certificate { tokens, largest: *largest, limit });
                }
                spec.certificates[class] -= 1;
            }
        }
        Ok(())
    }
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
    let table = (embedding == Embedding::Client).then(|| Table::of(&converted.folded));
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
