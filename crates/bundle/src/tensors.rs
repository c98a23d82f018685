//! safetensors files of known content: written tensor by tensor, read with every byte accounted for.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use bytemuck::Pod;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use sha2::{Digest, Sha256};

use crate::error::{BundleError, COPY_AGAIN};

/// The length of the header before the header.
const LENGTH_BYTES: u64 = 8;
/// No header of a model that fits the limits of a spec comes near.
const LARGEST_HEADER: u64 = 16 << 20;

/// An element of a tensor.
pub(crate) trait Element: Pod {
    const DTYPE: Dtype;
    const DTYPE_NAME: &'static str;
    const ZERO: Self;
    fn swap(self) -> Self;
}

impl Element for u64 {
    const DTYPE: Dtype = Dtype::U64;
    const DTYPE_NAME: &'static str = "U64";
    const ZERO: u64 = 0;
    fn swap(self) -> u64 {
        self.swap_bytes()
    }
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::F32;
    const DTYPE_NAME: &'static str = "F32";
    const ZERO: f32 = 0.0;
    fn swap(self) -> f32 {
        f32::from_bits(self.to_bits().swap_bytes())
    }
}

/// Name and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
}

impl Tensor {
    pub(crate) fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Writes a file's header; the tensors follow in the same order, by [`write_elements`].
pub(crate) fn write_header<T: Element>(file: &mut impl Write, tensors: &[Tensor]) -> std::io::Result<()> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), serde_json::json!({ "format": crate::FORMAT }));
    let mut start = 0;
    for tensor in tensors {
        let end = start + tensor.count() * size_of::<T>();
        let info = serde_json::json!({ "dtype": T::DTYPE_NAME, "shape": tensor.shape, "data_offsets": [start, end] });
        header.insert(tensor.name.clone(), info);
        start = end;
    }
    let mut header = serde_json::to_vec(&header)?;
    // the data begin at a multiple of 8, as the format asks
    header.resize(header.len().next_multiple_of(8), b' ');
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)
}

/// Writes a tensor's elements, and digests them.
pub(crate) fn write_elements<T: Element>(file: &mut impl Write, elements: &mut [T]) -> std::io::Result<String> {
    swap_on_big_endian(elements);
    let bytes = bytemuck::cast_slice(elements);
    file.write_all(bytes)?;
    Ok(hex::encode(Sha256::digest(bytes)))
}

/// A file whose header promises exactly the expected tensors.
pub(crate) struct TensorFile<'a> {
    path: &'a Path,
    file: File,
    /// Numbers of the expected tensors, in the order of the file.
    pub(crate) order: Vec<usize>,
}

impl<'a> TensorFile<'a> {
    /// Opens a file and checks its header: size of the file, no overlap and no gap, and every tensor as expected.
    pub(crate) fn open<T: Element>(path: &'a Path, expected: &[Tensor]) -> Result<TensorFile<'a>, BundleError> {
        let wrong = |what: &str, expected: &dyn ToString, got: &dyn ToString| {
            BundleError::mismatch(path, what, expected.to_string(), got.to_string(), COPY_AGAIN)
        };
        let metadata = std::fs::metadata(path).map_err(BundleError::read(path))?;
        if !metadata.is_file() {
            return Err(wrong("this", &"a file", &"something else"));
        }
        let mut file = File::open(path).map_err(BundleError::read(path))?;
        let mut length = [0; LENGTH_BYTES as usize];
        file.read_exact(&mut length).map_err(BundleError::read(path))?;
        let length = u64::from_le_bytes(length);
        let rest = metadata.len().saturating_sub(LENGTH_BYTES);
        if length > LARGEST_HEADER.min(rest) {
            let most = format!("at most {} bytes", LARGEST_HEADER.min(rest));
            return Err(wrong("the length of the header", &most, &length));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(BundleError::read(path))?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|e| BundleError::malformed(path, "a safetensors header", e))?;
        if header.data_len() as u64 != rest - length {
            return Err(wrong("the length of the data", &header.data_len(), &(rest - length)));
        }
        let found = header.tensors();
        if let Some(extra) = found.keys().find(|name| expected.iter().all(|t| t.name != **name)) {
            return Err(wrong("a tensor", &"one of this model's", &format!("`{extra}`")));
        }
        let mut order = Vec::with_capacity(expected.len());
        for (number, tensor) in expected.iter().enumerate() {
            let name = format!("tensor `{}`", tensor.name);
            let info = found.get(&tensor.name).ok_or_else(|| wrong(&name, &"in the file", &"missing"))?;
            if info.dtype != T::DTYPE {
                return Err(wrong(&format!("the type of {name}"), &T::DTYPE_NAME, &format!("{:?}", info.dtype)));
            }
            if info.shape != tensor.shape {
                let (want, got) = (format!("{:?}", tensor.shape), format!("{:?}", info.shape));
                return Err(wrong(&format!("the shape of {name}"), &want, &got));
            }
            order.push((info.data_offsets, number));
        }
        order.sort_unstable();
        Ok(TensorFile { path, file, order: order.into_iter().map(|(_, number)| number).collect() })
    }

    /// The elements of the next tensor in the file, which must have this digest.
    pub(crate) fn read<T: Element>(&mut self, tensor: &Tensor, digest: &str) -> Result<Vec<T>, BundleError> {
        let mut elements = vec![T::ZERO; tensor.count()];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut elements);
        self.file.read_exact(bytes).map_err(BundleError::read(self.path))?;
        let got = hex::encode(Sha256::digest(&*bytes));
        if got != digest {
            let what = format!("the digest of tensor `{}`", tensor.name);
            return Err(BundleError::mismatch(self.path, what, digest, got, COPY_AGAIN));
        }
        swap_on_big_endian(&mut elements);
        Ok(elements)
    }
}

/// Files are little-endian.
fn swap_on_big_endian<T: Element>(elements: &mut [T]) {
    if cfg!(target_endian = "big") {
        elements.iter_mut().for_each(|e| *e = e.swap());
    }
}
