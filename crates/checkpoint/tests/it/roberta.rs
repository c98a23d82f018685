//! A RoBERTa is read as the BERT that computes the same.

use model::{Config, Shape, Tensors, Texts, fold};
use ndarray::{Array2, ArrayD, Axis, Ix2, concatenate, s};
use safetensors::Dtype;

use crate::folder::{CONFIG, Folder, config, weights};

/// The configuration of a RoBERTa whose padding is token `padding`: its table has `padding + 1` rows more.
fn roberta(kind: &str, padding: &str, rows: usize) -> String {
    CONFIG
        .replace(r#""model_type": "bert""#, &format!(r#""model_type": "{kind}"{padding}"#))
        .replace("BertFor", "RobertaFor")
        .replace(r#""max_position_embeddings": 8"#, &format!(r#""max_position_embeddings": {rows}"#))
}

/// The tensors as transformers names them, with rows before the positions that no token may read.
fn renamed(tensors: Tensors, skipped: usize) -> Tensors {
    let rename = |(name, tensor): (String, ArrayD<f32>)| match name.as_str() {
        "pooler.dense.weight" | "pooler.dense.bias" => (name.replace("pooler", "classifier"), tensor),
        "classifier.weight" | "classifier.bias" => (name.replace("classifier", "classifier.out_proj"), tensor),
        "embeddings.position_embeddings.weight" => {
            let unread = ArrayD::from_elem(vec![skipped, tensor.shape()[1]], 1e3);
            (format!("roberta.{name}"), concatenate(Axis(0), &[unread.view(), tensor.view()]).unwrap())
        }
        _ => (format!("roberta.{name}"), tensor),
    };
    tensors.into_iter().map(rename).collect()
}

#[test]
fn the_configuration_becomes_a_berts() {
    for (padding, rows) in [("", 10), (r#", "pad_token_id": null"#, 10), (r#", "pad_token_id": 0"#, 9)] {
        for kind in ["roberta", "xlm-roberta", "camembert"] {
            let got = checkpoint::read_config(Folder::bare(&roberta(kind, padding, rows)).path()).unwrap();
            let mut want = config();
            want.extra.remove("architectures");
            let same = Config { extra: want.extra.clone(), ..got.clone() };
            assert_eq!(same, want, "{kind}");
            assert!(!got.extra.contains_key("architectures"));
            // what is written from it is read as a BERT
            assert_eq!(Config::from_json(&serde_json::to_string(&got).unwrap()).unwrap(), got);
        }
    }
    let most = checkpoint::read_config(Folder::bare(&roberta("roberta", "", 514)).path()).unwrap();
    assert_eq!(most.max_position_embeddings, 512);
    for (padding, rows) in [("", 2), (r#", "pad_token_id": 18446744073709551615"#, 10)] {
        let error = checkpoint::read_config(Folder::bare(&roberta("roberta", padding, rows)).path()).unwrap_err();
        assert!(error.to_string().contains("max_position_embeddings"), "{error}");
    }
}

#[test]
fn names_and_positions_are_those_of_the_bert() {
    for (padding, skipped) in [("", 2), (r#", "pad_token_id": 4"#, 5)] {
        let folder = Folder::bare(&roberta("roberta", padding, 8 + skipped));
        let mut file = renamed(weights(), skipped);
        // an encoder's pooler and the language model's head are not the classifier's
        file.insert("roberta.pooler.dense.bias".into(), ArrayD::zeros(vec![12]));
        file.insert("lm_head.bias".into(), ArrayD::zeros(vec![19]));
        folder.tensors("model.safetensors", &file, Dtype::F32);
        let read = folder.read().unwrap();
        assert_eq!(read, weights());
        // token i of a text reads row `pad_token_id + 1 + i` of the file
        let table = |t: &Tensors, name: &str| t[name].clone().into_dimensionality::<Ix2>().unwrap();
        let whole = table(&file, "roberta.embeddings.position_embeddings.weight");
        let cut = table(&read, "embeddings.position_embeddings.weight");
        assert_eq!(cut, whole.slice(s![skipped.., ..]));
    }
}

/// RoBERTa's embedding and head by its own definition, from the file's own tensors, against the network that is read.
#[test]
fn the_network_is_the_same_function() {
    let folder = Folder::bare(&roberta("roberta", r#", "attention_softmax": "2quad""#, 10));
    let file = renamed(weights(), 2);
    folder.tensors("model.safetensors", &file, Dtype::F32);
    let config = checkpoint::read_config(folder.path()).unwrap();
    let shape = Shape::of(&config);
    let folded = fold(&shape, &checkpoint::read(folder.path(), &config).unwrap().tensors).unwrap();
    let ids = [0u32, 5, 17, 9, 2];

    let matrix = |name: &str| file[name].clone().into_dimensionality::<Ix2>().unwrap();
    let (word, position, segment) = (
        matrix("roberta.embeddings.word_embeddings.weight"),
        matrix("roberta.embeddings.position_embeddings.weight"),
        matrix("roberta.embeddings.token_type_embeddings.weight"),
    );
    let mut sum = Array2::zeros((ids.len(), 12));
    for (place, (id, mut row)) in ids.iter().zip(sum.rows_mut()).enumerate() {
        // create_position_ids_from_input_ids: padding_idx + 1 + place
        row += &(&word.row(*id as usize) + &position.row(1 + 1 + place) + segment.row(0));
        let mean = row.mean().unwrap();
        row -= mean;
        let deviation = (row.iter().map(|v| v * v).sum::<f32>() / 12.0 + config.layer_norm_eps as f32).sqrt();
        row /= deviation;
    }
    let normal = folded.embed(&ids, &[0; 5]).unwrap();
    let gap = (&normal - &sum).iter().fold(0.0f32, |most, v| most.max(v.abs()));
    assert!(gap < 1e-5, "{gap}");

    // and it can be run
    let texts = Texts::new(&[ids.len()], &shape).unwrap();
    let logits = folded.logits(&texts, &ids, &[0; 5]).unwrap();
    assert!(logits.iter().all(|v| v.is_finite()));
}

#[test]
fn a_table_without_the_padding_rows_is_refused() {
    let folder = Folder::bare(&roberta("roberta", "", 10));
    folder.tensors("model.safetensors", &renamed(weights(), 0), Dtype::F32);
    folder.refused(&["roberta.embeddings.position_embeddings.weight", "expected [10, 12]", "got [8, 12]"]);
}
