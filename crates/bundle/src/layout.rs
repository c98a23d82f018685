//! Who gets which files, and which tensors follow from a spec.

use std::fmt;
use std::path::{Path, PathBuf};

use model::{Bert, InputKind, Parameter, Spec, Weight};
use serde::{Deserialize, Serialize};

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const WEIGHTS: &str = "weights.safetensors";
pub(crate) const SEED: &str = "seed";
pub(crate) const SEEDS: &str = "seeds";
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const TABLE: &str = "table.safetensors";

/// Who embeds the tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Embedding {
    /// The parties, with a table that stays private; the client shares one-hot rows.
    #[default]
    Private,
    /// The client, which gets the table in clear.
    Client,
}

impl Embedding {
    /// What the client shares.
    pub fn input_kind(self) -> InputKind {
        match self {
            Embedding::Private => InputKind::OneHot,
            Embedding::Client => InputKind::Embedded,
        }
    }
}

impl From<Embedding> for InputKind {
    fn from(embedding: Embedding) -> InputKind {
        embedding.input_kind()
    }
}

impl fmt::Display for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Embedding::Private => "private",
            Embedding::Client => "client",
        })
    }
}

/// Whom a part of a bundle is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Party 0.
    Party0,
    /// Party 1.
    Party1,
    /// The dealer.
    Dealer,
    /// The client.
    Client,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 4] = [Role::Party0, Role::Party1, Role::Dealer, Role::Client];

    /// The folder of this role's part in a bundle.
    pub fn folder(self, bundle: &Path) -> PathBuf {
        bundle.join(self.name())
    }

    /// As in folders, messages and errors.
    pub fn name(self) -> &'static str {
        match self {
            Role::Party0 => "party0",
            Role::Party1 => "party1",
            Role::Dealer => "dealer",
            Role::Client => "client",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The weights that the parties of such a model hold, in the order of the file. The spec was checked.
pub fn expected_tensors(spec: &Spec, embedding: Embedding) -> Vec<(Weight, Parameter)> {
    let bert = Bert::new(spec.shape.clone(), embedding.input_kind());
    bert.weights_of_parties().map(|(weight, parameter)| (weight, parameter.clone())).collect()
}

/// The most words of a model: three times the largest BERT's tables and matrices, 16 GiB. A forged manifest cannot ask a
/// reader for more.
pub const MOST_WORDS: u64 = 1 << 31;

/// Words of all weights, tables included, whoever embeds. The spec was checked, so that its numbers are small.
pub(crate) fn words(spec: &Spec) -> u64 {
    let of = |(_, e): &(Weight, Parameter)| e.rows as u64 * e.cols as u64 + if e.bias { e.cols as u64 } else { 0 };
    expected_tensors(spec, Embedding::Private).iter().map(of).sum()
}

/// The name of a weight's bias in the file.
pub(crate) fn bias_name(weight: &str) -> String {
    format!("{weight}.bias")
}
