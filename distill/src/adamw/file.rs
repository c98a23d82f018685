//! The optimiser's memory as a safetensors file of a checkpoint.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use candle_core::Device;
use safetensors::{Dtype, View};

use super::AdamW;
use crate::atomic;
use crate::errors::bad_file;

impl AdamW {
    /// Writes both moments of every weight and the number of steps.
    pub fn write(&mut self, path: &Path) -> Result<()> {
        if let Some(flat) = &self.flat {
            flat.store(&mut self.moments)?;
        }
        let mut tensors = BTreeMap::new();
        for (name, moments) in &self.moments {
            tensors.insert(format!("first.{name}"), Numbers::of(&moments.first));
            tensors.insert(format!("second.{name}"), Numbers::of(&moments.second));
        }
        let tensors = tensors.iter().map(|(name, numbers)| (name.as_str(), numbers));
        atomic::write_tensors(path, tensors, ("steps", self.steps.to_string()))
    }

    /// Takes up what [`AdamW::write`] wrote for the same weights.
    pub fn read(&mut self, path: &Path, steps: u64) -> Result<()> {
        let file = candle_core::safetensors::load(path, &Device::Cpu)
            .map_err(|e| bad_file(path, format!("cannot be read as safetensors: {e}")))?;
        for (name, moments) in &mut self.moments {
            for (kind, numbers) in [("first", &mut moments.first), ("second", &mut moments.second)] {
                let name = format!("{kind}.{name}");
                let stored = file.get(&name).ok_or_else(|| bad_file(path, format!("`{name}` is missing")))?;
                let stored = stored.to_vec1::<f32>()?;
                let fits = stored.len() == numbers.len();
                ensure!(
                    fits,
                    bad_file(path, format!("`{name}`: expected {} numbers, got {}", numbers.len(), stored.len()))
                );
                *numbers = stored;
            }
            moments.find_moved();
        }
        self.steps = steps;
        Ok(())
    }
}

/// Numbers as a safetensors file holds them, not copied.
struct Numbers<'a> {
    numbers: &'a [f32],
    shape: [usize; 1],
}

impl Numbers<'_> {
    fn of(numbers: &[f32]) -> Numbers<'_> {
        Numbers { numbers, shape: [numbers.len()] }
    }
}

impl View for &Numbers<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(bytemuck::cast_slice(self.numbers))
    }

    fn data_len(&self) -> usize {
        size_of_val(self.numbers)
    }
}
