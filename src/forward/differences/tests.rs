//! Differences against their definition, on OpenVINO in single precision.

use std::path::Path;

use super::*;
use crate::graph::Fact;
use crate::ir::{Dim, ElementType};
use crate::model::Model;
use crate::runtime::{Runtime, RuntimeOptions, Tensor};

const COUNT: usize = 64;

type Function = fn(f64) -> f64;
type Rule = fn(&mut Arithmetic<'_, '_>, Pair) -> OutletId;

/// Differences of both sizes in which half of them are larger than a base, and those that single precision loses.
const SIZES: [f32; 5] = [1e-6, 1e-3, 0.1, 1.0, 8.0];

fn erf(x: f64) -> f64 {
    // The Maclaurin series, and 1 beyond where it is that to all digits.
    let x = x.clamp(-5.0, 5.0);
    let (mut term, mut sum) = (x, x);
    for n in 1..200_u32 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn hsigmoid(x: f64) -> f64 {
    (x + 3.0).clamp(0.0, 6.0) / 6.0
}

fn gelu_by_tanh(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
    x * (1.0 + inner.tanh()) / 2.0
}

const RULES: &[(&str, Function, Rule)] = &[
    ("relu", |x| x.max(0.0), |a, x| a.clamp(x, Some(0.0), None)),
    ("relu6", |x| x.clamp(0.0, 6.0), |a, x| a.clamp(x, Some(0.0), Some(6.0))),
    ("sigmoid", |x| 1.0 / (1.0 + (-x).exp()), |a, x| a.sigmoid(x)),
    ("tanh", f64::tanh, |a, x| a.tanh(x)),
    ("erf", erf, |a, x| a.erf(x)),
    ("exp", f64::exp, |a, x| a.exp(x)),
    ("gelu", |x| x * (1.0 + erf(x / 2f64.sqrt())) / 2.0, |a, x| a.gelu(x)),
    ("gelu by tanh", gelu_by_tanh, |a, x| a.gelu_by_tanh(x)),
    ("swish", |x| x / (1.0 + (-x).exp()), |a, x| a.swish(x)),
    ("hsigmoid", hsigmoid, |a, x| a.hsigmoid(x).above),
    (
        "hswish",
        |x| x * hsigmoid(x),
        |a, x| {
            let gate = a.hsigmoid(x);
            a.product(x, gate)
        },
    ),
    ("square", |x| x * x, |a, x| a.square(x)),
    ("cube", |x| x * x * x, |a, x| a.power(x, 3.0)),
    ("reciprocal", |x| 1.0 / x, |a, x| a.power(x, -1.0)),
    (
        "root of a square",
        |x| (x * x).sqrt(),
        |a, x| {
            let above = a.square(x);
            let base = a.times(x.base, x.base);
            a.root(Pair { base, above })
        },
    ),
];

/// Evaluates what `build` makes of a base and of differences, on OpenVINO in single precision; `None` without one.
fn run(
    base: &[f32],
    above: &[f32],
    build: impl Fn(&mut Arithmetic<'_, '_>, Pair) -> OutletId,
) -> Option<Vec<f64>> {
    let mut runtime = match Runtime::load(&RuntimeOptions::default()) {
        Ok(runtime) => runtime,
        Err(e) => {
            assert!(std::env::var_os("XAI_REQUIRE_OPENVINO").is_none(), "{e}");
            return None;
        }
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/small/mlp_only.xml");
    let model = Model::read(&file, None).unwrap();
    let mut patch = Patch::new(&model);
    let fact = Fact::new(ElementType::F32, vec![Dim::Fixed(1), Dim::Fixed(base.len())]);
    let pair =
        Pair { base: patch.floats("base", fact.clone(), base), above: patch.floats("above", fact, above) };
    let result = build(&mut Arithmetic { patch: &mut patch, hint: "test".to_owned() }, pair);
    let finished = patch.finish(&[("result".to_owned(), result)]).unwrap();
    let bytes = model.weights().len();
    let (splice, tail) = finished.emit(model.graph(), bytes);
    let folder = tempfile::tempdir().unwrap();
    let (xml, bin) = (folder.path().join("m.xml"), folder.path().join("m.bin"));
    std::fs::write(&xml, splice.apply(model.document(), bytes)).unwrap();
    std::fs::write(&bin, [model.weights().bytes(0, bytes).unwrap(), &tail].concat()).unwrap();
    let mut session = runtime.compile(&xml, &bin).unwrap();
    let shape = model.graph().parameters().next().unwrap().1.outputs[0].fact.shape.clone();
    let shape: Vec<usize> = shape.iter().map(|dim| dim.fixed().unwrap()).collect();
    let input =
        Tensor::from_values(ElementType::F32, shape.clone(), &vec![0.5; shape.iter().product()]).unwrap();
    Some(session.run(&[input]).unwrap().last().unwrap().values().unwrap())
}

/// Numbers of -4 to 4, or of -1 to 1 times `size`, none of which is nearly 0.
fn numbers(seed: u64, size: f32) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    let sign = |random: &mut fastrand::Rng| if random.bool() { size } else { -size };
    (0..COUNT).map(|_| (0.1 + random.f32()) * sign(&mut random)).collect()
}

#[test]
fn differences_keep_their_digits_however_small_they_are() {
    let base = numbers(1, 3.5);
    for (name, function, rule) in RULES {
        for (seed, size) in (2..).zip(SIZES) {
            let above = numbers(seed, size);
            let Some(found) = run(&base, &above, rule) else {
                return;
            };
            for ((base, above), found) in base.iter().zip(&above).zip(found) {
                let (base, above) = (f64::from(*base), f64::from(*above));
                let exact = function(base + above) - function(base);
                // A bound that is just reached, and what is beyond it by a rounding.
                // The series of this test loses digits where x is large.
                let series = if name.starts_with("erf") || *name == "gelu" { 1e-9 } else { 1e-12 };
                let rounded = 1e-4 * exact.abs() + 3e-7 * above.abs() + series;
                let large = if above.abs() > 0.05 { 1e-6 * (1.0 + function(base).abs()) } else { 0.0 };
                assert!(
                    (found - exact).abs() <= rounded + large,
                    "{name} from {base} by {above}: {found} for {exact}"
                );
            }
        }
    }
}

/// Scores of which the smallest by far becomes the largest, whose exponential vanishes before; and such that all sink
/// together, by more than an exponential can hold or by less than they differ.
#[test]
fn a_softmax_is_turned_over() {
    let steps = |from: f32, by: f32| -> Vec<f32> { (0..COUNT).map(|i| from + by * i as f32).collect() };
    let turned: Vec<f32> = (0..COUNT).map(|i| if i == 0 { 4000.0 } else { -30.0 }).collect();
    for (base, above, floor) in [
        (steps(-2000.0, 3.0), turned, 1e-6),
        (steps(0.0, 0.1), steps(-200.0, 0.01), 1e-5),
        (steps(0.0, 0.1), steps(-5.0, 0.01), 1e-5),
        (steps(0.0, 0.1), steps(300.0, 0.01), 1e-4),
        (steps(0.0, 0.0), steps(-40.0, 40.0), 1e-6),
    ] {
        let Some(found) = run(&base, &above, |arithmetic, pair| arithmetic.softmax(pair, 1).above) else {
            return;
        };
        let softmax = |scores: &[f64]| -> Vec<f64> {
            let most = scores.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = scores.iter().map(|score| (score - most).exp()).sum();
            scores.iter().map(|score| (score - most).exp() / sum).collect()
        };
        let moved = |by: f64| -> Vec<f64> {
            base.iter().zip(&above).map(|(base, above)| f64::from(*base) + by * f64::from(*above)).collect()
        };
        let (before, after) = (softmax(&moved(0.0)), softmax(&moved(1.0)));
        for ((found, before), after) in found.iter().zip(before).zip(after) {
            assert!((found - (after - before)).abs() < floor, "{found} for {}", after - before);
        }
    }
}

#[test]
fn norms_and_softmax_keep_them_too() {
    let base = numbers(1, 3.5);
    let at = |above: &[f32]| -> Vec<f64> {
        base.iter().zip(above).map(|(base, above)| f64::from(*base) + f64::from(*above)).collect()
    };
    let norm = |values: &[f64]| -> Vec<f64> {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        values.iter().map(|value| (value - mean) / (variance + 1e-5).sqrt()).collect()
    };
    let softmax = |values: &[f64]| -> Vec<f64> {
        let sum: f64 = values.iter().map(|value| value.exp()).sum();
        values.iter().map(|value| value.exp() / sum).collect()
    };
    for (seed, size) in (2..).zip([1e-6, 1e-2, 1.0, 60.0]) {
        let above = numbers(seed, size);
        for (name, exact) in [("norm", &norm as &dyn Fn(&[f64]) -> Vec<f64>), ("softmax", &softmax)] {
            let found = run(&base, &above, |arithmetic, pair| match name {
                "norm" => arithmetic.norm(pair, &[1], 1e-5),
                _ => arithmetic.softmax(pair, 1).above,
            });
            let Some(found) = found else { return };
            let before = exact(&at(&vec![0.0; COUNT]));
            let after = exact(&at(&above));
            let exact: Vec<f64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
            let largest = exact.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
            for (found, exact) in found.iter().zip(&exact) {
                assert!((found - exact).abs() <= 2e-5 * largest, "{name} by {size}: {found} for {exact}");
            }
        }
    }
}
