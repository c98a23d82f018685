//! The folder of a student, read once and checked.

use std::fmt;
use std::path::{Path, PathBuf};

use datasets::Tokenizer;
use model::{AttentionKind, Config, Folded, Ranges, Sample, Shape, fit_row_shifts, fold};

use crate::error::ConvertError;

/// A student with its weights folded and its tokenizer.
pub struct Student {
    /// Its folder.
    pub folder: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// `config.json` as it stands, or that of the BERT that the student was read as.
    pub config_json: Vec<u8>,
    /// `tokenizer.json` for a tokenizer as it was read, which is the file as it stands where nothing beside it says otherwise.
    pub tokenizer_json: Vec<u8>,
    /// The tokenizer, cut to the model's positions.
    pub tokenizer: Tokenizer,
    /// The folded network, for [`model::Float`].
    pub folded: Folded,
}

fn json(folder: &Path, config: &Config) -> Result<Vec<u8>, ConvertError> {
    let failed = |e: serde_json::Error| ConvertError::Io { path: folder.join("config.json"), source: e.into() };
    serde_json::to_vec_pretty(config).map_err(failed)
}

impl Student {
    /// Reads `config.json`, the weights and `tokenizer.json`.
    pub fn read(folder: &Path) -> Result<Student, ConvertError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| ConvertError::Io { path, source })
        };
        let config = checkpoint::read_config(folder)?;
        let tokenizer = Tokenizer::load(folder, config.max_position_embeddings)?;
        if let Some(got) = tokenizer.largest_id()?.filter(|id| *id as usize >= config.vocab_size) {
            let (path, expected) = (folder.join("tokenizer.json"), config.vocab_size);
            return Err(ConvertError::Vocabulary { path, expected, got });
        }
        let tokenizer_json = tokenizer.to_json()?;
        let read_weights = checkpoint::read(folder, &config)?;
        read_weights.notes.iter().for_each(|note| cli::log(&format!("note: {note}")));
        let folded = fold(&Shape::of(&config), &read_weights.tensors)
            .map_err(|source| ConvertError::Fold { folder: folder.into(), source })?;
        let config_json = match read("config.json")? {
            json if str::from_utf8(&json)
                .is_ok_and(|text| Config::from_json(text).is_ok_and(|stored| stored == config)) =>
            {
                json
            }
            _ => json(folder, &config)?,
        };
        Ok(Student { folder: folder.into(), config, config_json, tokenizer_json, tokenizer, folded })
    }

    /// The same for texts of at most so many tokens; one that takes no more is left as it is.
    pub fn shorten(&mut self, positions: usize) -> Result<(), ConvertError> {
        if positions >= self.config.max_position_embeddings {
            return Ok(());
        }
        self.config.max_position_embeddings = positions;
        self.tokenizer = Tokenizer::load(&self.folder, positions)?;
        self.tokenizer_json = self.tokenizer.to_json()?;
        self.config_json = json(&self.folder, &self.config)?;
        self.folded.shorten(positions);
        Ok(())
    }

    /// Whether its attention is softmax, of which the shifts of rows are fitted to texts before it is observed.
    pub fn is_softmax(&self) -> bool {
        self.shape().attention == AttentionKind::Softmax
    }

    /// Fits the shifts of softmax to texts. `step` is called at each.
    pub fn fit_row_shifts(&mut self, samples: &[Sample], step: &(dyn Fn() + Sync)) -> Result<(), ConvertError> {
        Ok(fit_row_shifts(&mut self.folded, samples, step)?)
    }

    /// Says on standard error what is unusual about its tokenizer.
    pub fn warn(&self) {
        for note in self.tokenizer.notes() {
            cli::log(&format!("warning: {note}"));
        }
    }

    /// The public shape.
    pub fn shape(&self) -> &Shape {
        &self.folded.shape
    }

    /// The ranges that `distill` left in `calibration.json`, or an error that says how to come by some. Softmax has none there:
    /// they depend on the shifts that a conversion fits.
    pub fn stored_ranges(&self) -> Result<Ranges, ConvertError> {
        if self.is_softmax() {
            return Err(ConvertError::Uncalibrated { folder: self.folder.clone() });
        }
        let path = self.folder.join("calibration.json");
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| ConvertError::Ranges { path, source }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(ConvertError::NoRanges { folder: self.folder.clone() })
            }
            Err(source) => Err(ConvertError::Io { path, source }),
        }
    }
}

impl Student {
    /// Refuses ranges of another model: they cannot be put together with ours.
    pub(crate) fn check_ranges(&self, ranges: &Ranges) -> Result<(), ConvertError> {
        Ok(model::check_ranges(self.shape(), ranges)?)
    }
}

impl fmt::Debug for Student {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Student {{ folder: {:?}, weights: secret }}", self.folder)
    }
}
