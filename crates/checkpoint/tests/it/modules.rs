//! Folders of sentence-transformers: the transformer is found, and one that only embeds is refused by name.

use std::fs;

use safetensors::Dtype;

use crate::folder::{CONFIG, Folder, prefixed, weights};

fn modules(path: &str, kind: &str) -> String {
    format!(
        r#"[{{"idx": 0, "name": "0", "path": "{path}", "type": "sentence_transformers.models.{kind}"}},
        {{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}}]"#
    )
}

/// A model with a head, or without, that lies where its list says.
fn folder(path: &str, head: bool) -> Folder {
    let (folder, model) = (Folder::bare("{}"), Folder::bare(CONFIG));
    let mut tensors = weights();
    tensors.retain(|name, _| head || !name.starts_with("classifier"));
    model.tensors("model.safetensors", &prefixed(&tensors, "bert."), Dtype::F32);
    folder.remove("config.json");
    folder.write("modules.json", modules(path, "Transformer"));
    fs::create_dir_all(folder.file(path)).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(model.file(name), folder.file(path).join(name)).unwrap();
    }
    folder
}

#[test]
fn the_transformer_is_read_at_its_module_s_path() {
    for path in ["", "0_Transformer"] {
        let folder = folder(path, true);
        let found = checkpoint::classifier(folder.path()).unwrap();
        assert_eq!(found, folder.file(path));
        let read = checkpoint::read(&found, &checkpoint::read_config(&found).unwrap()).unwrap();
        assert_eq!(read.tensors, weights());
    }
    let plain = Folder::whole();
    assert_eq!(checkpoint::classifier(plain.path()).unwrap(), plain.path());
}

#[test]
fn a_model_that_only_embeds_is_refused_by_name_and_can_be_taught() {
    for path in ["", "0_Transformer"] {
        let folder = folder(path, false);
        let error = checkpoint::classifier(folder.path()).unwrap_err().to_string();
        for word in ["modules.json", "gives embeddings", "nothing to classify with", "distill --teacher"] {
            assert!(error.contains(word), "{word} in {error}");
        }
        assert_eq!(checkpoint::transformer(folder.path()).unwrap(), folder.file(path));
    }
}

#[test]
fn a_list_of_other_modules_is_refused() {
    let folder = folder("", true);
    let lists = [
        (
            modules("", "CLIPModel"),
            "none of its modules is a Transformer; there are: sentence_transformers.models.CLIPModel",
        ),
        (modules("../other", "Transformer"), "leaves the folder"),
        (modules("/tmp", "Transformer"), "leaves the folder"),
        ("[]".into(), "none of its modules"),
        ("[{]".into(), "modules.json"),
    ];
    for (list, says) in lists {
        folder.write("modules.json", list);
        let error = checkpoint::classifier(folder.path()).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("modules.json"), "{says} in {error}");
    }
}
