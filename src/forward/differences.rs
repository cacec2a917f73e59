//! Differences of functions without cancellation: `f(b + d) - f(b)` from b and d, in operations none of which subtracts
//! two values that are nearly equal.
//!
//! Whatever is computed in half precision then has half precision's *relative* error, however small d is beside b.

use crate::graph::{Op, OpKind, OutletId};
use crate::patch::Patch;

/// Differences up to this size are a mean of slopes; beyond it two values are no longer nearly equal, and are subtracted.
/// Gauss and Legendre's rule of two points is off by d^5 f^(5) / 4320.
const SMALL: f32 = 0.25;
/// The points of that rule between 0 and 1.
const POINTS: [f32; 2] = [0.211_324_87, 0.788_675_13];
/// What keeps 0 / 0 from being taken.
const TINY: f32 = 1e-30;
/// Scores beyond this are shifted before their exponential is taken, which ends at 88 in single precision.
const MOST_SCORE: f32 = 60.0;
/// From here on `exp(u) - 1` subtracts nothing that is nearly equal.
const EXP_APART: f32 = 0.5;

/// A base and differences that broadcast with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) base: OutletId,
    pub(super) above: OutletId,
}

/// Arithmetic in a patch, under one name.
#[derive(Debug)]
pub(super) struct Arithmetic<'p, 'm> {
    pub(super) patch: &'p mut Patch<'m>,
    pub(super) hint: String,
}

impl Arithmetic<'_, '_> {
    fn float(&mut self, like: OutletId, value: f32) -> OutletId {
        let element = self.patch.fact(like).element;
        self.patch.float(&self.hint, element, value)
    }

    fn binary(&mut self, kind: OpKind, a: OutletId, b: OutletId) -> OutletId {
        self.patch.binary(&self.hint, kind, a, b)
    }

    pub(super) fn add(&mut self, a: OutletId, b: OutletId) -> OutletId {
        self.binary(OpKind::Add, a, b)
    }

    pub(super) fn less(&mut self, a: OutletId, b: OutletId) -> OutletId {
        self.binary(OpKind::Subtract, a, b)
    }

    pub(super) fn times(&mut self, a: OutletId, b: OutletId) -> OutletId {
        self.binary(OpKind::Multiply, a, b)
    }

    pub(super) fn over(&mut self, a: OutletId, b: OutletId) -> OutletId {
        self.binary(OpKind::Divide, a, b)
    }

    fn scaled(&mut self, x: OutletId, factor: f32) -> OutletId {
        let factor = self.float(x, factor);
        self.times(x, factor)
    }

    fn plus(&mut self, x: OutletId, value: f32) -> OutletId {
        let value = self.float(x, value);
        self.add(x, value)
    }

    pub(super) fn unary(&mut self, kind: OpKind, x: OutletId) -> OutletId {
        self.patch.unary(&self.hint, kind, x)
    }

    /// `1 - x`.
    fn rest(&mut self, x: OutletId) -> OutletId {
        let one = self.float(x, 1.0);
        self.less(one, x)
    }

    fn mean(&mut self, x: OutletId, axes: &[usize]) -> OutletId {
        self.patch.reduce(&self.hint, OpKind::ReduceMean, x, axes, true)
    }

    fn choose(&mut self, condition: OutletId, a: OutletId, b: OutletId) -> OutletId {
        self.patch.select(&self.hint, condition, a, b)
    }

    /// `(b + d)(c + e) - bc = b e + d c + d e`.
    pub(super) fn product(&mut self, x: Pair, y: Pair) -> OutletId {
        let whole = self.add(y.base, y.above);
        let (first, second) = (self.times(x.base, y.above), self.times(x.above, whole));
        self.add(first, second)
    }

    /// `(b + d)² - b² = d (2 b + d)`.
    pub(super) fn square(&mut self, x: Pair) -> OutletId {
        let twice = self.scaled(x.base, 2.0);
        let sum = self.add(twice, x.above);
        self.times(x.above, sum)
    }

