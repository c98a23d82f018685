//! A computed value as a node of the graph with its own backward pass.
//!
//! candle's graph spends two launches (zeros, a sum) on every argument of every node. One node an operation, with the
//! gradient written out, is what keeps a step on a GPU short.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Storage, Tensor, bail,
};

/// The gradients of `N` arguments; `None` where one is not wanted.
pub(super) type Gradients<const N: usize> = [Option<Tensor>; N];

struct Node<const N: usize, F> {
    name: &'static str,
    value: Tensor,
    back: F,
}

impl<const N: usize, F> Node<N, F> {
    fn on_cpu(&self) -> Result<(CpuStorage, Shape)> {
        let (storage, layout) = self.value.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("{}: expected a value on the CPU", self.name),
        }
    }

    fn on_cuda(&self) -> Result<(CudaStorage, Shape)> {
        let (storage, layout) = self.value.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("{}: expected a value on the GPU", self.name),
        }
    }
}

/// `value`, computed from `x`; `back` turns its gradient into that of `x`.
pub(super) fn node1<F>(name: &'static str, x: &Tensor, value: Tensor, back: F) -> Result<Tensor>
where
    F: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    if !x.track_op() {
        return Ok(value.detach());
    }
    x.apply_op1(Node::<1, F> { name, value: value.contiguous()?, back })
}

/// The same of two arguments.
pub(super) fn node2<F>(name: &'static str, args: [&Tensor; 2], value: Tensor, back: F) -> Result<Tensor>
where
    F: Fn(&Tensor) -> Result<Gradients<2>> + Send + Sync + 'static,
{
    if args.iter().all(|arg| !arg.track_op()) {
        return Ok(value.detach());
    }
    args[0].apply_op2(args[1], Node::<2, F> { name, value: value.contiguous()?, back })
}

/// The same of three arguments.
pub(super) fn node3<F>(name: &'static str, args: [&Tensor; 3], value: Tensor, back: F) -> Result<Tensor>
where
    F: Fn(&Tensor) -> Result<Gradients<3>> + Send + Sync + 'static,
{
    if args.iter().all(|arg| !arg.track_op()) {
        return Ok(value.detach());
    }
    args[0].apply_op3(args[1], args[2], Node::<3, F> { name, value: value.contiguous()?, back })
}

impl<F: Fn(&Tensor) -> Result<Tensor>> CustomOp1 for Node<1, F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some((self.back)(grad)?))
    }
}

impl<F: Fn(&Tensor) -> Result<Gradients<2>>> CustomOp2 for Node<2, F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [first, second] = (self.back)(grad)?;
        Ok((first, second))
    }
}

impl<F: Fn(&Tensor) -> Result<Gradients<3>>> CustomOp3 for Node<3, F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [first, second, third] = (self.back)(grad)?;
        Ok((first, second, third))
    }
}
