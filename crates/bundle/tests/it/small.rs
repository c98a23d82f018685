//! A small model with random weights, converted, and bundles of it.

use std::path::Path;
use std::sync::Arc;

use bundle::{BundleError, BundleId, Contents, Embedding, EmbeddingTable, WriteOptions};
use model::{Config, Folded, InputKind, Quantised, Sample, Shape, Spec, calibrate, choose, fold, quantise, synthetic};

pub(crate) struct Small {
    pub(crate) config_json: String,
    pub(crate) spec: Arc<Spec>,
    pub(crate) folded: Folded,
    pub(crate) quantised: Quantised,
}

pub(crate) const TOKENIZER: &[u8] = b"{\"not read here\": true}";

impl Small {
    pub(crate) fn new(seed: u64) -> Small {
        let config_json = r#"{"vocab_size":31,"hidden_size":16,"num_hidden_layers":2,"num_attention_heads":2,
            "intermediate_size":24,"max_position_embeddings":12,"attention_softmax":"2quad","layer_norm_eps":1e-12,
            "id2label":{"0":"NEGATIVE","1":"POSITIVE"}}"#;
        let config = Config::from_json(config_json).unwrap();
        let shape = Shape::of(&config);
        let mut folded = fold(&shape, &synthetic(&config, seed)).unwrap();
        let sample =
            |i: u32| Sample { ids: (0..12).map(|j| (i * 7 + j * 5) % 31).collect(), segments: vec![i % 2; 12] };
        let samples: Vec<Sample> = (0..24).map(sample).collect();
        let choice = choose(&shape, &calibrate(&folded, &samples, &|| ()).unwrap()).unwrap();
        for (layer, order) in choice.orders.iter().enumerate() {
            folded.permute_neurons(layer, order);
        }
        let quantised = quantise(folded.matrices(), &choice.spec.calibrated(InputKind::OneHot).scales).unwrap();
        Small { config_json: config_json.into(), spec: Arc::new(choice.spec), folded, quantised }
    }

    pub(crate) fn write(&self, folder: &Path, embedding: Embedding) -> Result<BundleId, BundleError> {
        self.write_with(folder, embedding, WriteOptions::default())
    }

    pub(crate) fn write_with(
        &self,
        folder: &Path,
        embedding: Embedding,
        options: WriteOptions<'_>,
    ) -> Result<BundleId, BundleError> {
        let table = EmbeddingTable::of(&self.folded);
        let table = (embedding == Embedding::Client).then_some(&table);
        bundle::write(folder, &Contents { table, ..self.contents(embedding) }, options)
    }

    pub(crate) fn contents(&self, embedding: Embedding) -> Contents<'_> {
        Contents {
            spec: &self.spec,
            quantised: &self.quantised,
            embedding,
            config_json: self.config_json.as_bytes(),
            tokenizer_json: TOKENIZER,
            table: None,
        }
    }
}
