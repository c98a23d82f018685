//! Tensors on the CPU as plain slices.

use candle_core::{CpuStorage, Device, Layout, Result, Storage, Tensor, bail};

/// The numbers of a contiguous f32 storage.
pub(crate) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(numbers), Some((start, end))) => Ok(&numbers[start..end]),
        (CpuStorage::F32(_), None) => bail!("expected a contiguous tensor, got {layout:?}"),
        _ => bail!("expected a tensor of f32"),
    }
}

/// A contiguous tensor on the CPU whose numbers can be read.
pub(crate) struct Floats(Tensor);

impl Floats {
    /// Brings `tensor` to the CPU and makes it contiguous, which costs nothing where it is both.
    pub(crate) fn of(tensor: &Tensor) -> Result<Floats> {
        Ok(Floats(tensor.to_device(&Device::Cpu)?.contiguous()?))
    }

    /// Calls `read` with the numbers.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
        let (storage, layout) = self.0.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => read(floats(storage, layout)?),
            _ => bail!("expected a tensor on the CPU"),
        }
    }
}