    /// `(b + d) / (c + e) - b / c = (d - e b / c) / (c + e)`; `quotient` is b / c.
    pub(super) fn quotient(&mut self, above: Option<OutletId>, y: Pair, quotient: OutletId) -> OutletId {
        let moved = self.times(y.above, quotient);
        let above = match above {
            Some(above) => self.less(above, moved),
            None => self.scaled(moved, -1.0),
        };
        let whole = self.add(y.base, y.above);
        self.over(above, whole)
    }

    /// `√(b + d) - √b = d / (√(b + d) + √b)`.
    pub(super) fn root(&mut self, x: Pair) -> OutletId {
        let whole = self.add(x.base, x.above);
        // What is 0 may be less by a rounding.
        let whole = self.unary(OpKind::Relu, whole);
        let (whole, base) = (self.unary(OpKind::Sqrt, whole), self.unary(OpKind::Sqrt, x.base));
        let sum = self.add(whole, base);
        let sum = self.plus(sum, TINY);
        self.over(x.above, sum)
    }

    /// Of a power, by slopes where d is small beside b.
    pub(super) fn power(&mut self, x: Pair, exponent: f32) -> OutletId {
        // Of what is no whole number there are powers of positive values only, which a rounding may have made less.
        let whole_number = exponent.fract() == 0.0;
        let value = |this: &mut Self, x: OutletId, exponent: f32| {
            let x = if whole_number { x } else { this.unary(OpKind::Relu, x) };
            let exponent = this.float(x, exponent);
            this.binary(OpKind::Power, x, exponent)
        };
        let slope = |this: &mut Self, x: OutletId| {
            let power = value(this, x, exponent - 1.0);
            this.scaled(power, exponent)
        };
        let size = self.unary(OpKind::Abs, x.base);
        let most = self.scaled(size, SMALL);
        self.between(x, |this, x| value(this, x, exponent), slope, most)
    }

    /// Of a bound from below, from above or both, which is exact.
    pub(super) fn clamp(&mut self, x: Pair, least: Option<f32>, most: Option<f32>) -> OutletId {
        let bound = |this: &mut Self, x: OutletId, kind: &OpKind, value: Option<f32>| match value {
            Some(value) => {
                let value = this.float(x, value);
                this.binary(kind.clone(), x, value)
            }
            None => x,
        };
        let clamped = bound(self, x.base, &OpKind::Maximum, least);
        let clamped = bound(self, clamped, &OpKind::Minimum, most);
        // How far the base is beyond its bounds; 0 within.
        let beyond = self.less(x.base, clamped);
        let mut above = self.add(x.above, beyond);
        for (kind, value) in [(OpKind::Maximum, least), (OpKind::Minimum, most)] {
            if let Some(value) = value {
                let value = self.float(clamped, value);
                let left = self.less(value, clamped);
                above = self.binary(kind, above, left);
            }
        }
        above
    }

    /// Of a function with a known slope, which changes by numbers of the size of 1.
    fn along(
        &mut self,
        x: Pair,
        value: impl Fn(&mut Self, OutletId) -> OutletId,
        slope: impl Fn(&mut Self, OutletId) -> OutletId,
    ) -> OutletId {
        let most = self.float(x.above, SMALL);
        self.between(x, value, slope, most)
    }

    /// The difference times the mean slope between, or the difference of values where it is larger than `most`.
    fn between(
        &mut self,
        x: Pair,
        value: impl Fn(&mut Self, OutletId) -> OutletId,
        slope: impl Fn(&mut Self, OutletId) -> OutletId,
        most: OutletId,
    ) -> OutletId {
        let mut slopes: Option<OutletId> = None;
        for point in POINTS {
            let part = self.scaled(x.above, point);
            let at = self.add(x.base, part);
            let here = slope(self, at);
            slopes = Some(match slopes {
                Some(sum) => self.add(sum, here),
                None => here,
            });
        }
        let mean = self.scaled(slopes.unwrap_or(x.above), 0.5);
        let small = self.times(x.above, mean);
        let whole = self.add(x.base, x.above);
        let (whole, base) = (value(self, whole), value(self, x.base));
        let large = self.less(whole, base);
        let size = self.unary(OpKind::Abs, x.above);
        let is_small = self.binary(OpKind::Less, size, most);
        self.choose(is_small, small, large)
    }

