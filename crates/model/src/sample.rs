//! Tokenised texts, and what the client makes of them: nothing is looked up before it was held against the tables.

use std::fmt;

use ndarray::Array2;

use crate::shape::{Shape, Texts};

/// One tokenised text. Built from anything; every reader in this crate checks it against its shape first.
#[derive(Clone, PartialEq, Eq)]
pub struct Sample {
    /// Words, the special ones included.
    pub ids: Vec<u32>,
    /// Segment of each word.
    pub segments: Vec<u32>,
}

/// Stands among the words of a batch where a padded text has none; no model has a word of this number.
pub const PADDING: u32 = u32::MAX;

/// Why tokens are not a text of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// No token at all.
    #[error("a text needs at least one token")]
    Empty,
    /// More tokens than positions.
    #[error("a text has {got} tokens; this model takes at most {most}")]
    Length {
        /// Its tokens.
        got: usize,
        /// The model's positions.
        most: usize,
    },
    /// Not one segment a token.
    #[error("{segments} segments for {tokens} tokens; expected one a token")]
    Uneven {
        /// Tokens.
        tokens: usize,
        /// Segments.
        segments: usize,
    },
    /// A word that the model does not have.
    #[error("token {place} has the id {got}; this model's ids are below {words}: use the model's own tokenizer")]
    Word {
        /// Number of the token.
        place: usize,
        /// Its id.
        got: u32,
        /// Words of the model.
        words: usize,
    },
    /// A segment that the model does not have.
    #[error("token {place} has the segment {got}; this model's segments are below {segments}")]
    Segment {
        /// Number of the token.
        place: usize,
        /// Its segment.
        got: u32,
        /// Segments of the model.
        segments: usize,
    },
    /// Not as many tokens as the texts have together.
    #[error("{got} tokens for texts of {expected} tokens together")]
    Rows {
        /// Tokens.
        got: usize,
        /// Tokens of all texts.
        expected: usize,
    },
    /// More tokens than the class that a text is padded to, or not as many as it has where it is not padded.
    #[error("a text of {got} tokens does not fill {rows} rows")]
    Fill {
        /// Its tokens.
        got: usize,
        /// Rows of the text in its batch.
        rows: usize,
    },
    /// An embedding table of another model.
    #[error("a table of {got:?} rows and columns; this model's has {expected:?}")]
    Table {
        /// Rows and columns.
        got: (usize, usize),
        /// Those of the shape.
        expected: (usize, usize),
    },
}

impl Sample {
    /// A text that fits the model.
    pub fn new(ids: Vec<u32>, segments: Vec<u32>, shape: &Shape) -> Result<Sample, SampleError> {
        let sample = Sample { ids, segments };
        sample.check(shape)?;
        Ok(sample)
    }

    /// Whether the text fits the model: one token to all positions, a segment each, all of them in the tables.
    pub fn check(&self, shape: &Shape) -> Result<(), SampleError> {
        let tokens = self.ids.len();
        if tokens == 0 {
            return Err(SampleError::Empty);
        }
        if tokens > shape.positions {
            return Err(SampleError::Length { got: tokens, most: shape.positions });
        }
        check_tokens(shape, &self.ids, &self.segments)
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sample {{ {} tokens, secret }}", self.ids.len())
    }
}

/// The words of a batch row by row, with their segments: after those of each text, [`PADDING`] where it is padded.
pub fn batch_rows(shape: &Shape, texts: &Texts, samples: &[Sample]) -> Result<(Vec<u32>, Vec<u32>), SampleError> {
    if samples.len() != texts.len() {
        return Err(SampleError::Rows { got: samples.len(), expected: texts.len() });
    }
    let (mut ids, mut segments) = (Vec::with_capacity(texts.rows()), Vec::with_capacity(texts.rows()));
    for (sample, rows) in samples.iter().zip(texts.lengths()) {
        let got = sample.ids.len();
        if got != *rows && (got > *rows || !texts.is_padded()) {
            return Err(SampleError::Fill { got, rows: *rows });
        }
        // so that no word of a text is taken for padding
        sample.check(shape)?;
        ids.extend(sample.ids.iter().copied().chain(std::iter::repeat_n(PADDING, rows - got)));
        segments.extend(sample.segments.iter().copied().chain(std::iter::repeat_n(0, rows - got)));
    }
    Ok((ids, segments))
}

