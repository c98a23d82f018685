//! SecFormer's own table: its figures, and what our plan of the same run counts to by its rules.

use std::slice;
use std::sync::Arc;

use anyhow::Result;
use model::{InputKind, Operation, Spec, Texts};
use mpc::beaver::{Options, Plan};
use serde_json::{Map, Value, json};

/// SecFormer's Table 3: gigabytes of BERT-base at 512 tokens, in the order of [`Operation::ALL`].
const GIGABYTES: [f64; 4] = [17.8, 1.84, 0.47, 3.46];
/// The model and the tokens that these are for.
const OF: (&str, usize) = ("bert-base", 512);

/// The run of SecFormer's table, as planned: its rules of counting and the steps that it was timed with.
pub(super) struct AsPublished {
    /// Gigabytes both ways of each operation.
    pub(super) planned: [f64; 4],
    /// What the table says, where it has this run.
    pub(super) published: Option<[f64; 4]>,
}

impl AsPublished {
    /// Plans it for a model of so many layers' spec.
    pub(super) fn of(model: &str, spec: &Arc<Spec>, texts: &Texts) -> Result<AsPublished> {
        let plan = Plan::new(&spec.calibrated(InputKind::OneHot), slice::from_ref(texts), Options::as_timed())?;
        let planned = Operation::ALL.map(|operation| plan.published_bytes(operation) as f64 / 1e9);
        let published = (OF == (model, texts.rows())).then_some(GIGABYTES);
        Ok(AsPublished { planned, published })
    }

    pub(super) fn object(&self) -> Value {
        let by_name = |figures: [f64; 4]| {
            let named = Operation::ALL.iter().zip(figures).map(|(operation, gb)| (operation.name().into(), json!(gb)));
            named.collect::<Map<_, _>>()
        };
        json!({ "planned_gigabytes": by_name(self.planned), "published_gigabytes": self.published.map(by_name) })
    }
}

/// The same spec for a network of so many layers: those before the last are repeated.
pub(super) fn stretched(spec: &Arc<Spec>, layers: usize) -> Arc<Spec> {
    let here = spec.shape.layers;
    if layers <= here {
        return spec.clone();
    }
    let mut longer = (**spec).clone();
    // the last layer computes fewer rows in some engines, and is never repeated where there is another
    let from = here.saturating_sub(2);
    for _ in here..layers {
        longer.layers.insert(from, spec.layers[from].clone());
        longer.shape.shifts.insert(from, spec.shape.shifts[from].clone());
        for norm in [2 * from + 2, 2 * from + 1] {
            longer.norms.insert(2 * from + 1, spec.norms[norm].clone());
        }
    }
    longer.shape.layers = layers;
    Arc::new(longer)
}
