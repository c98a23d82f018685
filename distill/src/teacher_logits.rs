//! The teacher's logits for the training set, computed once a run and kept in a file for when it is resumed.

use std::fs;
use std::path::Path;

use anyhow::Result;
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;

use crate::bert::Bert;
use crate::folder::Folder;
use crate::options::Options;
use crate::parallel::ProcessGroup;
use crate::pipeline::Data;
use crate::progress::over;
use crate::training::Run;
use crate::{atomic, digests, evaluate, output};

/// The tensor's name in its file.
const NAME: &str = "logits";
/// The metadata entry with the digests of the teacher and of the texts.
const MADE_FROM: &str = "made_from";

/// The teacher's logits for the training set.
pub(crate) fn teacher_logits(options: &Options, run: &Run, teacher: (&Folder, &Bert), data: &Data) -> Result<Tensor> {
    run.group.make_once(&run.out, output::TEACHER_LOGITS, |path| at(path, options, &run.group, teacher, data))
}

fn at(
    path: &Path,
    options: &Options,
    group: &ProcessGroup,
    (teacher, teacher_model): (&Folder, &Bert),
    data: &Data,
) -> Result<Tensor> {
    let size = (data.train.len(), data.task.target.outputs());
    let made_from = digests::of_teacher_logits(teacher, &data.train)?;
    if let Some(stored) = stored(path, &made_from)
        && stored.dims() == [size.0, size.1]
    {
        return Ok(stored.to_device(teacher_model.device())?);
    }
    if path.exists() && !options.quiet {
        cli::log(&format!(
            "note: {} is of another teacher or of other texts; the teacher is asked again",
            path.display()
        ));
    }
    let rows = over(options.quiet, "stage 2: asking the teacher", data.train.len(), |step| {
        evaluate::logits(teacher_model, &data.train, &|texts| {
            step(texts);
            group.alive();
        })
    })?;
    let logits = Tensor::from_vec(rows.concat(), size, &Device::Cpu)?;
    atomic::write_tensors(path, [(NAME, logits.clone())], (MADE_FROM, made_from))?;
    Ok(logits.to_device(teacher_model.device())?)
}

/// The logits in a file, if they are of this teacher and these texts. A file that cannot be read counts as none, because the
/// logits can be computed again.
fn stored(path: &Path, made_from: &str) -> Option<Tensor> {
    let bytes = fs::read(path).ok()?;
    let (_, header) = SafeTensors::read_metadata(&bytes).ok()?;
    header.metadata().as_ref()?.get(MADE_FROM).filter(|of| *of == made_from)?;
    candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).ok()?.remove(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_another_teacher_or_of_other_texts_are_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(output::TEACHER_LOGITS);
        assert!(stored(&path, "a").is_none());
        let logits = Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap();
        // as earlier releases wrote them
        atomic::write_tensors(&path, [(NAME, logits.clone())], ("format", "pt".into())).unwrap();
        assert!(stored(&path, "a").is_none());
        atomic::write_tensors(&path, [(NAME, logits)], (MADE_FROM, "a".into())).unwrap();
        assert_eq!(stored(&path, "a").unwrap().to_vec2::<f32>().unwrap(), [[1.0, 2.0]]);
        assert!(stored(&path, "b").is_none());
        fs::write(&path, "torn").unwrap();
        assert!(stored(&path, "a").is_none());
    }
}