    /// Of `1 / (1 + exp(-x))`.
    pub(super) fn sigmoid(&mut self, x: Pair) -> OutletId {
        let value = |this: &mut Self, x| this.unary(OpKind::Sigmoid, x);
        self.along(x, value, |this, x| {
            let value = this.unary(OpKind::Sigmoid, x);
            let rest = this.rest(value);
            this.times(value, rest)
        })
    }

    pub(super) fn tanh(&mut self, x: Pair) -> OutletId {
        let value = |this: &mut Self, x| this.unary(OpKind::Tanh, x);
        self.along(x, value, |this, x| {
            let value = this.unary(OpKind::Tanh, x);
            let square = this.times(value, value);
            this.rest(square)
        })
    }

    pub(super) fn erf(&mut self, x: Pair) -> OutletId {
        let value = |this: &mut Self, x| this.unary(OpKind::Erf, x);
        self.along(x, value, |this, x| this.bell(x, 1.0, std::f32::consts::FRAC_2_SQRT_PI))
    }

    pub(super) fn exp(&mut self, x: Pair) -> OutletId {
        let value = |this: &mut Self, x| this.unary(OpKind::Exp, x);
        self.along(x, value, value)
    }

    /// `height exp(-sharpness x²)`.
    fn bell(&mut self, x: OutletId, sharpness: f32, height: f32) -> OutletId {
        let square = self.times(x, x);
        let exponent = self.scaled(square, -sharpness);
        let bell = self.unary(OpKind::Exp, exponent);
        self.scaled(bell, height)
    }

    /// Of `op`, a Gelu by the error function: its slope is `Φ(x) + x φ(x)`.
    pub(super) fn gelu(&mut self, x: Pair, op: &Op) -> OutletId {
        let value = |this: &mut Self, x: OutletId| {
            let fact = this.patch.fact(x).clone();
            this.patch.add(&this.hint, op.clone(), vec![x], vec![fact])
        };
        self.along(x, value, |this, x| {
            let scaled = this.scaled(x, std::f32::consts::FRAC_1_SQRT_2);
            let error = this.unary(OpKind::Erf, scaled);
            let share = this.plus(error, 1.0);
            let share = this.scaled(share, 0.5);
            let density =
                this.bell(x, 0.5, std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2 / 2.0);
            let moved = this.times(x, density);
            this.add(share, moved)
        })
    }

    /// Of `op`, a Gelu by tanh of `√(2/π) (x + 0.044715 x³)`.
    pub(super) fn gelu_by_tanh(&mut self, x: Pair, op: &Op) -> OutletId {
        const CUBIC: f32 = 0.044_715;
        let factor = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
        let value = |this: &mut Self, x: OutletId| {
            let fact = this.patch.fact(x).clone();
            this.patch.add(&this.hint, op.clone(), vec![x], vec![fact])
        };
        self.along(x, value, |this, x| {
            let square = this.times(x, x);
            let cubic = this.scaled(square, CUBIC);
            let cubic = this.plus(cubic, 1.0);
            let inner = this.times(x, cubic);
            let inner = this.scaled(inner, factor);
            let tanh = this.unary(OpKind::Tanh, inner);
            let share = this.plus(tanh, 1.0);
            let share = this.scaled(share, 0.5);
            let square_of_tanh = this.times(tanh, tanh);
            let steep = this.rest(square_of_tanh);
            let slope = this.scaled(square, 3.0 * CUBIC);
            let slope = this.plus(slope, 1.0);
            let slope = this.scaled(slope, factor / 2.0);
            let moved = this.times(x, steep);
            let moved = this.times(moved, slope);
            this.add(share, moved)
        })
    }

    /// `x sigmoid(x)`.
    pub(super) fn swish(&mut self, x: Pair) -> OutletId {
        let above = self.sigmoid(x);
        let base = self.unary(OpKind::Sigmoid, x.base);
        self.product(x, Pair { base, above })
    }

