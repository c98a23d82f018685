//! Rearrangement of shared words: each party moves its own, nothing is sent. It is the same for words that are shared by
//! addition and by exclusive or.

use std::ops::Range;

use model::Block;

use super::ring::Ring;

/// The same words once more.
pub(crate) fn copy<R: Ring>(ring: &mut R, x: &R::Share) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x], count, |_, x| x[0].to_vec())
}

/// Lists one behind the other.
pub(crate) fn concat<R: Ring>(ring: &mut R, lists: &[&R::Share]) -> R::Share {
    let count = lists.iter().map(|x| ring.count(x)).sum();
    ring.local(lists, count, |_, x| x.concat())
}

/// A part of a list.
pub(crate) fn slice<R: Ring>(ring: &mut R, x: &R::Share, part: Range<usize>) -> R::Share {
    ring.local(&[x], part.len(), |_, x| x[0][part].to_vec())
}

/// A block of a matrix of so many columns.
pub(crate) fn block<R: Ring>(ring: &mut R, x: &R::Share, cols: usize, block: Block) -> R::Share {
    ring.local(&[x], block.rows * block.cols, |_, x| model::copy_block(x[0], cols, block))
}

/// One matrix of blocks, each with its rows and columns: those of a line side by side, the lines below one another.
pub(crate) fn assemble<R: Ring>(ring: &mut R, grid: &[Vec<(&R::Share, usize, usize)>]) -> R::Share {
    let blocks: Vec<_> = grid.iter().flatten().map(|(x, ..)| *x).collect();
    let count = grid.iter().flatten().map(|(_, rows, cols)| rows * cols).sum();
    ring.local(&blocks, count, |_, words| {
        let mut words = words.iter().copied();
        let mut line = |line: &Vec<(&R::Share, usize, usize)>| -> Vec<_> {
            line.iter().map(|(_, rows, cols)| (words.next().unwrap_or_default(), *rows, *cols)).collect()
        };
        model::assemble(&grid.iter().map(&mut line).collect::<Vec<_>>())
    })
}

/// Rows of `cols` columns whose halves are turned by public integers ([`model::rotate`]).
pub(crate) fn rotate<R: Ring>(ring: &mut R, x: &R::Share, cols: usize, cos: &[u64], sin: &[u64]) -> R::Share {
    let count = ring.count(x);
    ring.local(&[x], count, |_, x| model::rotate(x[0], cols, cos, sin))
}
