//! Check 4: what the branch costs at inference.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::Result;
use crate::runtime::{Session, Tensor};

/// Latency of both models, measured in turns.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CostFigures {
    /// Runs of each model.
    pub runs: usize,
    /// Median latency of the original in milliseconds.
    pub original_ms: f64,
    /// Median latency of the model with the branch in milliseconds.
    pub model_ms: f64,
    /// The second divided by the first.
    pub ratio: f64,
}

const WARM_UP: usize = 3;
const RUNS: usize = 30;
/// Slow models get fewer runs: after this time no further pair is begun, once there are some.
const BUDGET: Duration = Duration::from_secs(10);
const FEWEST_RUNS: usize = 5;

/// Times two models on one input: original, model, original, model, …
///
/// In turns, so that whatever else the machine does, or its clock, meets both alike.
///
/// # Errors
/// [`crate::Error::Runtime`] where a run fails.
pub(super) fn measure(original: &mut Session, model: &mut Session, inputs: &[Tensor]) -> Result<CostFigures> {
    original.bind(inputs)?;
    model.bind(inputs)?;
    for _ in 0..WARM_UP {
        original.infer()?;
        model.infer()?;
    }
    let start = Instant::now();
    let (mut old, mut new) = (Vec::with_capacity(RUNS), Vec::with_capacity(RUNS));
    while old.len() < RUNS && (old.len() < FEWEST_RUNS || start.elapsed() < BUDGET) {
        for (session, times) in [(&mut *original, &mut old), (&mut *model, &mut new)] {
            let begun = Instant::now();
            session.infer()?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    let (original_ms, model_ms) = (median(&mut old), median(&mut new));
    Ok(CostFigures { runs: old.len(), original_ms, model_ms, ratio: model_ms / original_ms })
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    match times {
        [] => f64::NAN,
        times if times.len() % 2 == 1 => times[middle],
        times => f64::midpoint(times[middle - 1], times[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&mut []).is_nan());
    }
}
