//! What is written comes back, and each role gets its own part and no more.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use bundle::{
    BundleError, ClientBundle, Contents, DealerBundle, Embedding, EmbeddingTable, PartyBundle, Role, WriteOptions,
    expected_tensors, spec_digest,
};
use model::{BertWeight, InputKind, Network, Part, SampleError, weight_mask};

use crate::small::{Small, TOKENIZER};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn masked_words_and_both_masks_make_the_weights() {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(1));
    let id = small.write(&root.path().join("b"), Embedding::Private).unwrap();
    let open = |party| PartyBundle::open(&root.path().join("b").join(format!("party{party}")), party).unwrap();
    let parties = [open(0), open(1)];
    let dealer = DealerBundle::open(&Role::Dealer.folder(&root.path().join("b"))).unwrap();
    assert!(parties[0].weights == parties[1].weights);
    assert!(parties[0].weights != small.quantised);
    for (i, party) in parties.iter().enumerate() {
        assert_eq!((party.id, party.party, &party.spec), (id, i, &small.spec));
        assert_eq!(party.seed.as_bytes(), dealer.seeds[i].as_bytes());
    }
    assert_ne!(dealer.seeds[0].as_bytes(), dealer.seeds[1].as_bytes());
    let network = small.folded.bert();
    for (weight, masked) in &parties[0].weights {
        let parameter = &network.table()[*weight];
        let (name, stream) = (&parameter.name, parameter.stream);
        let clear = &small.quantised[weight];
        let unmask = |part, masked: &[u64]| -> Vec<u64> {
            let masks = [0, 1].map(|i: usize| weight_mask(&parties[i].seed, stream, part, masked.len()));
            let sum = masked.iter().zip(&masks[0]).zip(&masks[1]);
            sum.map(|((f, a), b)| f.wrapping_add(*a).wrapping_add(*b)).collect()
        };
        assert_eq!(unmask(Part::Matrix, &masked.weight), clear.weight, "{name}");
        assert_eq!(masked.bias.as_ref().map(|b| unmask(Part::Bias, b)), clear.bias, "{name}.bias");
        assert!(masked.weight.iter().zip(&clear.weight).filter(|(f, w)| f == w).count() < 2, "{name} is not masked");
    }
}

#[test]
fn the_spec_comes_back_with_the_same_digest() {
    for seed in 0..6 {
        let (root, small) = (tempfile::tempdir().unwrap(), Small::new(seed));
        let folder = root.path().join("b");
        let id = small.write(&folder, Embedding::Private).unwrap();
        let dealer = DealerBundle::open(&folder.join("dealer")).unwrap();
        let client = ClientBundle::open(&folder.join("client")).unwrap();
        assert_eq!((dealer.id, client.id), (id, id));
        assert_eq!(dealer.spec, small.spec);
        assert_eq!(spec_digest(&client.spec), spec_digest(&small.spec));
        assert_eq!(client.embedding.input_kind(), InputKind::OneHot);
    }
}

#[test]
fn the_tensors_that_a_spec_asks_for_are_those_that_quantising_makes() {
    let small = Small::new(2);
    let expected = expected_tensors(&small.spec, Embedding::Private);
    assert_eq!(expected.len(), small.quantised.len());
    for (weight, of) in &expected {
        let words = &small.quantised[weight];
        assert_eq!((words.rows, words.cols, words.bias.is_some()), (of.rows, of.cols, of.bias), "{}", of.name);
    }
    let without = expected_tensors(&small.spec, Embedding::Client);
    let missing = expected.iter().filter(|e| !without.contains(e)).map(|(weight, _)| *weight).collect::<Vec<_>>();
    assert_eq!(missing, [BertWeight::Embedding, BertWeight::Position].map(|weight| small.folded.bert().weight(weight)));
}

