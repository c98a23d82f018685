//! The embedding table that a client holds when it embeds its texts itself.

use std::fmt;

use model::{Bert, BertWeight, Folded, InputKind, Network, SampleError, Shape};
use ndarray::Array2;

use crate::tensors::Tensor;

/// The folded and centred tables in clear.
#[derive(Clone, PartialEq)]
pub struct EmbeddingTable {
    /// One row a word, then one row a segment.
    pub embedding: Array2<f32>,
    /// One row a position.
    pub position: Array2<f32>,
}

impl EmbeddingTable {
    /// The tables of a folded network.
    pub fn of(folded: &Folded) -> EmbeddingTable {
        let table = |weight| folded.matrix(weight).weight.clone();
        EmbeddingTable { embedding: table(BertWeight::Embedding), position: table(BertWeight::Position) }
    }

    /// The rows that the client shares, one a token: see [`model::embed`].
    pub fn embed(&self, shape: &Shape, ids: &[u32], segments: &[u32]) -> Result<Array2<f32>, SampleError> {
        model::embed(shape, &self.embedding, &self.position, ids, segments)
    }

    pub(crate) fn tensors(shape: &Shape) -> [Tensor; 2] {
        let bert = Bert::new(shape.clone(), InputKind::Embedded);
        [BertWeight::Embedding, BertWeight::Position].map(|weight| {
            let parameter = &bert.table()[bert.weight(weight)];
            Tensor { name: parameter.name.clone(), shape: vec![parameter.rows, parameter.cols] }
        })
    }
}

impl fmt::Debug for EmbeddingTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (e, p) = (self.embedding.dim(), self.position.dim());
        write!(f, "EmbeddingTable {{ embedding: {e:?} values, position: {p:?} values }}")
    }
}
