//! Special tokens, as a folder or a class gives them.

use tokenizers::AddedToken;

/// A special token, named by its word or given with its flags.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Special {
    Word(String),
    Token(AddedToken),
}

impl Special {
    pub(super) fn word(&self) -> &str {
        match self {
            Special::Word(word) => word,
            Special::Token(token) => &token.content,
        }
    }
}