#[test]
fn a_client_that_embeds_gets_the_table_and_the_parties_do_not() {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(3));
    let folder = root.path().join("b");
    small.write(&folder, Embedding::Client).unwrap();
    let party = PartyBundle::open(&folder.join("party1"), 1).unwrap();
    let held = |weight| party.weights.contains_key(&small.folded.bert().weight(weight));
    assert!(!held(BertWeight::Embedding) && !held(BertWeight::Position) && held(BertWeight::Pooler));
    assert_eq!(party.weights.len() + 2, small.quantised.len());
    let client = ClientBundle::open(&folder.join("client")).unwrap();
    assert_eq!(client.embedding.input_kind(), InputKind::Embedded);
    assert_eq!(client.labels, ["NEGATIVE", "POSITIVE"]);
    let table = client.table.unwrap();
    assert!(table == EmbeddingTable::of(&small.folded));
    let (ids, segments) = ([2, 30, 7], [0, 1, 0]);
    let shape = &small.spec.shape;
    assert_eq!(table.embed(shape, &ids, &segments).unwrap(), small.folded.embed(&ids, &segments).unwrap());
    let word = SampleError::Word { place: 0, got: 31, words: 31 };
    assert_eq!(table.embed(shape, &[31], &[0]), Err(word));
    let segment = SampleError::Segment { place: 0, got: 2, segments: 2 };
    assert_eq!(table.embed(shape, &[0], &[2]), Err(segment));
    assert_eq!(table.embed(shape, &[0; 13], &[0; 13]), Err(SampleError::Length { got: 13, most: 12 }));
    assert_eq!(table.embed(shape, &[0; 3], &[0; 2]), Err(SampleError::Uneven { tokens: 3, segments: 2 }));
}

#[test]
fn a_client_reads_its_tokenizer_and_the_names_of_the_labels() {
    let (root, mut small) = (tempfile::tempdir().unwrap(), Small::new(3));
    small.config_json = small.config_json.replace(r#""id2label":{"0":"NEGATIVE","1":"POSITIVE"}"#, r#""x":1"#);
    small.write(&root.path().join("b"), Embedding::Private).unwrap();
    let client = ClientBundle::open(&root.path().join("b/client")).unwrap();
    assert_eq!(fs::read(client.tokenizer_path).unwrap(), TOKENIZER);
    assert_eq!(client.labels, ["LABEL_0", "LABEL_1"]);
    assert!(client.table.is_none());
}

#[test]
fn the_dealer_and_the_client_hold_nothing_that_follows_from_the_masked_words() {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(4));
    let folder = root.path().join("b");
    small.write(&folder, Embedding::Private).unwrap();
    assert_eq!(names(&folder), ["client", "dealer", "party0", "party1"]);
    assert_eq!(names(&folder.join("dealer")), ["manifest.json", "seeds"]);
    assert_eq!(names(&folder.join("client")), ["config.json", "manifest.json", "tokenizer.json"]);
    assert_eq!(names(&folder.join("party0")), ["manifest.json", "seed", "weights.safetensors"]);
    let manifest = |role: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder.join(role).join("manifest.json")).unwrap()).unwrap()
    };
    let party = manifest("party0");
    let digests = party["tensors"].as_object().unwrap();
    assert_eq!(digests.len(), 2 + 2 * (6 * 2 + 2) + 4);
    for role in ["dealer", "client"] {
        let text = fs::read_to_string(folder.join(role).join("manifest.json")).unwrap();
        assert!(digests.values().all(|d| !text.contains(d.as_str().unwrap())), "{role} has a digest of F");
        let keys: Vec<String> = manifest(role).as_object().unwrap().keys().cloned().collect();
        let own = if role == "dealer" { "seeds" } else { "files" };
        let mut expected = ["embedding", "format", "id", "role", "spec", "spec_digest", "version", own];
        expected.sort();
        assert_eq!(keys, expected);
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_a_bundle_and_the_parties_share_one_file() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(5));
    let folder = root.path().join("b");
    small.write(&folder, Embedding::Client).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for role in Role::ALL {
        let part = role.folder(&folder);
        assert_eq!(mode(&part), 0o700);
        names(&part).iter().for_each(|name| assert_eq!(mode(&part.join(name)), 0o600, "{name}"));
    }
    let inode = |party: &str| fs::metadata(folder.join(party).join("weights.safetensors")).unwrap().ino();
    assert_eq!(inode("party0"), inode("party1"));
}

