//! Shapes that are measured, by the names of models that have them.

use clap::ValueEnum;

/// A shape by the name of a model that has it; weights are random whatever the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModelName {
    /// 12 layers of width 768, 30522 words.
    BertBase,
    /// 24 layers of width 1024, 30522 words.
    BertLarge,
    /// 6 layers of width 384, 30522 words.
    MinilmL6,
    /// 3 layers of width 384, 30522 words.
    MinilmL3,
    /// 12 layers of width 384, 30522 words.
    GteSmall,
    /// 2 layers of width 64, 1000 words: for trying.
    Tiny,
}

impl ModelName {
    /// As on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }

    /// Its layers.
    pub(crate) fn layers(self) -> usize {
        self.sizes()[0]
    }

    /// Layers, width, heads, inner width and words.
    pub(crate) fn sizes(self) -> [usize; 5] {
        match self {
            ModelName::BertBase => [12, 768, 12, 3072, 30_522],
            ModelName::BertLarge => [24, 1024, 16, 4096, 30_522],
            ModelName::MinilmL6 => [6, 384, 12, 1536, 30_522],
            ModelName::MinilmL3 => [3, 384, 12, 1536, 30_522],
            ModelName::GteSmall => [12, 384, 12, 1536, 30_522],
            ModelName::Tiny => [2, 64, 4, 256, 1000],
        }
    }
}
