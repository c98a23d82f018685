//! A network: what it declares, and how it runs on any [`Engine`].

use std::sync::Arc;

use crate::arithmetic::{Form, Value};
use crate::engine::Engine;
use crate::scales::Scales;
use crate::table::{Site, Table};

/// A network, written once and interpreted by every engine.
pub trait Network {
    /// What is public of the inputs of one run: their number and lengths.
    type Batch;
    /// What one run leaves to the next of the same attempt: opened wires, which each engine keeps in its own form.
    type State<E: Engine>;

    /// What the network declares.
    fn table(&self) -> &Arc<Table>;

    /// Rows and columns of the client's input, and where it is opened.
    fn input(&self, batch: &Self::Batch) -> Input;

    /// The state before the first run.
    fn begin<E: Engine>(&self) -> Self::State<E>;

    /// One run over a batch, from the client's shared input.
    fn run<E: Engine>(
        &self,
        engine: &mut E,
        batch: &Self::Batch,
        state: &mut Self::State<E>,
        input: &E::Share,
    ) -> Result<Output<E::Share>, E::Error>;
}

/// The shape of a client's input, and where it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Where it is opened.
    pub site: Site,
}

/// What a run gives: results, and how far it was from its own promises.
#[derive(Clone, Debug)]
pub struct Output<S> {
    /// The results; of a classifier the logits, one row a text.
    pub results: S,
    /// The certificate of each text, one number each with [`crate::CERTIFICATE_FRAC`] fractional bits; none where the engine
    /// does not check itself.
    pub certificates: Vec<S>,
}

/// A network with the scales that calibration gave: what is planned, dealt and run.
#[derive(Clone, Debug)]
pub struct Calibrated<N> {
    /// The network.
    pub network: N,
    /// Its scales.
    pub scales: Arc<Scales>,
}

impl<N: Network> Calibrated<N> {
    /// Elements of the client's input.
    pub fn input_count(&self, batch: &N::Batch) -> usize {
        let Input { rows, cols, .. } = self.network.input(batch);
        rows * cols
    }
}

impl<N: Network> Calibrated<N> {
    /// The client's input for a batch, as an engine on scaled integers reads it.
    pub fn input<T>(&self, batch: &N::Batch, data: T) -> Value<T> {
        let Input { rows, cols, site } = self.network.input(batch);
        let frac = self.scales.opening(site).frac + self.scales.input_extra() as i32;
        Value { form: Form { rows, cols, frac }, data }
    }
}
