//! Blocks of row-major matrices of words.

use crate::engine::Block;

/// Copies a block out of a row-major matrix with `cols` columns.
pub fn copy_block(x: &[u64], cols: usize, block: Block) -> Vec<u64> {
    let mut copy = Vec::with_capacity(block.rows * block.cols);
    for row in block.row..block.row + block.rows {
        copy.extend_from_slice(&x[row * cols + block.col..][..block.cols]);
    }
    copy
}

/// Matrices with so many columns each, side by side.
pub fn join_columns<T: AsRef<[u64]>>(parts: &[(T, usize)], rows: usize) -> Vec<u64> {
    let cols: usize = parts.iter().map(|(_, c)| c).sum();
    let mut all = Vec::with_capacity(rows * cols);
    for r in 0..rows {
        parts.iter().for_each(|(p, c)| all.extend_from_slice(&p.as_ref()[r * c..(r + 1) * c]));
    }
    all
}

/// Blocks with so many rows and columns each: those of a line side by side, the lines below one another.
pub fn assemble<T: AsRef<[u64]>>(grid: &[Vec<(T, usize, usize)>]) -> Vec<u64> {
    let mut all = Vec::with_capacity(grid.iter().flatten().map(|(_, rows, cols)| rows * cols).sum());
    for line in grid {
        for row in 0..line.first().map_or(0, |b| b.1) {
            line.iter().for_each(|(b, _, cols)| all.extend_from_slice(&b.as_ref()[row * cols..][..*cols]));
        }
    }
    all
}

/// The inverse of [`join_columns`].
pub fn split_columns(x: &[u64], rows: usize, widths: &[usize]) -> Vec<Vec<u64>> {
    let cols: usize = widths.iter().sum();
    let mut col = 0;
    let mut parts = Vec::with_capacity(widths.len());
    for width in widths {
        parts.push(copy_block(x, cols, Block { row: 0, rows, col, cols: *width }));
        col += width;
    }
    parts
}

/// Rows of `cols` columns whose halves are turned by public integers, half a row of each: see [`crate::Arithmetic::rotate`].
pub fn rotate(x: &[u64], cols: usize, cos: &[u64], sin: &[u64]) -> Vec<u64> {
    let half = cols / 2;
    let mut turned = Vec::with_capacity(x.len());
    for ((row, cos), sin) in x.chunks(cols).zip(cos.chunks(half)).zip(sin.chunks(half)) {
        let (left, right) = row.split_at(half);
        let term = |of: &[u64], by: &[u64], at: usize| of[at].wrapping_mul(by[at]);
        turned.extend((0..half).map(|at| term(left, cos, at).wrapping_sub(term(right, sin, at))));
        turned.extend((0..half).map(|at| term(right, cos, at).wrapping_add(term(left, sin, at))));
    }
    turned
}

/// Adds to column `j` of each row a public multiple of number `j` of a gate.
pub fn add_to_columns(mut x: Vec<u64>, by: u64, gate: &[u64]) -> Vec<u64> {
    let added: Vec<u64> = gate.iter().map(|g| g.wrapping_mul(by)).collect();
    x.chunks_mut(gate.len()).for_each(|row| ring64::add_assign(row, &added));
    x
}

/// The product of a column and a row.
pub fn outer_product(column: &[u64], row: &[u64]) -> Vec<u64> {
    column.iter().flat_map(|c| row.iter().map(move |r| c.wrapping_mul(*r))).collect()
}

/// Multiplies each row of a matrix with as many rows as the gate has numbers.
pub fn scale_rows(x: &mut [u64], gate: &[u64]) {
    let cols = x.len() / gate.len();
    for (row, gate) in x.chunks_mut(cols).zip(gate) {
        row.iter_mut().for_each(|v| *v = v.wrapping_mul(*gate));
    }
}
