//! Differences of functions without cancellation: `f(b + d) - f(b)` from b and d, in operations none of which subtracts
//! two values that are nearly equal.
//!
//! Whatever is computed in half precision then has half precision's *relative* error, however small d is beside b.

#[cfg(test)]
#[cfg(feature = "runtime")]
mod tests;

use crate::graph::{Op, OpKind, OutletId};
use crate::patch::Patch;

/// Differences up to this size are a mean of slopes; beyond it two values are no longer nearly equal, and are subtracted.
/// The rule of both ends with their slopes is off by d^5 f^(5) / 720.
const SMALL: f32 = 0.25;
/// What keeps 0 / 0 from being taken.
const TINY: f32 = 1e-30;
/// Scores beyond this are shifted before their exponential is taken, which ends at 88 in single precision.
const MOST_SCORE: f32 = 60.0;
/// Where less of a Softmax's base is left, another score has taken its place.
const LITTLE: f32 = 0.1;
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
        let slopes = |this: &mut Self, x: OutletId, _: OutletId| {
            let (first, second) = (value(this, x, exponent - 1.0), value(this, x, exponent - 2.0));
            (this.scaled(first, exponent), this.scaled(second, exponent * (exponent - 1.0)))
        };
        let size = self.unary(OpKind::Abs, x.base);
        let most = self.scaled(size, SMALL / 4.0);
        self.curve(x, |this, x| value(this, x, exponent), slopes, most)
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

    /// Of a function whose first and second derivative are known at a place and the value there: by both ends' slopes where
    /// d is small, `d (f'(b) + f'(b + d)) / 2 + d² (f''(b) - f''(b + d)) / 12`, else the difference of values.
    fn curve(
        &mut self,
        x: Pair,
        value: impl Fn(&mut Self, OutletId) -> OutletId,
        slopes: impl Fn(&mut Self, OutletId, OutletId) -> (OutletId, OutletId),
        most: OutletId,
    ) -> OutletId {
        let moved = self.add(x.base, x.above);
        let (before, after) = (value(self, x.base), value(self, moved));
        let (slope, bend) = slopes(self, x.base, before);
        let (slope_after, bend_after) = slopes(self, moved, after);
        let slope = self.add(slope, slope_after);
        let slope = self.scaled(slope, 0.5);
        let bend = self.less(bend, bend_after);
        let bend = self.scaled(bend, 1.0 / 12.0);
        let bend = self.times(bend, x.above);
        let slope = self.add(slope, bend);
        let small = self.times(x.above, slope);
        let large = self.less(after, before);
        let size = self.unary(OpKind::Abs, x.above);
        let is_small = self.binary(OpKind::Less, size, most);
        self.choose(is_small, small, large)
    }

    /// Of `1 / (1 + exp(-x))`, whose slope is `s (1 - s)` and its slope that times `1 - 2 s`.
    pub(super) fn sigmoid(&mut self, x: Pair) -> OutletId {
        let slopes = |this: &mut Self, _, value: OutletId| {
            let rest = this.rest(value);
            let slope = this.times(value, rest);
            let twist = this.less(rest, value);
            (slope, this.times(slope, twist))
        };
        let most = self.float(x.above, SMALL);
        self.curve(x, |this, x| this.unary(OpKind::Sigmoid, x), slopes, most)
    }

    /// Of tanh, whose slope is `1 - t²` and its slope that times `-2 t`.
    pub(super) fn tanh(&mut self, x: Pair) -> OutletId {
        let slopes = |this: &mut Self, _, value: OutletId| {
            let square = this.times(value, value);
            let slope = this.rest(square);
            let twist = this.scaled(value, -2.0);
            (slope, this.times(slope, twist))
        };
        let most = self.float(x.above, SMALL);
        self.curve(x, |this, x| this.unary(OpKind::Tanh, x), slopes, most)
    }

    /// Of the error function, whose slope is `2 / √π exp(-x²)` and its slope that times `-2 x`.
    pub(super) fn erf(&mut self, x: Pair) -> OutletId {
        let slopes = |this: &mut Self, x: OutletId, _| {
            let square = this.times(x, x);
            let exponent = this.scaled(square, -1.0);
            let bell = this.unary(OpKind::Exp, exponent);
            let slope = this.scaled(bell, std::f32::consts::FRAC_2_SQRT_PI);
            let twist = this.scaled(x, -2.0);
            (slope, this.times(slope, twist))
        };
        let most = self.float(x.above, SMALL);
        self.curve(x, |this, x| this.unary(OpKind::Erf, x), slopes, most)
    }

    pub(super) fn exp(&mut self, x: Pair) -> OutletId {
        let most = self.float(x.above, SMALL);
        self.curve(x, |this, x| this.unary(OpKind::Exp, x), |_, _, value| (value, value), most)
    }

    /// Of `x (1 + g) / 2` from x and g.
    fn gated(&mut self, x: Pair, gate: Pair) -> OutletId {
        let gate = Pair { base: self.plus(gate.base, 1.0), above: gate.above };
        let above = self.product(x, gate);
        self.scaled(above, 0.5)
    }

    /// Of `x (1 + erf(x / √2)) / 2`.
    pub(super) fn gelu(&mut self, x: Pair) -> OutletId {
        let inner = [x.base, x.above].map(|x| self.scaled(x, std::f32::consts::FRAC_1_SQRT_2));
        let inner = Pair { base: inner[0], above: inner[1] };
        let above = self.erf(inner);
        let base = self.unary(OpKind::Erf, inner.base);
        self.gated(x, Pair { base, above })
    }

    /// Of `x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`.
    pub(super) fn gelu_by_tanh(&mut self, x: Pair) -> OutletId {
        const CUBIC: f32 = 0.044_715;
        let factor = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
        let square = self.times(x.base, x.base);
        let cubic = self.scaled(square, CUBIC);
        let cubic = self.plus(cubic, 1.0);
        let base = self.times(x.base, cubic);
        let base = self.scaled(base, factor);
        // (b + d)³ - b³ = d (3 b² + 3 b d + d²).
        let sum = self.add(x.base, x.above);
        let mixed = self.times(x.above, sum);
        let twice = self.times(x.base, x.above);
        let (thrice, twice) = (self.scaled(square, 3.0), self.scaled(twice, 2.0));
        let cubes = self.add(thrice, twice);
        let cubes = self.add(cubes, mixed);
        let cubes = self.scaled(cubes, CUBIC);
        let cubes = self.plus(cubes, 1.0);
        let above = self.times(x.above, cubes);
        let above = self.scaled(above, factor);
        let inner = Pair { base, above };
        let above = self.tanh(inner);
        let base = self.unary(OpKind::Tanh, inner.base);
        self.gated(x, Pair { base, above })
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
    /// `s = sum(p m)`; where little is left of what the base has, two values are no longer nearly equal, and are
    /// subtracted.
    pub(super) fn softmax(&mut self, x: Pair, axis: usize) -> Pair {
        let op = Op::new(OpKind::SoftMax, "opset8").with("axis", axis);
        let softmax = |this: &mut Self, scores: OutletId| {
            let fact = this.patch.fact(scores).clone();
            this.patch.add(&this.hint, op.clone(), vec![scores], vec![fact])
        };
        let moved = self.add(x.base, x.above);
        let (base, after) = (softmax(self, x.base), softmax(self, moved));
        let apart = self.less(after, base);
        // A Softmax knows no difference from what all of its scores have in common: the largest is from 0 to a bound.
        let most = self.patch.reduce(&self.hint, OpKind::ReduceMax, x.above, &[axis], true);
        let (least, bound) = (self.float(most, 0.0), self.float(most, MOST_SCORE));
        let kept = self.binary(OpKind::Maximum, most, least);
        let kept = self.binary(OpKind::Minimum, kept, bound);
        let common = self.less(most, kept);
        let above = self.less(x.above, common);
        let grown = self.expm1(above);
        let weighed = self.times(base, grown);
        let sum = self.patch.reduce(&self.hint, OpKind::ReduceSum, weighed, &[axis], true);
        let (grown, whole) = (self.less(grown, sum), self.plus(sum, 1.0));
        let share = self.over(grown, whole);
        let above = self.times(base, share);
        let little = self.float(whole, LITTLE);
        let lost = self.binary(OpKind::Less, whole, little);
        Pair { base, above: self.choose(lost, apart, above) }
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
