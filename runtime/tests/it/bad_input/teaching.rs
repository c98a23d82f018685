//! Mistakes towards `distill`.

use std::fs;

use ndarray::{ArrayD, IxDyn};
use safetensors::Dtype;

use super::{Case, NOTHING, TEACH, World, edit, halve, task, teacher_with};

pub(crate) fn cases() -> Vec<Case> {
    let case = |wrong, prepare: fn(&World), run, code, says| Case { wrong, prepare, run, code, says };
    vec![
        case(
            "a teacher that is neither a folder nor a name on the hub",
            NOTHING,
            "distill --teacher {root}/nowhere --task sst2 --data-dir {root}/glue",
            3,
            &["nowhere"],
        ),
        case(
            "an unknown task",
            NOTHING,
            "distill --teacher {root}/teacher --task imdb",
            2,
            &["unknown task `imdb`", "sst2"],
        ),
        case("no texts", NOTHING, "distill --teacher {root}/teacher", 2, &["--task", "--train-file"]),
        case(
            "a config.json that is no JSON",
            |w| halve(&w.path("teacher/config.json")),
            TEACH,
            3,
            &["teacher/config.json"],
        ),
        case(
            "a model of another family",
            |w| edit(&w.path("teacher/config.json"), "\"model_type\": \"bert\"", "\"model_type\": \"electra\""),
            TEACH,
            3,
            &["ELECTRA"],
        ),
        case(
            "an activation that is no GeLU",
            |w| edit(&w.path("teacher/config.json"), "\"vocab_size\"", "\"hidden_act\": \"silu\", \"vocab_size\""),
            TEACH,
            3,
            &["hidden_act", "gelu_new"],
        ),
        case(
            "weights that are cut off",
            |w| halve(&w.path("teacher/model.safetensors")),
            TEACH,
            3,
            &["model.safetensors"],
        ),
        case(
            "a tensor of another shape",
            |w| {
                teacher_with(w, Dtype::F32, |t| {
                    drop(t.insert("pooler.dense.bias".into(), ArrayD::zeros(IxDyn(&[23]))))
                });
            },
            TEACH,
            3,
            &["pooler.dense.bias", "[24]", "[23]"],
        ),
        case(
            "a tensor of another name",
            |w| {
                teacher_with(w, Dtype::F32, |t| {
                    let tensor = t.remove("encoder.layer.1.output.dense.bias").unwrap();
                    t.insert("encoder.layer.1.output.dense.offset".into(), tensor);
                });
            },
            TEACH,
            3,
            &["encoder.layer.1.output.dense.bias"],
        ),
        case(
            "tensors of another type",
            |w| teacher_with(w, Dtype::F64, |_| ()),
            TEACH,
            3,
            &["F64", "F32, F16 or BF16"],
        ),
        case(
            "weights in another format only",
            |w| fs::rename(w.path("teacher/model.safetensors"), w.path("teacher/pytorch_model.bin")).unwrap(),
            TEACH,
            3,
            &["pytorch_model.bin", "safetensors"],
        ),
        case(
            "a shard that is missing",
            |w| {
                let index = serde_json::json!({"weight_map": {"classifier.bias": "model-00001-of-00001.safetensors"}});
                fs::remove_file(w.path("teacher/model.safetensors")).unwrap();
                fs::write(w.path("teacher/model.safetensors.index.json"), index.to_string()).unwrap();
            },
            TEACH,
            3,
            &["model-00001-of-00001.safetensors"],
        ),
        case(
            "a tokenizer with more words than the model",
            |w| fs::write(w.path("teacher/tokenizer.json"), crate::folder::tokenizer(35)).unwrap(),
            TEACH,
            3,
            &["tokenizer", "34", "29"],
        ),
        case(
            "a table without the column",
            |w| task(w, b"text\tlabel\nw5\t1\n"),
            TEACH,
            3,
            &["dev.tsv", "no column `sentence`"],
        ),
        case("a label outside the set", |w| task(w, b"sentence\tlabel\nw5\t7\n"), TEACH, 3, &["line 2", "from 0 to 1"]),
        case("an empty text in a table", |w| task(w, b"sentence\tlabel\n \t1\n"), TEACH, 3, &["line 2", "a text"]),
        case(
            "a table that is no UTF-8",
            |w| task(w, b"sentence\tlabel\nw\xff\t1\n"),
            TEACH,
            3,
            &["not UTF-8 at byte 16"],
        ),
        case(
            "a length that the model does not have",
            NOTHING,
            "distill --teacher {root}/teacher --task sst2 --data-dir {root}/glue --max-seq-length 64 --output-dir {root}/out",
            2,
            &["--max-seq-length", "64", "16"],
        ),
        case(
            "texts that are too long and must not be cut",
            NOTHING,
            "distill --teacher {root}/teacher --task sst2 --data-dir {root}/glue --max-seq-length 8 --no-truncate --output-dir {root}/out",
            3,
            &["8 tokens", "--no-truncate"],
        ),
        case(
            "an output folder with something else in it",
            |w| {
                fs::create_dir(w.path("out")).unwrap();
                fs::write(w.path("out/diary.txt"), "mine").unwrap();
            },
            TEACH,
            2,
            &["not empty", "--overwrite-output-dir"],
        ),
        case("an output folder below a file", |w| fs::write(w.path("out"), "mine").unwrap(), TEACH, 9, &["out"]),
        case(
            "too little memory to teach",
            NOTHING,
            "distill --teacher {root}/teacher --task sst2 --data-dir {root}/glue --max-seq-length 16 --output-dir {root}/out --memory 1M",
            7,
            &["not enough memory", "1 MB allowed"],
        ),
        case(
            "a hub that cannot be reached",
            NOTHING,
            "distill --teacher bert-base-uncased --task sst2",
            8,
            &["127.0.0.1:9"],
        ),
        case(
            "offline, and nothing in the cache",
            NOTHING,
            "HF_HUB_OFFLINE=1 distill --teacher bert-base-uncased --task sst2",
            8,
            &["HF_HUB_OFFLINE"],
        ),
    ]
}
