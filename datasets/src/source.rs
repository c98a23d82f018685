//! Where examples come from: a GLUE folder, the hub, or files of the user's own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::discover::discover;
use crate::example::{Asked, Loaded, examples};
use crate::files::Files;
use crate::metrics::{Metric, Metrics};
use crate::table::{Table, unpacked_name};
use crate::target::{Fit, Label, Target};
use crate::{AnswerType, Error, Split, Task};

/// A labelled data set and how it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A task of GLUE, in a folder or, without one, on the hub.
    Glue {
        /// The task.
        task: Task,
        /// The GLUE folder, or the task's own.
        folder: Option<PathBuf>,
    },
    /// Files of the user's own.
    Files(Files),
}

impl Source {
    /// A short name for results and folders: `mrpc`, or the stem of the file.
    pub fn name(&self) -> String {
        match self {
            Source::Glue { task, .. } => task.key().into(),
            Source::Files(files) => {
                let name = files.train.as_deref().or(files.validation.as_deref()).map(unpacked_name);
                let stem = name.as_deref().map(Path::new).and_then(Path::file_stem);
                stem.map_or("texts".into(), |stem| stem.to_string_lossy().into_owned())
            }
        }
    }

    /// The task of GLUE, if it is one.
    pub fn task(&self) -> Option<Task> {
        match self {
            Source::Glue { task, .. } => Some(*task),
            Source::Files(_) => None,
        }
    }

    /// What the answers are. With a model at hand, as the model names and orders them; without, as the task or the
    /// training file has them.
    pub fn target(&self, model: Option<&Target>) -> Result<Target, Error> {
        let other = |asked: &str, given| Error::Target { asked: asked.into(), given: words(given), name: self.name() };
        let asked = match (self, model) {
            (Source::Glue { task, .. }, _) => task.target(),
            (Source::Files(files), _) if files.answers == Some(AnswerType::Regression) => Target::Number,
            (Source::Files(files), Some(model)) => {
                return match (files.answers, model) {
                    (Some(AnswerType::MultiLabel), Target::Classes(_) | Target::Number) => {
                        Err(other("any of some labels", model))
                    }
                    (Some(AnswerType::SingleLabel), Target::Labels(_) | Target::Number) => {
                        Err(other("one of some classes", model))
                    }
                    _ => Ok(model.clone()),
                };
            }
            (Source::Files(files), None) => discover(files)?,
        };
        let Some(model) = model else { return Ok(asked) };
        match asked.fit(model) {
            Fit::Named(target) | Fit::Unnamed(target) => Ok(target),
            Fit::Other => Err(other(&words(&asked), model)),
        }
    }