#[test]
fn every_conversion_draws_a_new_id_and_new_seeds() {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(6));
    let open = |name: &str| {
        small.write(&root.path().join(name), Embedding::Private).unwrap();
        DealerBundle::open(&root.path().join(name).join("dealer")).unwrap()
    };
    let (a, b) = (open("a"), open("b"));
    assert_ne!(a.id, b.id);
    let mut seeds = [a.seeds, b.seeds].concat_bytes();
    seeds.dedup();
    assert_eq!(seeds.len(), 4);
}

trait ConcatBytes {
    fn concat_bytes(self) -> Vec<[u8; 32]>;
}

impl ConcatBytes for [[ring64::Key; 2]; 2] {
    fn concat_bytes(self) -> Vec<[u8; 32]> {
        let mut all: Vec<[u8; 32]> = self.iter().flatten().map(|k| *k.as_bytes()).collect();
        all.sort();
        all
    }
}

#[test]
fn a_folder_that_is_there_is_kept_unless_it_is_a_bundle_to_overwrite() {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(7));
    let folder = root.path().join("b");
    fs::create_dir(&folder).unwrap();
    let first = small.write(&folder, Embedding::Private).unwrap();
    let again = small.write(&folder, Embedding::Private);
    assert!(matches!(again, Err(BundleError::Exists { .. })), "{again:?}");
    let overwrite = || WriteOptions { overwrite: true, progress: None };
    let second = small.write_with(&folder, Embedding::Client, overwrite()).unwrap();
    assert_ne!(first, second);
    assert_eq!(DealerBundle::open(&folder.join("dealer")).unwrap().id, second);
    assert_eq!(names(root.path()), ["b"]);

    fs::write(folder.join("thesis.txt"), "years of work").unwrap();
    let refused = small.write_with(&folder, Embedding::Private, overwrite());
    assert!(matches!(&refused, Err(BundleError::NotABundle { got, .. }) if got == "thesis.txt"), "{refused:?}");
    assert_eq!(fs::read_to_string(folder.join("thesis.txt")).unwrap(), "years of work");
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(small.write(&file, Embedding::Private), Err(BundleError::Write { .. })));
    assert_eq!(names(root.path()), ["b", "file"]);
}

#[test]
fn a_stopped_writing_leaves_nothing_behind() {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(8));
    for after in [1, 5] {
        let mut steps = Vec::new();
        let mut progress = |done, total| {
            steps.push((done, total));
            if steps.len() == after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = WriteOptions { overwrite: false, progress: Some(&mut progress) };
        let stopped = small.write_with(&root.path().join("b"), Embedding::Private, options);
        assert!(matches!(stopped, Err(BundleError::Stopped)));
        assert_eq!(steps.len(), after);
        assert!(names(root.path()).is_empty(), "{:?}", names(root.path()));
    }
    let (mut last, folder) = ((0, 1), root.path().join("b"));
    let mut progress = |done, total| {
        last = (done, total);
        ControlFlow::Continue(())
    };
    small
        .write_with(&folder, Embedding::Private, WriteOptions { overwrite: false, progress: Some(&mut progress) })
        .unwrap();
    assert_eq!(last.0, last.1);
    let size = fs::metadata(folder.join("party0/weights.safetensors")).unwrap().len();
    assert!(size > last.1 && size < last.1 + 8192);
}

