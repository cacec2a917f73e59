//! Whether a caller's function makes the scores that maps of the model explain, or others.

use super::Explainer;
use super::engine::ImageOutputs;
use super::reader::Reader;
use super::scores::{ClassScores, best_first};
use super::watch::Quiet;
use crate::error::Result;
use crate::preprocess::Origin;

/// Images of noise on which scores are compared.
const IMAGES: usize = 2;
/// Share of their range by which scores may be in another order: they were rounded.
const ROUNDED: f32 = 1e-4;

impl Explainer {
    /// Whether the caller's function orders classes as `own` does, the scores that the model's maps explain.
    ///
    /// What it raises says nothing of that, and comes again with the first photo.
    ///
    /// # Errors
    /// Those of the runtime.
    pub(super) fn function_follows(&mut self, own: &ClassScores) -> Result<bool> {
        let Reader::Classes(function) = self.reader.clone() else { return Ok(true) };
        let outputs: Vec<usize> = own.outputs().into_iter().chain(function.outputs()).collect();
        let place = own.outputs().len();
        let input = self.engine.input().clone();
        let (how, len) = (self.preprocessing.clone(), input.image_len());
        let noise = |index: usize, out: &mut [f32]| {
            let mut random = fastrand::Rng::with_seed(index as u64);
            // What a caller prepares may be anything; most networks take what lies around 0.
            let (least, most) = if how.source == Origin::Caller { (-1.0, 1.0) } else { (0.0, 255.0) };
            let values: Vec<f32> = (0..len).map(|_| least + random.f32() * (most - least)).collect();
            let values = if how.source == Origin::Caller { values } else { how.normalise(&values, &input) };
            out.copy_from_slice(&values);
            Ok(())
        };
        let read = |outputs: ImageOutputs<'_>| {
            let of =
                |reader: &ClassScores, place| reader.raw(&outputs, place).map(|raw| reader.activate(raw));
            Ok((of(own, 0), of(&function, place)))
        };
        let compared = self.engine.run(IMAGES, &outputs, noise, read, &Quiet)?;
        Ok(compared.into_iter().all(|(own, function)| match (own, function) {
            (Ok(own), Ok(function)) => same_order(&own, &function),
            (_, Err(_)) => true,
            (Err(_), _) => false,
        }))
    }
}

/// Whether two lists of scores order their classes alike.
fn same_order(own: &[f32], function: &[f32]) -> bool {
    let order = best_first(own);
    let range = |scores: &[f32]| {
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        most - scores.iter().copied().fold(f32::INFINITY, f32::min)
    };
    let rounded = ROUNDED * range(function);
    own.len() == function.len()
        && order.windows(2).all(|pair| function[pair[0]] >= function[pair[1]] - rounded)
        // One order of all is no order at all.
        && (range(function) > 0.0 || range(own) == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_what_a_softmax_keeps() {
        let own = [1.0, -2.0, 3.0];
        assert!(same_order(&own, &[0.12, 0.01, 0.87]));
        assert!(!same_order(&own, &[0.87, 0.01, 0.12]), "other classes are the best");
        assert!(!same_order(&own, &[0.9]) && !same_order(&own, &[0.5; 3]));
        assert!(same_order(&[4.0], &[0.98]), "a number is in order");
    }
}
