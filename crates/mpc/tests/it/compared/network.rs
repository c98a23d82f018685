//! A network that compares, in the ways that there are.

use std::sync::Arc;

use model::{
    Block, Calibrated, Compared, Comparison, Curve, Engine, Input, Network, Opening, Operation, Output, Scales, Site,
    Table, abs, argmax, maximum, negative, relu, select,
};

/// Fractional bits of values.
pub(crate) const FRAC: i32 = 12;
/// Fractional bits of the client's words beyond them.
pub(crate) const EXTRA: u32 = 16;

/// What is computed of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Relu,
    Abs,
    Negative,
    /// The second third of the columns where the first is not negative, else the last third.
    Select,
    /// ReLU of the left half by the first comparison and of the right half by the second, added.
    Both,
    Maximum,
    Argmax,
}

#[derive(Clone, Debug)]
pub(crate) struct Compares {
    table: Arc<Table>,
    task: Task,
    input: Site,
    winners: Site,
    columns: Site,
    comparisons: [Comparison; 2],
}

/// The network on values of so many bits, by these comparisons.
pub(crate) fn compares(task: Task, bits: u32, compared: [Compared; 2]) -> Calibrated<Compares> {
    let mut table = Table::default();
    let input = table.site("input", Operation::Others);
    let winners = table.site("winners", Operation::Softmax);
    let columns = table.integers("columns", Operation::Softmax);
    let comparisons = ["one", "other"].map(|name| table.comparison(name, Operation::Gelu));
    let table = Arc::new(table);
    let opening = |site| if site == columns { Opening { frac: 0, bits: 12 } } else { Opening { frac: FRAC, bits } };
    let curve = Arc::new(Curve { frac: 0, stretch: 0, segments: Vec::new() });
    let scales = Scales::new(table.clone(), EXTRA, opening, |_| (curve.clone(), 0), |_| 0);
    let scales = scales.comparing(|comparison| compared[usize::from(comparison == comparisons[1])]);
    Calibrated { network: Compares { table, task, input, winners, columns, comparisons }, scales: Arc::new(scales) }
}

impl Network for Compares {
    /// Rows and columns.
    type Batch = (usize, usize);
    type State<E: Engine> = ();

    fn table(&self) -> &Arc<Table> {
        &self.table
    }

    fn input(&self, (rows, cols): &(usize, usize)) -> Input {
        Input { rows: *rows, cols: *cols, site: self.input }
    }

    fn begin<E: Engine>(&self) {}

    fn run<E: Engine>(
        &self,
        engine: &mut E,
        (rows, cols): &(usize, usize),
        (): &mut (),
        input: &E::Share,
    ) -> Result<Output<E::Share>, E::Error> {
        let (rows, cols, [one, other]) = (*rows, *cols, self.comparisons);
        let x = engine.open(&[(input, self.input)], &[])?.0.remove(0);
        engine.begin(1, Operation::Others)?;
        let part = |engine: &mut E, number: usize, of: usize| {
            engine.block(&x, Block { row: 0, rows, col: number * cols / of, cols: cols / of })
        };
        let results = match self.task {
            Task::Relu => relu(engine, &[(&x, one)])?.remove(0),
            Task::Abs => abs(engine, &[(&x, one)])?.remove(0),
            Task::Negative => {
                let signs = engine.signs(&[(&x, one)])?;
                negative(engine, &signs[0])?
            }
            Task::Select => {
                let [by, left, right] = [0, 1, 2].map(|number| part(engine, number, 3));
                let signs = engine.signs(&[(&by, one)])?;
                select(engine, &signs[0], &[(&left, &right)])?.remove(0)
            }
            Task::Both => {
                let [left, right] = [0, 1].map(|number| part(engine, number, 2));
                let mut both = relu(engine, &[(&left, one), (&right, other)])?;
                let right = both.remove(1);
                engine.add(both.remove(0), right)?
            }
            Task::Maximum => {
                let largest = maximum(engine, x, (rows, cols), one, self.winners)?;
                engine.shared(&largest)?
            }
            Task::Argmax => {
                let sites = (self.winners, self.columns);
                let (_, columns) = argmax(engine, x, (rows, cols), one, sites)?;
                engine.shared(&columns)?
            }
        };
        Ok(Output { results, certificates: Vec::new() })
    }
}
