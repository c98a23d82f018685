//! Many texts to tokens.

use crate::{Encoding, Error, Length, Tokenizer};

/// Texts as tokens.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// One a text, in order.
    pub texts: Vec<Encoding>,
    /// How many were cut.
    pub truncated: usize,
}

/// Encodes texts and pairs in order. `step` is called after each.
pub fn encode_all<'a>(
    tokenizer: &Tokenizer,
    texts: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    length: Length,
    step: &dyn Fn(),
) -> Result<Encoded, Error> {
    let mut encoded = Encoded::default();
    for (text, pair) in texts {
        let one = tokenizer.encode(text, pair)?;
        if one.truncated && length.no_truncate {
            return Err(Error::TooLong { text: encoded.texts.len() + 1, most: tokenizer.max_length() });
        }
        encoded.truncated += usize::from(one.truncated);
        encoded.texts.push(one);
        step();
    }
    Ok(encoded)
}
