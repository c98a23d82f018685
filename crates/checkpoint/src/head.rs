//! The head of a classifier of texts: its tensors, and how many labels it has.

use model::Config;

use crate::family::Family;
use crate::header::Header;
use crate::layout::Layout;

/// A head's weight and its bias.
pub(crate) const HEAD: [&str; 2] = ["classifier.weight", "classifier.bias"];

/// Rows of the head, if there is one.
pub(crate) fn rows_of_head(family: Family, config: &Config, headers: &[Header]) -> Option<usize> {
    let layout = Layout::find(family, headers).ok().filter(|_| is_of_texts(config))?;
    let mut all = headers.iter().flat_map(|header| &header.tensors);
    let (_, weight) = all.find(|(full, _)| layout.canonical(full).as_deref() == Some(HEAD[0]))?;
    weight.shape.first().copied()
}

/// Whether a head, if there is one, is of whole texts: those of tokens and of choices have the same names.
pub(crate) fn is_of_texts(config: &Config) -> bool {
    let names = config.extra.get("architectures").and_then(|names| names.as_array());
    let mut names = names.into_iter().flatten().filter_map(|name| name.as_str());
    !names.any(|name| name.ends_with("ForTokenClassification") || name.ends_with("ForMultipleChoice"))
}
