//! Runs a model on many images at once.

use super::watch::Watch;
use crate::error::{Error, Result};
use crate::ir::ElementType;
use crate::preprocess::ImageInput;
use crate::runtime::{Pool, Tensor};

/// A compiled model and the shape of its input.
#[derive(Debug)]
pub(crate) struct Engine {
    pool: Pool,
    input: ImageInput,
}

/// The outputs of an inference, and which of its images is meant.
pub(crate) struct ImageOutputs<'a> {
    pub(crate) tensors: &'a [Tensor],
    pub(crate) image: usize,
    pub(crate) batch: usize,
}

impl ImageOutputs<'_> {
    /// One image's share of an output: its shape without the batch, and its values.
    ///
    /// # Errors
    /// [`Error::Runtime`] where the output does not start with the batch.
    pub(crate) fn of(&self, output: usize) -> Result<(Vec<usize>, Vec<f32>)> {
        let missing = || Error::runtime(format!("output {output} was not asked for"));
        let tensor = self.tensors.get(output).ok_or_else(missing)?;
        let (values, shape) = (tensor.to_array()?, tensor.shape());
        match shape {
            [batch, rest @ ..] if *batch == self.batch => {
                let len: usize = rest.iter().product();
                let values = values.iter().skip(self.image * len).take(len).copied().collect();
                Ok((rest.to_vec(), values))
            }
            _ => Err(Error::runtime(format!(
                "an output {tensor} does not start with the batch of {}",
                self.batch
            ))),
        }
    }

    /// As [`ImageOutputs::of`], of an output of boxes, which may leave out a batch of 1.
    ///
    /// # Errors
    /// As [`ImageOutputs::of`].
    pub(crate) fn of_boxes(&self, output: usize) -> Result<(Vec<usize>, Vec<f32>)> {
        match self.tensors.get(output) {
            Some(tensor) if self.batch == 1 && tensor.shape().len() == 2 => {
                Ok((tensor.shape().to_vec(), tensor.to_array()?.iter().copied().collect()))
            }
            _ => self.of(output),
        }
    }
}

impl Engine {
    pub(crate) fn new(pool: Pool, input: ImageInput) -> Self {
        Self { pool, input }
    }

    pub(crate) fn input(&self) -> &ImageInput {
        &self.input
    }

    /// Inferences that run at the same time.
    pub(crate) fn requests(&self) -> usize {
        self.pool.requests()
    }

    /// Runs `count` images; `make` writes one of them, normalised and in the input's layout, and `take` reads
    /// what is wanted of the outputs `wanted`. Results are in the order of the images.
    ///
    /// # Errors
    /// Those of the runtime, `make` and `take`; [`Error::Interrupted`] where `watch` asks for it.
    pub(crate) fn run<R: Send>(
        &mut self,
        count: usize,
        wanted: &[usize],
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
        take: impl Fn(ImageOutputs<'_>) -> Result<R> + Sync,
        watch: &dyn Watch,
    ) -> Result<Vec<R>> {
        self.run_indexed(count, wanted, make, |_, outputs| take(outputs), watch)
    }

    /// As [`Engine::run`], where reading depends on which image it was.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub(crate) fn run_indexed<R: Send>(
        &mut self,
        count: usize,
        wanted: &[usize],
        make: impl Fn(usize, &mut [f32]) -> Result<()> + Sync,
        take: impl Fn(usize, ImageOutputs<'_>) -> Result<R> + Sync,
        watch: &dyn Watch,
    ) -> Result<Vec<R>> {
        let (batch, len) = (self.input.batch, self.input.image_len());
        let element = self.input.element;
        let images = |job: usize| job * batch..((job + 1) * batch).min(count);
        let fill = |job: usize, bytes: &mut [u8]| {
            let make_all = |values: &mut [f32]| {
                // What the last images leave of a batch repeats them: no request sees stale numbers.
                let last = images(job).end - 1;
                let mut chunks = values.chunks_exact_mut(len).enumerate();
                chunks.try_for_each(|(place, chunk)| make((job * batch + place).min(last), chunk))
            };
            if element == ElementType::F32
                && let Ok(values) = bytemuck::try_cast_slice_mut::<u8, f32>(bytes)
            {
                return make_all(values);
            }
            let mut values = vec![0.0; len * batch];
            make_all(&mut values)?;
            let tensor = Tensor::from_values(element, self.input.shape().to_vec(), &values)?;
            bytes.copy_from_slice(tensor.bytes());
            Ok(())
        };
        let read = |job: usize, tensors: Vec<Tensor>| {
            let each = images(job).enumerate();
            let each =
                each.map(|(image, index)| take(index, ImageOutputs { tensors: &tensors, image, batch }));
            each.collect::<Result<Vec<R>>>()
        };
        let mut found: Vec<Option<R>> = (0..count).map(|_| None).collect();
        self.pool.run(count.div_ceil(batch), wanted, fill, read, |job, results| {
            watch.advance(results.len());
            for (place, result) in results.into_iter().enumerate() {
                if let Some(slot) = found.get_mut(job * batch + place) {
                    *slot = Some(result);
                }
            }
            if watch.stopped() { Err(Error::Interrupted) } else { Ok(()) }
        })?;
        found
            .into_iter()
            .map(|result| result.ok_or_else(|| Error::Internal("an image was not run".to_owned())))
            .collect()
    }
}
