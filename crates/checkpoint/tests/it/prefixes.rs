//! Networks under other people's prefixes.

use model::Tensors;
use ndarray::{ArrayD, IxDyn};
use safetensors::Dtype;

use crate::folder::{CONFIG, Folder, prefixed, weights};

const FILE: &str = "model.safetensors";

/// All names with a prefix more, those of the head too.
fn under(prefix: &str, tensors: Tensors) -> Tensors {
    tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect()
}

#[test]
fn a_network_is_read_under_any_one_prefix() {
    let folder = Folder::whole();
    for (outer, inner) in [
        ("module.", "bert."),
        ("module.", ""),
        ("model.", "bert."),
        ("model.", ""),
        ("_orig_mod.module.", "bert."),
        ("0.auto_model.", ""),
        ("", "roberta."),
    ] {
        folder.tensors(FILE, &under(outer, prefixed(&weights(), inner)), Dtype::F32);
        let read = folder.whole_read().unwrap();
        assert_eq!(read.tensors, weights(), "{outer}{inner}");
        assert!(read.notes[0].contains(&format!("under the prefix `{outer}{inner}`")), "{:?}", read.notes);
        assert_eq!(read.notes.len(), 1);
    }
    // a head is looked for beside the encoder only, and `colbert.` is no `bert.`
    folder.tensors(FILE, &prefixed(&weights(), "colbert."), Dtype::F32);
    let read = folder.whole_read().unwrap();
    assert!(!read.tensors.contains_key("classifier.weight"));
    assert!(read.notes[1].contains("not read") && read.notes[1].contains("classifier.weight"), "{:?}", read.notes);
}

#[test]
fn a_roberta_is_read_under_any_one_prefix_too() {
    let config = CONFIG.replace(r#""model_type": "bert""#, r#""model_type": "roberta", "pad_token_id": 0"#);
    let folder = Folder::bare(&config.replace(r#""max_position_embeddings": 8"#, r#""max_position_embeddings": 9"#));
    let rename = |(name, tensor): (String, ArrayD<f32>)| match name.as_str() {
        "pooler.dense.weight" | "pooler.dense.bias" => (name.replace("pooler", "classifier"), tensor),
        "classifier.weight" | "classifier.bias" => (name.replace("classifier", "classifier.out_proj"), tensor),
        "embeddings.position_embeddings.weight" => {
            let unread = ArrayD::zeros(IxDyn(&[1, 12]));
            let views = [unread.view(), tensor.view()];
            (format!("roberta.{name}"), ndarray::concatenate(ndarray::Axis(0), &views).unwrap())
        }
        _ => (format!("roberta.{name}"), tensor),
    };
    let tensors: Tensors = weights().into_iter().map(rename).collect();
    for prefix in ["", "module.", "model."] {
        folder.tensors(FILE, &under(prefix, tensors.clone()), Dtype::F32);
        assert_eq!(folder.read().unwrap(), weights(), "{prefix}");
    }
}

#[test]
fn a_prefix_holds_across_files() {
    let folder = Folder::whole();
    folder.remove(FILE);
    let (mut parts, mut map) = ([Tensors::new(), Tensors::new()], serde_json::Map::new());
    for (number, (name, tensor)) in under("module.", prefixed(&weights(), "bert.")).into_iter().enumerate() {
        map.insert(name.clone(), format!("model-{}.safetensors", number % 2).into());
        parts[number % 2].insert(name, tensor);
    }
    for (number, part) in parts.iter().enumerate() {
        folder.tensors(&format!("model-{number}.safetensors"), part, Dtype::F32);
    }
    folder.write("model.safetensors.index.json", serde_json::json!({"weight_map": map}).to_string());
    assert_eq!(folder.read().unwrap(), weights());
}

#[test]
fn none_or_several_networks_are_refused_with_what_is_there() {
    let folder = Folder::whole();
    let mut two = prefixed(&weights(), "bert.");
    two.extend(under("second.", prefixed(&weights(), "bert.")));
    folder.tensors(FILE, &two, Dtype::F32);
    folder.refused(&[FILE, "several networks, under the prefixes `bert.` and `second.bert.`", "save_pretrained"]);
    let renamed = |name: String| name.replace("embeddings", "embed");
    let other: Tensors =
        prefixed(&weights(), "bert.").into_iter().map(|(name, tensor)| (renamed(name), tensor)).collect();
    folder.tensors(FILE, &other, Dtype::F32);
    folder.refused(&[
        FILE,
        "its tensors are called bert.embed.LayerNorm.bias, ",
        "in all)",
        "embeddings.word_embeddings.weight",
    ]);
}
