//! What comparisons give, against clear: exactly, or within what is cut.

use model::{Compared, Float, Functions, Matrices, Network, Pace};
use ndarray::Array2;

use super::network::{Compares, FRAC, Task, compares};
use super::{World, in_units, paces, units_of_values, values};
use crate::world::{Schedule, stream_keys};

const SEED: u64 = 61;

/// Runs in pieces, which take less memory than a million elements at once.
fn pieces(
    task: Task,
    bits: u32,
    compared: Compared,
    shape: (usize, usize),
    count: usize,
) -> impl Iterator<Item = (World, Vec<i64>)> {
    let calibrated = compares(task, bits, [compared; 2]);
    (0..count as u64).map(move |piece| {
        let values = values(shape.0 * shape.1, bits, SEED + piece);
        (World::new(&calibrated, shape, &values, SEED + piece), values)
    })
}

#[test]
fn relu_of_a_million_values_is_exact() {
    for compared in paces(20, 0) {
        for (world, values) in pieces(Task::Relu, 20, compared, (1 << 16, 1), 16) {
            let results = world.results(SEED);
            assert!(results == world.clear(), "{compared:?}");
            assert!(units_of_values(&results).iter().zip(&values).all(|(y, x)| *y == *x.max(&0)));
        }
    }
}

/// What is not looked at may pass for positive: ReLU of such a value is the value. Values stay away from the end of the range by as much.
#[test]
fn relu_that_looks_at_the_upper_bits_is_off_by_what_it_does_not_look_at() {
    for compared in paces(18, 5) {
        let (mut off, mut near) = (0, 0);
        for (world, values) in pieces(Task::Relu, 17, compared, (1 << 16, 1), 16) {
            for (y, x) in units_of_values(&world.results(SEED)).into_iter().zip(values) {
                assert!(y == x.max(0) || y == x && (-32..0).contains(&x), "{compared:?}: {x} gives {y}");
                (off, near) = (off + usize::from(y != x.max(0)), near + usize::from((-32..0).contains(&x)));
            }
        }
        println!("{compared:?}: {off} of {near} values from -32 to -1 pass for positive");
        assert!(off > 0 && off < near);
    }
}

#[test]
fn maximum_and_argmax_of_a_million_values_are_exact() {
    let (rows, cols) = (512, 128);
    for compared in paces(20, 0) {
        for task in [Task::Maximum, Task::Argmax] {
            for (world, values) in pieces(task, 19, compared, (rows, cols), 16) {
                let results = world.results(SEED);
                assert!(results == world.clear(), "{task:?}, {compared:?}");
                let rows = values.chunks(cols);
                let largest = rows.clone().map(|row| *row.iter().max().unwrap());
                match task {
                    Task::Maximum => assert!(largest.eq(units_of_values(&results))),
                    _ => {
                        let at = in_units(&results, 0).into_iter().zip(rows).map(|(at, row)| row[at as usize]);
                        assert!(largest.eq(at));
                    }
                }
            }
        }
    }
}

/// Differences that are not looked at: the winner is within them of the largest, at each step of the tournament.
#[test]
fn a_maximum_that_looks_at_the_upper_bits_is_within_them_of_the_largest() {
    let (rows, cols, cut) = (512, 33, 6);
    for compared in paces(21, cut) {
        for (world, values) in pieces(Task::Maximum, 19, compared, (rows, cols), 2) {
            let results = units_of_values(&world.results(SEED)).into_iter().zip(values.chunks(cols));
            for (got, row) in results {
                let largest = *row.iter().max().unwrap();
                assert!(row.contains(&got) && largest - got <= 6 << cut, "{got} for {largest}");
            }
        }
    }
}

#[test]
fn rows_of_any_length_have_a_largest_value_and_equal_ones_one_of_them() {
    for cols in [2, 3, 5, 7, 8, 31] {
        for compared in paces(20, 0) {
            for (task, least) in [(Task::Maximum, 1), (Task::Argmax, 2)] {
                let calibrated = compares(task, 19, [compared; 2]);
                for (shape, modulus) in [((9, cols), i64::MAX), ((9, cols), 3), ((9, least), i64::MAX)] {
                    let values: Vec<_> = values(shape.0 * shape.1 + 120, 19, SEED).split_off(120);
                    let values: Vec<_> = values.iter().map(|v| v % modulus).collect();
                    let world = World::new(&calibrated, shape, &values, SEED);
                    let results = world.results(SEED);
                    assert_eq!(results, world.clear());
                    let units = in_units(&results, if task == Task::Maximum { FRAC } else { 0 });
                    for (result, row) in units.into_iter().zip(values.chunks(shape.1)) {
                        let got = if task == Task::Maximum { result } else { row[result as usize] };
                        assert_eq!(got, *row.iter().max().unwrap());
                    }
                }
            }
        }
    }
}