    /// How answers are judged.
    pub fn metrics(&self, target: &Target) -> &'static [Metric] {
        match (self, target) {
            (Source::Glue { task, .. }, _) => task.metrics(),
            (Source::Files(_), Target::Number) => &[Metric::Pearson, Metric::Spearman],
            (Source::Files(_), Target::Classes(names)) if names.len() == 2 => &[Metric::Accuracy, Metric::F1],
            (Source::Files(_), Target::Classes(_)) => &[Metric::Accuracy],
            (Source::Files(_), Target::Labels(_)) => &[Metric::F1Micro, Metric::F1Macro, Metric::Accuracy],
        }
    }

    /// Judges rows of logits against the true answers, both in the order of `target`. What a score asks of a certain class,
    /// it asks of the task's.
    pub fn judge<T: Copy + Into<f64>>(&self, target: &Target, logits: &[Vec<T>], truth: &[Label]) -> Metrics {
        let metrics = self.metrics(target);
        let Some(task) = self.task() else { return Metrics::of(metrics, logits, truth) };
        let places = task.target().places_in(target);
        let rows: Vec<Vec<T>> =
            logits.iter().map(|row| places.iter().filter_map(|p| row.get(*p).copied()).collect()).collect();
        let class = |label: &Label| match label {
            Label::Class(class) => Label::Class(places.iter().position(|p| p == class).unwrap_or(*class)),
            other => other.clone(),
        };
        Metrics::of(metrics, &rows, &truth.iter().map(class).collect::<Vec<_>>())
    }

    /// Reads one part, its answers as `target` has them.
    pub fn load(&self, split: Split, target: &Target) -> Result<Loaded, Error> {
        self.read(split, target, false)
    }

    /// The same without showing the progress of what comes from the hub.
    pub fn load_quietly(&self, split: Split, target: &Target) -> Result<Loaded, Error> {
        self.read(split, target, true)
    }

    fn read(&self, split: Split, target: &Target, quiet: bool) -> Result<Loaded, Error> {
        let (task, paths) = match self {
            Source::Glue { task, folder: Some(folder) } => (*task, find(*task, folder, split)?),
            Source::Glue { task, folder: None } => (*task, crate::hub_files(*task, split, quiet)?),
            Source::Files(files) => {
                let table = Table::read(files.of(split)?)?;
                if files.delimiter.is_some() && !matches!(target, Target::Labels(_)) {
                    let message = "--label-delimiter parts the labels of a text; say --problem-type multi_label too";
                    return Err(Error::Usage(message.into()));
                }
                return examples(&table, &files.columns(&table)?, target, Asked::Own(files.delimiter));
            }
        };
        let mut loaded = Loaded::default();
        for path in paths {
            let parquet = path.extension().is_some_and(|ending| ending == "parquet");
            let (table, layout) = match parquet {
                true => (Table::read(&path)?, task.parquet_layout()),
                false => (Table::glue(&path, task.has_header())?, task.tsv_layout()),
            };
            let mut part = examples(&table, &layout.into(), target, Asked::Task(task))?;
            loaded.examples.append(&mut part.examples);
            loaded.skipped += part.skipped;
            loaded.notes.append(&mut part.notes);
        }
        Ok(loaded)
    }
}

/// The task's file, or the parts of one: in a folder below the given one that is called like the task, or in the given one
/// itself.
pub(crate) fn find(task: Task, folder: &Path, split: Split) -> Result<Vec<PathBuf>, Error> {
    let read = |source| Error::Read { path: folder.into(), source };
    let mut below = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let name = entry.map_err(read)?.file_name().to_string_lossy().into_owned();
        if task.is_folder(&name) {
            below.push(name);
        }
    }
    // a GLUE root wins over a stray file beside the tasks' folders; the first name in order wins over the others
    below.sort();
    let (tsv, parquet) = task.stems(split);
    for place in below.iter().map(|name| folder.join(name)).chain([folder.to_path_buf()]) {
        let own = place.join(format!("{tsv}.tsv"));
        if own.is_file() {
            return Ok(vec![own]);
        }
        let shard = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with(&format!("{parquet}-")) && name.ends_with(".parquet")
        };
        let entries = fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut shards: Vec<PathBuf> = entries.filter(shard).collect();
        shards.sort();
        if let Some(first) = shards.first() {
            let total = shards_in_all(&first.to_string_lossy());
            if shards.len() == total {
                return Ok(shards);
            }
            let message = format!("{} of {total} such files are there; fetch the others too", shards.len());
            return Err(Error::Unusable { path: first.clone(), message });
        }
    }
    let names = [task.folder(), task.key()];
    let mut looked = vec![format!("{tsv}.tsv")];
    looked.extend(names.iter().map(|name| format!("{name}/{tsv}.tsv")));
    looked.push(format!("{}/{parquet}-00000-of-00001.parquet", task.key()));
    Err(Error::NotFound { folder: folder.into(), task, looked })
}

/// How many parts the name of one tells: `train-00000-of-00003.parquet`.
pub(crate) fn shards_in_all(name: &str) -> usize {
    let total = |name: &str| name.strip_suffix(".parquet")?.rsplit_once("-of-")?.1.parse().ok();
    total(name).unwrap_or(1)
}

fn words(target: &Target) -> String {
    match target {
        Target::Number => "a number".into(),
        Target::Classes(names) => format!("one of {} classes", names.len()),
        Target::Labels(names) => format!("any of {} labels", names.len()),
    }
}