/// A segment each, all of them in the tables.
fn check_tokens(shape: &Shape, ids: &[u32], segments: &[u32]) -> Result<(), SampleError> {
    if ids.len() != segments.len() {
        return Err(SampleError::Uneven { tokens: ids.len(), segments: segments.len() });
    }
    let beyond = |of: &[u32], most: usize| of.iter().position(|v| *v as usize >= most);
    if let Some(place) = beyond(ids, shape.words) {
        return Err(SampleError::Word { place, got: ids[place], words: shape.words });
    }
    match beyond(segments, shape.segments) {
        Some(place) => Err(SampleError::Segment { place, got: segments[place], segments: shape.segments }),
        None => Ok(()),
    }
}

/// Whether the tokens are those of the texts, and the texts those of the model.
fn check_batch(shape: &Shape, texts: &Texts, ids: &[u32], segments: &[u32]) -> Result<(), SampleError> {
    if let Some(got) = texts.lengths().iter().find(|n| **n > shape.positions) {
        return Err(SampleError::Length { got: *got, most: shape.positions });
    }
    if ids.len() != texts.rows() {
        return Err(SampleError::Rows { got: ids.len(), expected: texts.rows() });
    }
    if !texts.is_padded() {
        return check_tokens(shape, ids, segments);
    }
    if ids.len() != segments.len() {
        return Err(SampleError::Uneven { tokens: ids.len(), segments: segments.len() });
    }
    let words = ids.iter().zip(segments).filter(|(id, _)| **id != PADDING);
    let (ids, segments): (Vec<u32>, Vec<u32>) = words.unzip();
    check_tokens(shape, &ids, &segments)
}

/// One-hot rows of the tokens and segments of a batch; rows of [`PADDING`], where texts are padded, are zero.
pub fn one_hot(shape: &Shape, texts: &Texts, ids: &[u32], segments: &[u32]) -> Result<Array2<f32>, SampleError> {
    check_batch(shape, texts, ids, segments)?;
    let mut rows = Array2::zeros((ids.len(), shape.one_hot()));
    for (i, (id, segment)) in ids.iter().zip(segments).enumerate().filter(|(_, (id, _))| **id != PADDING) {
        rows[(i, *id as usize)] = 1.0;
        rows[(i, shape.words + *segment as usize)] = 1.0;
    }
    Ok(rows)
}

/// The rows of one text that a client which holds the tables shares: the embedding after its LayerNorm, before scale and
/// shift. `embedding` has one row a word and then one row a segment, `position` one row a position, both centred.
pub fn embed(
    shape: &Shape,
    embedding: &Array2<f32>,
    position: &Array2<f32>,
    ids: &[u32],
    segments: &[u32],
) -> Result<Array2<f32>, SampleError> {
    for (table, rows) in [(embedding, shape.one_hot()), (position, shape.positions)] {
        if table.dim() != (rows, shape.width) {
            return Err(SampleError::Table { got: table.dim(), expected: (rows, shape.width) });
        }
    }
    if ids.len() > shape.positions {
        return Err(SampleError::Length { got: ids.len(), most: shape.positions });
    }
    check_tokens(shape, ids, segments)?;
    let mut rows = Array2::zeros((ids.len(), shape.width));
    for (i, (id, segment)) in ids.iter().zip(segments).enumerate() {
        let mut row = rows.row_mut(i);
        row += &embedding.row(*id as usize);
        row += &embedding.row(shape.words + *segment as usize);
        row += &position.row(i);
        let mean_square = row.dot(&row) / shape.width as f32;
        row /= (mean_square + shape.eps as f32).sqrt();
    }
    Ok(rows)
}
