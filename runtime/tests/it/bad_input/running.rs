//! Mistakes towards `convert` and `runtime`.

use std::fs;

use safetensors::Dtype;

use super::{Case, NOTHING, World, biggest, edit, halve, weights};

pub(crate) fn cases() -> Vec<Case> {
    let case = |wrong, prepare: fn(&World), run, code, says| Case { wrong, prepare, run, code, says };
    vec![
        case(
            "a model trained with softmax, without texts to calibrate on",
            NOTHING,
            "convert {root}/teacher -o {root}/new",
            3,
            &["its attention is softmax", "--texts", "--calibrate", "--train-file"],
        ),
        case(
            "a model trained with softmax, on first use, without texts",
            NOTHING,
            "runtime infer --model {root}/teacher --text w5",
            3,
            &["its attention is softmax", "--calibrate FILE"],
        ),
        case(
            "texts of two kinds in one file",
            |w| fs::write(w.path("texts"), "w5\nw6\tw7\n").unwrap(),
            "convert {root}/teacher -o {root}/new --texts {root}/texts",
            3,
            &["texts, line 2", "two with one tab between", "got a tab"],
        ),
        case(
            "texts to calibrate on that are JSON",
            |w| fs::write(w.path("texts"), "{\"text\": \"w5\"}\n").unwrap(),
            "runtime infer -q --model {root}/teacher --calibrate {root}/texts --text w5",
            3,
            &["this looks like JSON", ".jsonl"],
        ),
        case(
            "no texts to calibrate on where they should be",
            NOTHING,
            "runtime infer --model {root}/teacher --calibrate {root}/nowhere --text w5",
            3,
            &["nowhere", "one text a line"],
        ),
        case(
            "a student without calibration.json",
            |w| fs::remove_file(w.path("student/calibration.json")).unwrap(),
            "convert {root}/student -o {root}/new",
            3,
            &["no calibration.json", "--calibrate"],
        ),
        case(
            "values that no series of ours follows",
            |w| {
                let path = w.path("student/calibration.json");
                let mut ranges: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                ranges["layers"][1]["gelu"][3] = 900.0.into();
                fs::write(path, ranges.to_string()).unwrap();
            },
            "convert {root}/student -o {root}/new",
            4,
            &["layer 1", "GeLU", "limit is 124"],
        ),
        case(
            "an encoder without a head",
            |w| {
                let mut tensors = weights();
                tensors.retain(|name, _| !name.starts_with("classifier"));
                w.place.write_weights(&tensors, Dtype::F32, "");
            },
            "convert {root}/student -o {root}/new",
            3,
            &["classifier.weight", "distill"],
        ),
        case(
            "an output inside the student",
            NOTHING,
            "convert {root}/student -o {root}/student/bundle",
            2,
            &["lies in the student's folder"],
        ),
        case(
            "an output below a file",
            |w| fs::write(w.path("file"), "mine").unwrap(),
            "convert {root}/student -o {root}/file/bundle",
            9,
            &["file/bundle"],
        ),
        case(
            "too little memory to convert",
            NOTHING,
            "convert {root}/student -o {root}/new --memory 1M",
            7,
            &["not enough memory", "1 MB allowed"],
        ),
        case(
            "a tokenizer that is cut off",
            |w| halve(&w.path("student/tokenizer.json")),
            "convert {root}/student -o {root}/new",
            3,
            &["tokenizer.json"],
        ),
        case(
            "a folder without the task",
            |w| fs::rename(w.path("glue/SST-2"), w.path("glue/other")).unwrap(),
            "convert {root}/student -o {root}/new --calibrate --task sst2 --data-dir {root}/glue",
            3,
            &["train.tsv", "SST-2"],
        ),
        case("no bundle", NOTHING, "runtime infer --bundle {root}/nowhere --text w5", 3, &["nowhere"]),
        case(
            "masked weights that are cut off",
            |w| halve(&biggest(&w.path("bundle/party1"))),
            "runtime infer --bundle {root}/bundle --text w5",
            3,
            &["party1", "convert"],
        ),
        case(
            "parts that were swapped",
            |w| {
                fs::rename(w.path("bundle/party0"), w.path("bundle/p")).unwrap();
                fs::rename(w.path("bundle/party1"), w.path("bundle/party0")).unwrap();
                fs::rename(w.path("bundle/p"), w.path("bundle/party1")).unwrap();
            },
            "runtime infer --bundle {root}/bundle --text w5",
            3,
            &["party0"],
        ),
        case(
            "parts of two conversions",
            |w| {
                w.other_bundle();
                fs::remove_dir_all(w.path("bundle/party1")).unwrap();
                fs::rename(w.path("other/party1"), w.path("bundle/party1")).unwrap();
            },
            "runtime infer --bundle {root}/bundle --text w5",
            3,
            &["party1"],
        ),
        case(
            "a bundle of another version",
            |w| {
                let path = w.path("bundle/client/manifest.json");
                let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                manifest["version"] = 999.into();
                fs::write(path, manifest.to_string()).unwrap();
            },
            "runtime infer --bundle {root}/bundle --text w5",
            3,
            &["999", "convert"],
        ),
        case("an empty text", NOTHING, "runtime infer --bundle {root}/bundle --text w5 --text +", 2, &["text 2"]),
        case(
            "a file of texts that is no UTF-8",
            |w| fs::write(w.path("texts"), b"fine\nb\xffd\n").unwrap(),
            "runtime infer --bundle {root}/bundle --file {root}/texts",
            3,
            &["not UTF-8 at byte 6"],
        ),
        case(
            "a text that is too long and must not be cut",
            NOTHING,
            "runtime infer --bundle {root}/bundle --no-truncate --text w5+w5+w5+w5+w5+w5+w5+w5+w5+w5+w5+w5+w5+w5+w5",
            3,
            &["16 tokens", "--no-truncate"],
        ),
        case(
            "one text for a model that was taught pairs",
            |w| {
                edit(&w.path("student/config.json"), "\"vocab_size\"", "\"text_pair\": true, \"vocab_size\"");
                w.other_bundle();
            },
            "runtime infer --bundle {root}/other --text w5",
            2,
            &["taught pairs of texts", "--text-pair"],
        ),
        case(
            "more layers than there are",
            NOTHING,
            "distill --teacher {root}/teacher --task sst2 --data-dir {root}/glue --student-layers 100000000 --output-dir {root}/out",
            2,
            &["--student-layers is 100000000", "1 to 2"],
        ),
        case(
            "more second texts than texts",
            NOTHING,
            "runtime infer --bundle {root}/bundle --text w5 --text-pair w6 --text-pair w7",
            2,
            &["--text-pair"],
        ),
        case(
            "too little memory to run",
            NOTHING,
            "runtime infer --bundle {root}/bundle --text w5 --memory 1M",
            7,
            &["not enough memory", "party0", "dealer"],
        ),
        case(
            "a role that can read another one's part",
            NOTHING,
            "runtime party --index 0 --bundle {root}/bundle/party0",
            3,
            &["bundle/party0: party0 can read", "party1's part", "--insecure-local"],
        ),
        case(
            "functions that masked wires do not have",
            NOTHING,
            "runtime infer --bundle {root}/bundle --text w5 --functions secformer",
            2,
            &["masked engine evaluates series only", "--engine beaver"],
        ),
        case(
            "a truncation that masked wires do not have",
            NOTHING,
            "runtime infer --bundle {root}/bundle --text w5 --truncation dealt",
            2,
            &["--truncation is beaver's", "--engine beaver"],
        ),
        case(
            "functions for another student",
            NOTHING,
            "runtime infer --bundle {root}/bundle --text w5 --engine beaver --functions mpcformer",
            3,
            &["2Quad and the quadratic GeLU", "2Quad and GeLU", "--force"],
        ),
        case(
            "a model that answers another question",
            |w| {
                fs::create_dir(w.path("glue/STS-B")).unwrap();
                fs::write(w.path("glue/STS-B/dev.tsv"), "sentence1\tsentence2\tscore\nw5\tw6\t3.5\n").unwrap();
            },
            "runtime evaluate --bundle {root}/bundle --task stsb --data-dir {root}/glue",
            3,
            &["stsb asks for a number"],
        ),
        case(
            "a model folder that is a hub id",
            NOTHING,
            "runtime infer --model bert-base-uncased --text w5",
            3,
            &["bert-base-uncased"],
        ),
        case(
            "a flag that is none",
            NOTHING,
            "runtime infer --bundel {root}/bundle --text w5",
            2,
            &["--bundel", "--bundle"],
        ),
    ]
}
