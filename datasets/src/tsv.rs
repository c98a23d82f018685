//! GLUE's tables: tab-separated, a header line, quotes that are only quotes.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Split, Task};

/// One labelled text.
#[derive(Clone, PartialEq, Eq)]
pub struct Example {
    /// The text.
    pub text: String,
    /// The second text of a task over pairs.
    pub text_pair: Option<String>,
    /// The class number.
    pub label: usize,
}

impl fmt::Debug for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = if self.text_pair.is_some() { "a pair" } else { "a text" };
        write!(f, "Example {{ {pair}, secret, label: {} }}", self.label)
    }
}

/// Reads one part of a task. `folder` is the GLUE root or the task's own folder, under any usual spelling of its name.
pub fn load(task: Task, folder: &Path, split: Split) -> Result<Vec<Example>, Error> {
    let path = find(task, folder, split)?;
    let text = fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    match task {
        Task::Sst2 => sentence_and_label(task, &path, &text),
    }
}

/// The task's file: in `folder` itself, or in a folder below it that is named like the task.
fn find(task: Task, folder: &Path, split: Split) -> Result<PathBuf, Error> {
    let file = split.file();
    let mut below = Vec::new();
    let entries = fs::read_dir(folder).map_err(|source| Error::Read { path: folder.into(), source })?;
    for entry in entries {
        let entry = entry.map_err(|source| Error::Read { path: folder.into(), source })?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if task.is_called(&name) && entry.path().join(file).is_file() {
            below.push(name);
        }
    }
    // A GLUE root wins over a stray file beside the tasks' folders; the first name in order wins over the others.
    below.sort();
    if let Some(name) = below.first() {
        return Ok(folder.join(name).join(file));
    }
    let own = folder.join(file);
    if own.is_file() {
        return Ok(own);
    }
    let looked = vec![file.into(), format!("{}/{file}", task.folder()), format!("{}/{file}", task.key())];
    Err(Error::NotFound { folder: folder.into(), task: task.folder(), file, looked })
}

fn sentence_and_label(task: Task, path: &Path, text: &str) -> Result<Vec<Example>, Error> {
    let wrong = |line: usize, expected: &str, got: &str| Error::Line {
        path: path.into(),
        line,
        expected: expected.into(),
        got: got.into(),
    };
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let columns: Vec<&str> = header.trim_start_matches('\u{feff}').split('\t').map(str::trim).collect();
    if columns != ["sentence", "label"] {
        return Err(wrong(1, "the header `sentence<tab>label`", "something else"));
    }
    let classes = task.labels().len();
    let of_label = format!("a label from 0 to {}", classes - 1);
    let mut examples = Vec::new();
    for (index, line) in lines.enumerate() {
        let number = index + 2;
        if line.is_empty() {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let [sentence, label] = fields[..] else {
            return Err(wrong(number, "2 fields (sentence, label)", &fields.len().to_string()));
        };
        let label = match label.trim().parse::<usize>() {
            Ok(label) if label < classes => label,
            Ok(_) => return Err(wrong(number, &of_label, "a larger number")),
            Err(_) => return Err(wrong(number, &of_label, "no number")),
        };
        if sentence.trim().is_empty() {
            return Err(wrong(number, "a sentence", "nothing before the label"));
        }
        examples.push(Example { text: sentence.trim().into(), text_pair: None, label });
    }
    if examples.is_empty() {
        return Err(wrong(2, "at least one example", "the end of the file"));
    }
    Ok(examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(name: &str, text: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(name)).unwrap();
        fs::write(root.path().join(name).join("dev.tsv"), text).unwrap();
        root
    }

    fn error_of(text: &str) -> String {
        let root = folder_with(".", text);
        load(Task::Sst2, root.path(), Split::Dev).unwrap_err().to_string()
    }

    #[test]
    fn quotes_are_letters_like_any_other() {
        let root = folder_with(".", "sentence\tlabel\n\"a fine film\t1\n it 's \"dull\" , dull \t0\n");
        let examples = load(Task::Sst2, root.path(), Split::Dev).unwrap();
        assert_eq!(examples.len(), 2);
        assert_eq!(examples[0], Example { text: "\"a fine film".into(), text_pair: None, label: 1 });
        assert_eq!(examples[1].text, "it 's \"dull\" , dull");
    }

    #[test]
    fn the_root_and_the_tasks_own_folder_both_do_under_any_spelling() {
        for name in [".", "SST-2", "sst2", "sst_2", "SST2"] {
            let root = folder_with(name, "sentence\tlabel\nfine\t1\n");
            assert_eq!(load(Task::Sst2, root.path(), Split::Dev).unwrap().len(), 1, "{name}");
            assert_eq!(load(Task::Sst2, &root.path().join(name), Split::Dev).unwrap().len(), 1, "{name}");
        }
    }

    #[test]
    fn a_missing_file_names_every_place_that_was_tried() {
        let root = folder_with("SST-2", "sentence\tlabel\nfine\t1\n");
        let error = load(Task::Sst2, root.path(), Split::Train).unwrap_err().to_string();
        assert!(error.contains("train.tsv") && error.contains("SST-2/train.tsv") && error.contains("sst2/"), "{error}");
        assert!(matches!(load(Task::Sst2, Path::new("/nowhere"), Split::Dev), Err(Error::Read { .. })));
    }

    #[test]
    fn a_bad_line_is_named_with_what_was_expected() {
        assert!(error_of("text\tlabel\nfine\t1\n").contains("line 1: expected the header"));
        assert!(error_of("sentence\tlabel\nfine\t1\nno label\n").contains("line 3: expected 2 fields"));
        assert!(
            error_of("sentence\tlabel\nfine\t2\n")
                .contains("line 2: expected a label from 0 to 1, got a larger number")
        );
        assert!(error_of("sentence\tlabel\nfine\tgood\n").contains("a label from 0 to 1, got no number"));
        assert!(error_of("sentence\tlabel\n \t1\n").contains("line 2: expected a sentence"));
        assert!(error_of("sentence\tlabel\n").contains("at least one example"));
        assert!(error_of("").contains("line 1"));
    }

    #[test]
    fn nothing_of_the_texts_is_printed() {
        let bad = ["secret\tlabel\n", "sentence\tlabel\nsecret\n", "sentence\tlabel\nsecret\tsecret\n"];
        for text in bad.into_iter().chain(["sentence\tlabel\nsecret\t1\tsecret\n", "sentence\tlabel\nsecret\t7\n"]) {
            let root = folder_with(".", text);
            let error = load(Task::Sst2, root.path(), Split::Dev).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
        let example = Example { text: "a fine film".into(), text_pair: None, label: 1 };
        assert_eq!(format!("{example:?}"), "Example { a text, secret, label: 1 }");
    }

    #[test]
    fn the_real_sst2_has_its_known_sizes() {
        let Some(glue) = std::env::var_os("GLUE").map(PathBuf::from) else {
            eprintln!("skipped: GLUE does not name the folder of the real data");
            return;
        };
        assert_eq!(load(Task::Sst2, &glue, Split::Train).unwrap().len(), 67349);
        assert_eq!(load(Task::Sst2, &glue, Split::Dev).unwrap().len(), 872);
    }
}
