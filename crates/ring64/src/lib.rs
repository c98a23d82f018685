//! Words modulo 2^64: kernels, numbered random streams, fixed point, exact cosines, packing.
//!
//! Everything here is local arithmetic on `u64` words that wrap. Nothing here knows of files, sockets or protocols, and
//! every result is the same bits on every machine: two parties multiply uniform shares by what this crate computes, so
//! one differing last bit would be garbage in the output. This is the only crate of the workspace that holds `unsafe`
//! code; it stands in the modules of the kernels alone, each function there with a scalar twin and a test that they agree.
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod elementwise;
mod fixed;
mod kernel;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
mod opening;
mod pack;
mod packed;
mod prg;
#[cfg(target_arch = "x86_64")]
mod recompiled;
mod scalar;
mod tiles;
mod trig;
mod waves;

pub use elementwise::{add_assign, mask_assign, neg_assign, shift_left_assign, sub_assign};
pub use fixed::{decode, decode_slice, encode, shift_round};
pub use kernel::{Dims, Kernel, Product, Rhs, threads};
pub use pack::{PackError, pack, packed_len, unpack, unpack_add};
pub use packed::Packed;
pub use prg::{Key, Prg, low_bits};
pub use trig::{TRIG_FRAC, Turn};
pub use waves::Harmonics;
