//! Many texts to tokens.

use crate::{Encoding, Error, Length, Source, Tokenizer};

/// Texts as tokens.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// One a text, in order.
    pub texts: Vec<Encoding>,
    /// How many were cut.
    pub truncated: usize,
}

/// What becomes of a text of which the tokenizer leaves nothing, such as one of zero-width characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// It is refused, as an empty text is.
    Refused,
    /// It is encoded as an empty text: no row of a task may be left out.
    Taken,
}

impl Empty {
    /// Tasks have their rows from others; in files of the user's own an empty text is a mistake.
    pub fn of(source: &Source) -> Empty {
        if source.task().is_some() { Empty::Taken } else { Empty::Refused }
    }
}

/// Encodes texts and pairs in order. `step` is called after each.
pub fn encode_all<'a>(
    tokenizer: &Tokenizer,
    texts: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    length: Length,
    empty: Empty,
    step: &dyn Fn(),
) -> Result<Encoded, Error> {
    let mut encoded = Encoded::default();
    for (text, pair) in texts {
        let (one, nothing) = tokenizer.encode_telling(text, pair)?;
        let number = encoded.texts.len() + 1;
        if let (Some(part), Empty::Refused) = (nothing, empty) {
            return Err(Error::Nothing { text: number, second: part > 0 });
        }
        if one.truncated && length.no_truncate {
            return Err(Error::TooLong { text: number, most: tokenizer.max_length() });
        }
        encoded.truncated += usize::from(one.truncated);
        encoded.texts.push(one);
        step();
    }
    Ok(encoded)
}
