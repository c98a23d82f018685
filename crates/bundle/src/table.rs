//! The embedding table that a client holds when it embeds its texts itself.

use std::fmt;

use model::{Folded, Shape, Weight};
use ndarray::Array2;

use crate::tensors::Tensor;

/// The folded and centred tables in clear.
#[derive(Clone, PartialEq)]
pub struct Table {
    /// One row a word, then one row a segment.
    pub embedding: Array2<f32>,
    /// One row a position.
    pub position: Array2<f32>,
}

impl Table {
    /// The tables of a folded network.
    pub fn of(folded: &Folded) -> Table {
        let table = |weight| folded.matrix(weight).weight.clone();
        Table { embedding: table(Weight::Embedding), position: table(Weight::Position) }
    }

    /// The rows that the client shares, one a token: the embedding after its LayerNorm, before scale and shift. `None`
    /// where a word, a segment or the number of tokens is beyond the tables.
    pub fn embed(&self, shape: &Shape, ids: &[u32], segments: &[u32]) -> Option<Array2<f32>> {
        let within = |of: &[u32], most: usize| of.iter().all(|v| (*v as usize) < most);
        let fits = ids.len() <= self.position.nrows() && ids.len() == segments.len();
        if !fits || !within(ids, shape.words) || !within(segments, shape.segments) {
            return None;
        }
        let mut rows = Array2::zeros((ids.len(), shape.width));
        for (i, (id, segment)) in ids.iter().zip(segments).enumerate() {
            let mut row = rows.row_mut(i);
            row += &self.embedding.row(*id as usize);
            row += &self.embedding.row(shape.words + *segment as usize);
            row += &self.position.row(i);
            let mean_square = row.dot(&row) / shape.width as f32;
            row /= (mean_square + shape.eps as f32).sqrt();
        }
        Some(rows)
    }

    pub(crate) fn tensors(shape: &Shape) -> [Tensor; 2] {
        let tensor = |name: Weight, rows| Tensor { name: name.to_string(), shape: vec![rows, shape.width] };
        [tensor(Weight::Embedding, shape.one_hot()), tensor(Weight::Position, shape.positions)]
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (e, p) = (self.embedding.dim(), self.position.dim());
        write!(f, "Table {{ embedding: {e:?} values, position: {p:?} values }}")
    }
}
