//! Answers that are not certified: a text's values left the domains of the series, and what came out may be anything.

use anyhow::Result;
use cli::coded;
use cli::exit::UNCERTIFIED;

/// Most numbers of texts that a message names.
const NAMED: usize = 10;

/// Which texts of a run have no certified answer.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    seen: usize,
    /// Numbers of the texts, from 1.
    texts: Vec<usize>,
}

impl Refused {
    /// Counts the next text, and says whether its answer is given: where it is certified, where the engine does not check itself,
    /// or where all answers are wanted.
    pub(crate) fn gives(&mut self, certified: Option<bool>, uncertified: bool) -> bool {
        self.seen += 1;
        if certified == Some(false) {
            self.texts.push(self.seen);
        }
        uncertified || certified != Some(false)
    }

    /// Texts that were counted.
    pub(crate) fn seen(&self) -> usize {
        self.seen
    }

    /// Numbers of the texts, from 1.
    pub(crate) fn texts(&self) -> &[usize] {
        &self.texts
    }

    /// An error where answers were held back, a warning where they were given all the same.
    pub(crate) fn outcome(&self, uncertified: bool) -> Result<()> {
        if self.texts.is_empty() {
            return Ok(());
        }
        let mut numbers: Vec<String> = self.texts.iter().take(NAMED).map(ToString::to_string).collect();
        numbers.extend((self.texts.len() > NAMED).then(|| "...".into()));
        let which = format!(
            "{} of {} texts (number {}) left the domains that the model was converted for",
            self.texts.len(),
            self.seen,
            numbers.join(", ")
        );
        if uncertified {
            cli::log(&format!("warning: {which}: their logits may be wrong"));
            return Ok(());
        }
        let cure = "give texts of the kind that the model was taught, have its owner convert it with --calibrate on texts like \
                    these, or say --uncertified for logits that may be wrong";
        Err(coded(UNCERTIFIED, format!("{which}, so no answer is given; {cure}")))
    }
}

#[cfg(test)]
mod tests {
    use cli::exit::code_in;

    use super::*;

    #[test]
    fn what_is_not_certified_is_counted_and_held_back_unless_wanted() {
        let mut refused = Refused::default();
        let given = [Some(true), Some(false), None, Some(false)].map(|certified| refused.gives(certified, false));
        assert_eq!(given, [true, false, true, false]);
        assert_eq!(refused.texts(), [2, 4]);
        let error = refused.outcome(false).unwrap_err();
        assert_eq!(error.chain().find_map(code_in), Some(UNCERTIFIED));
        assert!(error.to_string().starts_with("2 of 4 texts (number 2, 4) left"), "{error}");
        assert!(refused.gives(Some(false), true));
        assert!(refused.outcome(true).is_ok() && Refused::default().outcome(false).is_ok());
    }
}
