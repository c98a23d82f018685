//! Two gated layers with rotated queries and a cache: a network that no crate knows.
use std::sync::Arc;

use model::{Engine, Input, Network, Operation, Output, Parameter, Read, Rhs, Rotation, Site, Table, Weight};

pub(crate) const WIDTH: usize = 8;
pub(crate) struct Gated(Arc<Table>, Site, Vec<([Weight; 3], [Site; 5])>, Weight);

impl Gated {
    pub(crate) fn new() -> Gated {
        let (mut table, mut layers) = (Table::default(), Vec::new());
        let mut at = table.site("input", Operation::Others);
        let (input, scaled) = (at, Read::Columns { centred: false });
        let parameter = |table: &mut Table, name: String, (rows, cols), read, input| {
            let stream = (table.parameters().count() as u64) << 8;
            table.parameter(Parameter { name, rows, cols, bias: false, read, input, stream })
        };
        for l in 0..2 {
            let [query, value] = ["query", "value"]
                .map(|n| parameter(&mut table, format!("{l}.{n}"), (WIDTH, WIDTH), Read::Product, at));
            let scale = parameter(&mut table, format!("{l}.scale"), (2, WIDTH), scaled, at);
            let sites = ["query", "value", "gate", "scores", "output"];
            let sites = sites.map(|name| table.site(format!("layer {l}: {name}"), Operation::Others));
            layers.push(([query, value, scale], sites));
            at = sites[4];
        }
        let head = parameter(&mut table, "head".into(), (WIDTH, 2), Read::Product, at);
        Gated(Arc::new(table), input, layers, head)
    }
}

impl Network for Gated {
    type Batch = usize;
    type State<E: Engine> = (usize, [Vec<Vec<E::Wire>>; 2]);
    fn table(&self) -> &Arc<Table> {
        &self.0
    }
    fn input(&self, rows: &usize) -> Input {
        Input { rows: *rows, cols: WIDTH, site: self.1 }
    }
    fn begin<E: Engine>(&self) -> Self::State<E> {
        (0, [Vec::new(), Vec::new()])
    }
    fn run<E: Engine>(&self, e: &mut E, rows: &usize, cache: &mut Self::State<E>, input: &E::Share) -> Run<E> {
        let mut x = e.open(&[(input, self.1)], &[])?.0.remove(0);
        let angle = |row: usize, pair: usize| (cache.0 + row) as f64 / f64::powi(4.0, pair as i32);
        let by = Rotation { angles: (0..*rows).map(|r| (0..WIDTH / 2).map(|p| angle(r, p)).collect()).collect() };
        for (l, ([query, value, scale], sites)) in self.2.iter().enumerate() {
            e.begin(1 + l, Operation::Others)?;
            let (query, value, carried) = (e.linear(&x, *query)?, e.linear(&x, *value)?, e.residual(&x, *scale)?);
            let query = e.rotate(query, &by);
            let mut opened = e.open(&[(&query, sites[0]), (&value, sites[1])], &[])?.0;
            let gate = e.mul(&[(&opened[0], &opened[1])])?;
            cache.1[l].push(e.open(&[(&gate[0], sites[2])], &[])?.0);
            let all = [e.assemble(&cache.1[l]), e.assemble(&cache.1[l])];
            let [keys, values] = all;
            let scores = e.matmul(&[(opened.remove(0), keys)], Rhs::Transposed)?;
            let scores = e.open(&[(&scores[0], sites[3])], &[])?.0.remove(0);
            let mixed = e.matmul(&[(scores, values)], Rhs::AsIs)?.remove(0);
            let sum = e.add(mixed, carried)?;
            x = e.open(&[(&sum, sites[4])], &[])?.0.remove(0);
        }
        cache.0 += rows;
        Ok(Output { results: e.linear(&x, self.3)?, certificates: Vec::new() })
    }
}

type Run<E> = Result<Output<<E as Engine>::Share>, <E as Engine>::Error>;