    /// `max(0, min(x + 3, 6)) / 6`, and its base.
    pub(super) fn hsigmoid(&mut self, x: Pair) -> Pair {
        let shifted = self.plus(x.base, 3.0);
        let above = self.clamp(Pair { base: shifted, above: x.above }, Some(0.0), Some(6.0));
        let (none, all) = (self.float(shifted, 0.0), self.float(shifted, 6.0));
        let base = self.binary(OpKind::Maximum, shifted, none);
        let base = self.binary(OpKind::Minimum, base, all);
        Pair { base: self.scaled(base, 1.0 / 6.0), above: self.scaled(above, 1.0 / 6.0) }
    }

    /// Of a norm over axes, with `variance` as the operation has it: with c and e the centred base and difference, s and t
    /// the deviations before and after, and `q = t² - s² = 2 mean(c e) + mean(e²)`, it is `e / t - c q / (s t (s + t))`.
    pub(super) fn norm(&mut self, x: Pair, axes: &[usize], epsilon: f32) -> OutletId {
        let (mean, mean_above) = (self.mean(x.base, axes), self.mean(x.above, axes));
        let (base, above) = (self.less(x.base, mean), self.less(x.above, mean_above));
        let square = self.times(base, base);
        let variance = self.mean(square, axes);
        let variance = self.plus(variance, epsilon);
        let deviation = self.unary(OpKind::Sqrt, variance);
        let twice = self.scaled(base, 2.0);
        let sum = self.add(twice, above);
        let change = self.times(above, sum);
        let change = self.mean(change, axes);
        let moved = self.add(variance, change);
        // No variance is less, but for roundings.
        let least = self.float(moved, epsilon);
        let moved = self.binary(OpKind::Maximum, moved, least);
        let moved = self.unary(OpKind::Sqrt, moved);
        let both = self.times(deviation, moved);
        let sum = self.add(deviation, moved);
        let both = self.times(both, sum);
        let part = self.over(change, both);
        let (first, second) = (self.over(above, moved), self.times(base, part));
        self.less(first, second)
    }

    /// Of a Softmax over an axis, and the Softmax of the base: `p (m - s) / (1 + s)`, with `m = exp(d) - 1` and
    /// `s = sum(p m)`.
    pub(super) fn softmax(&mut self, x: Pair, axis: usize) -> Pair {
        let fact = self.patch.fact(x.base).clone();
        let op = Op::new(OpKind::SoftMax, "opset8").with("axis", axis);
        let base = self.patch.add(&self.hint, op, vec![x.base], vec![fact]);
        // A Softmax knows no difference from what all of its scores have in common.
        let most = self.patch.reduce(&self.hint, OpKind::ReduceMax, x.above, &[axis], true);
        let beyond = self.plus(most, -MOST_SCORE);
        let beyond = self.unary(OpKind::Relu, beyond);
        let above = self.less(x.above, beyond);
        let grown = self.expm1(above);
        let weighed = self.times(base, grown);
        let sum = self.patch.reduce(&self.hint, OpKind::ReduceSum, weighed, &[axis], true);
        let (apart, whole) = (self.less(grown, sum), self.plus(sum, 1.0));
        let share = self.over(apart, whole);
        let above = self.times(base, share);
        Pair { base, above }
    }

    /// `exp(u) - 1`: `2 t / (1 - t)` with `t = tanh(u / 2)` where it is small.
    fn expm1(&mut self, u: OutletId) -> OutletId {
        let half = self.scaled(u, 0.5);
        let tanh = self.unary(OpKind::Tanh, half);
        let (twice, rest) = (self.scaled(tanh, 2.0), self.rest(tanh));
        let small = self.over(twice, rest);
        let large = self.unary(OpKind::Exp, u);
        let large = self.plus(large, -1.0);
        let bound = self.float(u, EXP_APART);
        let is_small = self.binary(OpKind::Less, u, bound);
        self.choose(is_small, small, large)
    }
}
