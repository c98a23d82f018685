//! Predictions for unlabelled texts, in run_glue's format.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use datasets::{Target, chosen, largest};

use crate::atomic;

/// Writes a prediction a line: a class's name, a list of labels in JSON, or a number.
pub fn write(path: &Path, target: &Target, logits: &[Vec<f32>]) -> Result<()> {
    atomic::write(path, table(target, logits).as_bytes())
}

fn table(target: &Target, logits: &[Vec<f32>]) -> String {
    let mut text = String::from("index\tprediction\n");
    for (index, row) in logits.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = match target {
            Target::Number => writeln!(text, "{index}\t{:3.3}", row.first().copied().unwrap_or(f32::NAN)),
            Target::Classes(names) => {
                let name = largest(row).and_then(|class| names.get(class)).map_or("", String::as_str);
                writeln!(text, "{index}\t{name}")
            }
            Target::Labels(names) => {
                let called = names.iter().zip(chosen(row)).filter(|(_, called)| *called).map(|(name, _)| name.as_str());
                writeln!(text, "{index}\t{}", serde_json::Value::from_iter(called))
            }
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_its_name_labels_are_a_list_and_a_number_has_three_places() {
        let classes = Target::Classes(["no", "yes", "maybe"].map(String::from).into());
        let logits = [vec![0.1, 0.5, -1.0], vec![0.0, -2.0, 3.0]];
        assert_eq!(table(&classes, &logits), "index\tprediction\n0\tyes\n1\tmaybe\n");
        let labels = Target::Labels(["no", "\"yes\""].map(String::from).into());
        let of_labels = table(&labels, &[vec![0.1, 0.5], vec![-1.0, 0.0]]);
        assert_eq!(of_labels, "index\tprediction\n0\t[\"no\",\"\\\"yes\\\"\"]\n1\t[]\n");
        let numbers = table(&Target::Number, &[vec![2.00049], vec![-0.5], vec![12.0]]);
        assert_eq!(numbers, "index\tprediction\n0\t2.000\n1\t-0.500\n2\t12.000\n");
    }
}
