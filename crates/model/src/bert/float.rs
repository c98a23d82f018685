//! A folded BERT in floating point, on tokenised texts.

use ndarray::Array2;

use super::InputKind;
use crate::float::{Float, Observer};
use crate::fold::Folded;
use crate::functions::Functions;
use crate::network::{Network, Output};
use crate::sample::{SampleError, one_hot};
use crate::shape::Texts;

impl Folded {
    /// Logits of a batch, one row a text.
    pub fn logits(&self, texts: &Texts, ids: &[u32], segments: &[u32]) -> Result<Array2<f32>, SampleError> {
        self.observed(Functions::Series, &mut (), texts, ids, segments)
    }

    /// The same where these functions stand for softmax and GeLU: 2Quad and GeLU, a quadratic in GeLU's place, or softmax and
    /// GeLU. The observer sees every value that a private run would open.
    pub fn observed<O: Observer>(
        &self,
        functions: Functions,
        observer: &mut O,
        texts: &Texts,
        ids: &[u32],
        segments: &[u32],
    ) -> Result<Array2<f32>, SampleError> {
        let bert = self.bert();
        debug_assert_eq!(bert.kind, InputKind::OneHot, "a folded network has its tables");
        let input = one_hot(&bert.shape, texts, ids, segments)?;
        let mut engine = Float::new(bert.table(), self.matrices(), observer, functions);
        match bert.run(&mut engine, texts, &mut (), &input) {
            Ok(Output { results, .. }) => Ok(results),
            Err(never) => match never {},
        }
    }
}