/// On every number of bits, whatever chunks that makes, and both where both are asked for at once.
#[test]
fn each_way_to_compare_is_exact_on_every_number_of_bits() {
    for bits in [8, 13, 17, 18, 20, 24, 29] {
        let values = values(1200, bits, SEED);
        let paces = paces(bits, 0);
        for (task, compared) in [Task::Abs, Task::Negative, Task::Select, Task::Both, Task::Relu]
            .into_iter()
            .flat_map(|task| paces.map(|one| (task, [one, paces[1]])))
        {
            let mut world = World::new(&compares(task, bits, compared), (100, 12), &values, SEED);
            for schedule in [Schedule::Ahead(u64::MAX), Schedule::Stream, Schedule::Stored] {
                world.schedule = schedule;
                let results = world.results(SEED);
                assert_eq!(results, world.clear(), "{task:?}, {bits} bits, {compared:?}");
                let results = in_units(&results, if task == Task::Negative { 0 } else { FRAC });
                let expected: Vec<i64> = values.chunks(12).flat_map(|row| of_row(task, row)).collect();
                assert_eq!(results, expected, "{task:?}, {bits} bits, {compared:?}");
            }
        }
    }
}

fn of_row(task: Task, row: &[i64]) -> Vec<i64> {
    let third = row.len() / 3;
    match task {
        Task::Relu => row.iter().map(|v| *v.max(&0)).collect(),
        Task::Abs => row.iter().map(|v| v.abs()).collect(),
        Task::Negative => row.iter().map(|v| i64::from(*v < 0)).collect(),
        Task::Select => (0..third).map(|at| if row[at] < 0 { row[at + 2 * third] } else { row[at + third] }).collect(),
        Task::Both => {
            let (left, right) = row.split_at(row.len() / 2);
            left.iter().zip(right).map(|(x, y)| x.max(&0) + y.max(&0)).collect()
        }
        Task::Maximum | Task::Argmax => unreachable!("these are not of single elements"),
    }
}

#[test]
fn floating_point_computes_the_same() {
    let (values, shape) = (values(240, 19, SEED), (20, 12));
    for task in [Task::Relu, Task::Abs, Task::Negative, Task::Select, Task::Both, Task::Maximum, Task::Argmax] {
        let calibrated = compares(task, 19, paces(20, 0));
        let world = World::new(&calibrated, shape, &values, SEED);
        let (network, matrices) = (&calibrated.network, Matrices::new());
        let mut engine = Float::new(network.table(), &matrices, (), Functions::Series);
        let unit = 1.0 / f64::powi(2.0, FRAC) as f32;
        let input = Array2::from_shape_vec(shape, values.iter().map(|v| *v as f32 * unit).collect()).unwrap();
        let float = Network::run::<Float<'_, ()>>(network, &mut engine, &shape, &mut (), &input).unwrap().results;
        let (clear, frac) = world.clear();
        let clear = clear.iter().map(|word| (*word as f64 / f64::powi(2.0, frac)) as f32);
        assert!(clear.eq(float.iter().copied()), "{task:?}");
    }
}

/// Nothing tells of a value beyond the range of a comparison: it is compared modulo that range, and ReLU of it is zero or itself, so that
/// no relation between them fails.
#[test]
fn a_value_beyond_the_range_of_a_comparison_has_any_sign_and_nothing_shows() {
    for compared in paces(18, 0) {
        let calibrated: model::Calibrated<Compares> = compares(Task::Relu, 20, [compared; 2]);
        let end = 1i64 << 17;
        let values = [end - 1, end, end + 5, 2 * end - 1, -end, -end - 1, -2 * end + 1];
        let world = World::new(&calibrated, (1, 7), &values, SEED);
        let run = world.run(stream_keys(SEED), stream_keys(SEED));
        let results = run.results().expect("no word is below the wire's own range");
        assert_eq!(units_of_values(&results), [end - 1, 0, 0, 0, 0, -end - 1, -2 * end + 1]);
        assert_eq!(results, world.clear());
    }
}

#[test]
fn a_comparison_of_too_many_bits_is_refused_by_name() {
    for (bits, cut) in [(33, 0), (20, 19), (1, 0)] {
        let calibrated = compares(Task::Relu, 20, [Compared { bits, cut, pace: Pace::Lean }; 2]);
        let refused = mpc::masked::Plan::new(&calibrated, &[(1, 1)]).unwrap_err().to_string();
        assert!(refused.starts_with("one: compared on"), "{refused}");
    }
}
