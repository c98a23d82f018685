//! Models that contradict themselves, and an output folder that is in use.

use std::fs;

use ndarray::{ArrayD, IxDyn};
use safetensors::Dtype;

use super::{Case, TEACH, World, edit, teacher_with};

pub(crate) fn cases() -> Vec<Case> {
    let case = |wrong, prepare: fn(&World), code, says| Case { wrong, prepare, run: TEACH, code, says };
    vec![
        case(
            "a head with another number of rows than there are labels",
            |w| {
                teacher_with(w, Dtype::F32, |t| {
                    t.insert("classifier.weight".into(), ArrayD::zeros(IxDyn(&[3, 24])));
                });
            },
            3,
            &["classifier.weight", "[3, 24]", "2 labels", "num_labels"],
        ),
        case(
            "a number in a tensor that is none",
            |w| teacher_with(w, Dtype::F32, |t| t.get_mut("pooler.dense.weight").unwrap()[[1, 1]] = f32::NAN),
            3,
            &["bert.pooler.dense.weight", "not finite", "NaN"],
        ),
        case(
            "two networks in one file",
            |w| {
                teacher_with(w, Dtype::F32, |t| {
                    t.insert("second.embeddings.word_embeddings.weight".into(), ArrayD::zeros(IxDyn(&[29, 24])));
                });
            },
            3,
            &["several networks", "`bert.` and `bert.second.`", "save_pretrained"],
        ),
        case(
            "labels without their numbers",
            |w| {
                edit(
                    &w.path("teacher/config.json"),
                    r#"{"0": "NEGATIVE", "1": "POSITIVE"}"#,
                    r#"["NEGATIVE", "POSITIVE"]"#,
                )
            },
            3,
            &["`id2label`", "supported"],
        ),
        case(
            "a width with a point",
            |w| edit(&w.path("teacher/config.json"), r#""hidden_size": 24"#, r#""hidden_size": 24.0"#),
            3,
            &["`hidden_size` is 24.0"],
        ),
        case(
            "an output folder in which another run works",
            |w| {
                fs::create_dir(w.path("out")).unwrap();
                // held until this process ends, as another run would
                std::mem::forget(cli::Lock::take(&w.path("out/.distill.lock")).unwrap().unwrap());
            },
            2,
            &["another run", "--output-dir"],
        ),
    ]
}