#[test]
fn what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not() {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(11));
    let path = |name: &str| root.path().join(name);
    let (dead, alive, other) = (".b.partial-0123456789abcdef", ".b.partial-00000000deadbeef", ".b.partial-of-mine");
    for name in [dead, alive, other] {
        fs::create_dir(path(name)).unwrap();
        fs::write(path(name).join("weights.safetensors"), "half").unwrap();
    }
    let lock = fs::File::open(path(alive)).unwrap();
    lock.lock().unwrap();
    small.write(&path("b"), Embedding::Private).unwrap();
    let mut expected = [alive, other, "b"].map(String::from);
    expected.sort();
    assert_eq!(names(root.path()), expected);
    // while one bundle is being written, another process writes the same
    let mut second = None;
    let mut progress = |_, _| {
        second.get_or_insert_with(|| small.write(&path("c"), Embedding::Private).unwrap());
        ControlFlow::Continue(())
    };
    let first = small.write_with(
        &path("c"),
        Embedding::Private,
        WriteOptions { overwrite: true, progress: Some(&mut progress) },
    );
    let id = DealerBundle::open(&path("c/dealer")).unwrap().id;
    assert!(first.unwrap() == id && second.unwrap() != id);
    assert!(!names(root.path()).iter().any(|name| name.starts_with(".c.")), "{:?}", names(root.path()));
}

#[test]
fn contents_that_do_not_fit_together_are_refused() {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(9));
    let (folder, table) = (root.path().join("b"), EmbeddingTable::of(&small.folded));
    let refused = |contents: Contents<'_>| {
        let error = bundle::write(&folder, &contents, WriteOptions::default()).unwrap_err();
        assert!(matches!(error, BundleError::Contents { .. }), "{error}");
        assert!(names(root.path()).is_empty());
        error.to_string()
    };
    let good = small.contents(Embedding::Private);
    assert!(refused(Contents { table: Some(&table), ..good }).contains("table is there; expected absent"));
    assert!(refused(small.contents(Embedding::Client)).contains("table is absent; expected there"));
    let narrow = EmbeddingTable { position: table.embedding.clone(), ..table.clone() };
    assert!(refused(Contents { table: Some(&narrow), ..small.contents(Embedding::Client) }).contains("table"));
    let other = small.config_json.replace(r#""hidden_size":16"#, r#""hidden_size":32"#);
    assert!(refused(Contents { config_json: other.as_bytes(), ..good }).contains("config.json"));
    let softmax = small.config_json.replace("2quad", "softmax");
    assert!(refused(Contents { config_json: softmax.as_bytes(), ..good }).contains("config.json"));
    let mut missing = small.quantised.clone();
    missing.remove(&small.folded.bert().weight(BertWeight::Pooler));
    assert!(refused(Contents { quantised: &missing, ..good }).contains("`pooler` is missing"));
    let mut short = small.quantised.clone();
    short.get_mut(&small.folded.bert().weight(BertWeight::Up(1))).unwrap().weight.pop();
    assert!(refused(Contents { quantised: &short, ..good }).contains("`layer.1.up`"));
    let mut spec = (*small.spec).clone();
    spec.layers.pop();
    assert!(refused(Contents { spec: &spec, ..good }).contains("spec"));
}

#[test]
fn nothing_secret_is_printed() {
    let (root, small) = (tempfile::tempdir().unwrap(), Small::new(10));
    let folder = root.path().join("b");
    small.write(&folder, Embedding::Client).unwrap();
    let party = PartyBundle::open(&folder.join("party0"), 0).unwrap();
    let printed = [
        format!("{party:?}"),
        format!("{:?}", DealerBundle::open(&folder.join("dealer")).unwrap()),
        format!("{:?}", EmbeddingTable::of(&small.folded)),
        format!("{:?}", small.contents(Embedding::Private)),
    ];
    let (seed, word) =
        (party.seed.as_bytes(), party.weights[&small.folded.bert().weight(BertWeight::Pooler)].weight[0]);
    let secrets = [format!("{seed:?}"), word.to_string(), format!("{word:x}")];
    for text in printed {
        assert!(secrets.iter().all(|s| !text.contains(s.as_str())), "{text}");
        assert!(text.len() < 200, "{text}");
    }
}
