//! Ranges from training texts, and the texts by which a conversion is judged.

use datasets::{Empty, Example, Length, Source, Split, Target, Tokenizer, encode_all, unusual_texts};
use model::{ProblemType, Ranges, Sample, Shape, calibrate, calibrate_unusual, stretched_count};

use crate::error::ConvertError;
use crate::student::Student;

/// Labelled texts, with their answers as a student names them.
#[derive(Clone, Debug)]
pub struct Sentences {
    source: Source,
    target: Target,
    length: Length,
    quiet: bool,
}

/// Texts as a network takes them.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// One a text, in order.
    pub samples: Vec<Sample>,
    /// Numbers of the texts whose end was cut off, from 1.
    pub truncated: Vec<usize>,
}

impl Sentences {
    /// The texts of that source; an error where it asks another kind of question than the student answers. Quiet means that
    /// what comes from the hub shows no progress.
    pub fn new(source: Source, student: &Student, length: Length, quiet: bool) -> Result<Sentences, ConvertError> {
        let multi_label = student.config.problem() == ProblemType::MultiLabel;
        let target = source.target(Some(&Target::of_model(&student.config.labels(), multi_label)))?;
        Ok(Sentences { source, target, length, quiet })
    }

    /// As many training texts, evenly spread over all.
    pub fn training(&self, student: &Student, samples: usize) -> Result<Encoded, ConvertError> {
        let examples = self.load(Split::Train)?;
        let wanted = samples.clamp(1, examples.len());
        let spread = (0..wanted).map(|i| &examples[i * examples.len() / wanted]);
        self.encode(student, spread)
    }

    /// The first validation texts, which calibration does not see.
    pub fn held_out(&self, student: &Student, most: usize) -> Result<Encoded, ConvertError> {
        let examples = self.load(Split::Dev)?;
        let first = examples.iter().take(most);
        self.encode(student, first)
    }

    fn encode<'a>(
        &self,
        student: &Student,
        examples: impl Iterator<Item = &'a Example>,
    ) -> Result<Encoded, ConvertError> {
        let texts = examples.map(Example::texts);
        encode_with(&student.tokenizer, student.shape(), texts, self.length, Empty::of(&self.source))
    }

    fn load(&self, split: Split) -> Result<Vec<Example>, ConvertError> {
        let loaded = match self.quiet {
            true => self.source.load_quietly(split, &self.target),
            false => self.source.load(split, &self.target),
        }?;
        loaded.notes.iter().for_each(|note| cli::log(note));
        Ok(loaded.examples)
    }
}

/// Observes a student over texts. `begin` is told how many steps there are, `step` is called at each.
pub fn observe(
    student: &Student,
    samples: &[Sample],
    begin: impl FnOnce(u64),
    step: &(dyn Fn() + Sync),
) -> Result<Ranges, ConvertError> {
    begin((samples.len() + stretched_count(samples, student.shape().positions)) as u64);
    Ok(calibrate(&student.folded, samples, step)?)
}

/// Texts unlike those that the student is for, as it takes them; pairs of them where it was taught pairs.
pub fn unusual(student: &Student) -> Result<Vec<Sample>, ConvertError> {
    let texts = unusual_texts(student.config.text_pair() == Some(true));
    let given = texts.iter().map(|(text, second)| (text.as_str(), second.as_deref()));
    Ok(encode_with(&student.tokenizer, student.shape(), given, Length::default(), Empty::Taken)?.samples)
}

/// The ranges with those over unusual texts: domains reach there where that is nearly free.
pub(crate) fn with_unusual(student: &Student, ranges: &Ranges) -> Result<Ranges, ConvertError> {
    let mut ranges = ranges.clone();
    // the exponentials of softmax are fitted to its own texts alone
    if ranges.unusual.is_none() && !student.is_softmax() {
        let samples = unusual(student)?;
        ranges.unusual = Some(Box::new(calibrate_unusual(&student.folded, &samples, &|| ())?));
    }
    Ok(ranges)
}

/// Texts and pairs as the network of that shape takes them. One of which the tokenizer leaves nothing is refused.
pub fn encode<'a>(
    tokenizer: &Tokenizer,
    shape: &Shape,
    texts: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    length: Length,
) -> Result<Encoded, ConvertError> {
    encode_with(tokenizer, shape, texts, length, Empty::Refused)
}

/// The same where it is said what becomes of texts of which nothing is left.
pub fn encode_with<'a>(
    tokenizer: &Tokenizer,
    shape: &Shape,
    texts: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    length: Length,
    empty: Empty,
) -> Result<Encoded, ConvertError> {
    let mut encoded = Encoded { samples: Vec::new(), truncated: Vec::new() };
    for text in encode_all(tokenizer, texts, length, empty, &|| ())?.texts {
        encoded.samples.push(Sample::new(text.ids, text.type_ids, shape)?);
        if text.truncated {
            encoded.truncated.push(encoded.samples.len());
        }
    }
    Ok(encoded)
}

impl Encoded {
    /// What to tell the user about texts that were cut, if any were.
    pub fn warning(&self, kind: &str, shape: &Shape) -> Option<String> {
        let (cut, all, most) = (self.truncated.len(), self.samples.len(), shape.positions);
        let warn =
            || format!("warning: {cut} of {all} {kind} texts have more than {most} tokens; their ends were cut off");
        (cut > 0).then(warn)
    }
}
