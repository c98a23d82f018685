//! How long the hot calls of a private inference take at the shapes of BERT-base with 128 tokens, by every kernel of this CPU.
//!
//! `cargo bench -p ring64 --bench kernels [-- PART OF A NAME]`
//!
//! A rate of elements is of multiply-adds, or of terms of a series (a cosine and a sine each); a rate of bytes is of what is
//! sent, read or filled. `runtime bench kernels` holds each against what bounds it.

mod calls;

use std::time::Duration;

use calls::Call;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use ring64::{Dims, Kernel, Rhs, packed_len};

const CALLS: [Call; 15] = [
    Call::MultiplyAdd(Dims::new(128, 768, 3072)),
    Call::MultiplyAdd(Dims::new(128, 768, 768)),
    Call::MultiplyAdd(Dims::new(8, 768, 768)),
    Call::Gemm(Dims::new(128, 64, 128), Rhs::Transposed),
    Call::Gemm(Dims::new(128, 128, 64), Rhs::AsIs),
    Call::MulAdd(128 * 3072),
    Call::RowDot(128, 768),
    Call::ScaleRowsAdd(128, 768),
    Call::OpenSend(48, 128 * 768),
    Call::OpenSend(17, 128 * 3072),
    Call::OpenReceive(48, 128 * 768),
    Call::OpenReceive(17, 128 * 3072),
    Call::Waves(8, 1 << 16),
    Call::SeriesAdd(8, 1 << 16),
    Call::Fill(128 * 3072),
];

fn main() {
    calls::stay_on_this_thread();
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for call in CALLS {
        let mut group = criterion.benchmark_group(call.to_string());
        group.sampling_mode(SamplingMode::Flat).throughput(throughput(call));
        for kernel in Kernel::available() {
            let name = BenchmarkId::new(kernel.to_string(), "one thread");
            group.bench_function(name, |bencher| bencher.iter(call.prepare(kernel)));
        }
        group.finish();
    }
    criterion.final_summary();
}

/// What one call gets through.
fn throughput(call: Call) -> Throughput {
    let elements = |count: usize| Throughput::Elements(count as u64);
    let bytes = |count: usize| Throughput::Bytes(count as u64);
    match call {
        Call::MultiplyAdd(dims) | Call::Gemm(dims, _) => elements(dims.multiply_adds()),
        Call::MulAdd(words) => elements(words),
        Call::RowDot(rows, columns) | Call::ScaleRowsAdd(rows, columns) => elements(rows * columns),
        Call::Waves(harmonics, angles) | Call::SeriesAdd(harmonics, angles) => elements(harmonics * angles),
        Call::OpenSend(bits, words) | Call::OpenReceive(bits, words) => bytes(packed_len(words, bits)),
        Call::Fill(words) => bytes(size_of::<u64>() * words),
    }
}
