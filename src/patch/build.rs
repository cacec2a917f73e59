//! Emitting operations into a patch, with the shapes that OpenVINO will infer for them.
//!
//! Each method emits the oldest version of its operation that serves, so that old runtimes load
//! the result. Specification: OpenVINO operation sets 1 to 8.

use super::Patch;
use crate::graph::{Fact, Op, OpKind, OutletId, Size, index};
use crate::ir::{Dim, ElementType, Shape};

impl Patch<'_> {
    /// The extents of an outlet.
    pub(crate) fn sizes(&self, outlet: OutletId) -> Vec<Size> {
        let shape = &self.fact(outlet).shape;
        shape
            .iter()
            .enumerate()
            .map(|(axis, dim)| dim.fixed().map_or(Size::Of(outlet, axis), Size::Fixed))
            .collect()
    }

    /// A 1-D constant of i64.
    pub(crate) fn integers(&mut self, hint: &str, values: &[i64]) -> OutletId {
        let fact = Fact::new(ElementType::I64, vec![Dim::Fixed(values.len())]);
        self.constant(hint, fact, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// An i64 scalar.
    pub(crate) fn integer(&mut self, hint: &str, value: i64) -> OutletId {
        self.constant(hint, Fact::new(ElementType::I64, Shape::new()), value.to_le_bytes().to_vec())
    }

    /// A scalar, `value` rounded to its type (toward zero for integers).
    pub(crate) fn float(&mut self, hint: &str, element: ElementType, value: f32) -> OutletId {
        self.constant(hint, Fact::new(element, Shape::new()), Self::float_bytes(element, &[value]))
    }

    /// A constant of real numbers, as many as `fact` asks for.
    pub(crate) fn floats(&mut self, hint: &str, fact: Fact, values: &[f32]) -> OutletId {
        let bytes = Self::float_bytes(fact.element, values);
        self.constant(hint, fact, bytes)
    }

    /// An elementwise operation `kind` of opset1 with one input, whose type and shape it keeps.
    pub(crate) fn unary(&mut self, hint: &str, kind: OpKind, x: OutletId) -> OutletId {
        let fact = self.fact(x).clone();
        self.add(hint, Op::new(kind, "opset1"), vec![x], vec![fact])
    }

    /// An elementwise operation `kind` of opset1 with two inputs, with numpy broadcasting.
    pub(crate) fn binary(&mut self, hint: &str, kind: OpKind, a: OutletId, b: OutletId) -> OutletId {
        let shape = broadcast(&self.fact(a).shape, &self.fact(b).shape);
        let element = if matches!(kind, OpKind::Equal | OpKind::Less | OpKind::Greater) {
            ElementType::Boolean
        } else {
            self.fact(a).element
        };
        let op = Op::new(kind, "opset1").with("auto_broadcast", "numpy");
        self.add(hint, op, vec![a, b], vec![Fact::new(element, shape)])
    }

    /// An elementwise operation on any number of inputs, which broadcast as numpy does.
    pub(crate) fn elementwise(
        &mut self,
        hint: &str,
        op: Op,
        inputs: Vec<OutletId>,
        element: ElementType,
    ) -> OutletId {
        let shapes = inputs.iter().map(|input| self.fact(*input).shape.clone());
        let shape = shapes.reduce(|a, b| broadcast(&a, &b)).unwrap_or_default();
        self.add(hint, op, inputs, vec![Fact::new(element, shape)])
    }

    /// `Select`: elements of `a` where `condition` holds, of `b` elsewhere.
    pub(crate) fn select(&mut self, hint: &str, condition: OutletId, a: OutletId, b: OutletId) -> OutletId {
        let shape = broadcast(&self.fact(a).shape, &self.fact(b).shape);
        let shape = broadcast(&self.fact(condition).shape, &shape);
        let fact = Fact::new(self.fact(a).element, shape);
        let op = Op::new(OpKind::Select, "opset1").with("auto_broadcast", "numpy");
        self.add(hint, op, vec![condition, a, b], vec![fact])
    }

    /// A conversion of element type; nothing where the type is right already.
    pub(crate) fn convert(&mut self, hint: &str, x: OutletId, element: ElementType) -> OutletId {
        if self.fact(x).element == element {
            return x;
        }
        let fact = Fact::new(element, self.fact(x).shape.clone());
        self.add(
            hint,
            Op::new(OpKind::Convert, "opset1").with("destination_type", element),
            vec![x],
            vec![fact],
        )
    }

    /// A reduction `kind` (`ReduceMean`, `ReduceMax`, …) over axes of `x`; `keep` leaves them with extent 1.
    pub(crate) fn reduce(
        &mut self,
        hint: &str,
        kind: OpKind,
        x: OutletId,
        axes: &[usize],
        keep: bool,
    ) -> OutletId {
        let fact = self.fact(x);
        let shape = fact.shape.iter().enumerate().filter_map(|(axis, dim)| match axes.contains(&axis) {
            true if keep => Some(Dim::Fixed(1)),
            true => None,
            false => Some(*dim),
        });
        let fact = Fact::new(fact.element, shape.collect());
        let axes: Vec<i64> = axes.iter().map(|axis| index(*axis)).collect();
        let axes = self.integers(&format!("{hint}/axes"), &axes);
        self.add(hint, Op::new(kind, "opset1").with("keep_dims", keep), vec![x, axes], vec![fact])
    }

    /// `Transpose`: axis i of the result is axis `order[i]` of `x`. Nothing where that changes nothing.
    pub(crate) fn transpose(&mut self, hint: &str, x: OutletId, order: &[usize]) -> OutletId {
        if order.iter().enumerate().all(|(i, axis)| i == *axis) {
            return x;
        }
        let fact = self.fact(x);
        let fact = Fact::new(fact.element, order.iter().map(|axis| fact.shape[*axis]).collect());
        let order: Vec<i64> = order.iter().map(|axis| index(*axis)).collect();
        let order = self.integers(&format!("{hint}/order"), &order);
        self.add(hint, Op::new(OpKind::Transpose, "opset1"), vec![x, order], vec![fact])
    }

    /// `Reshape` to the given extents; nothing where `x` has them already.
    ///
    /// At most one unknown extent costs nothing (`-1`); more are read off shapes at inference.
    pub(crate) fn reshape(&mut self, hint: &str, x: OutletId, sizes: &[Size]) -> OutletId {
        let target: Shape = sizes.iter().map(Size::dim).collect();
        let fact = self.fact(x);
        if sizes == self.sizes(x) {
            return x;
        }
        let open = target.iter().filter(|dim| **dim == Dim::Dynamic).count();
        let element = fact.element;
        let (pattern, target) = if open <= 1 {
            // With -1 for an extent, OpenVINO can work it out where the input is known.
            let total = fact.shape.iter().copied().fold(Dim::Fixed(1), Dim::times);
            let mut fixed = target.iter().filter_map(|dim| dim.fixed());
            let known = fixed.try_fold(1usize, |known, extent| known.checked_mul(extent)).unwrap_or(0);
            let pattern: Vec<i64> = target.iter().map(|dim| dim.as_i64()).collect();
            let target = match total {
                Dim::Fixed(total) if open == 1 && known > 0 => {
                    target.iter().map(|dim| Dim::Fixed(dim.fixed().unwrap_or(total / known))).collect()
                }
                _ => target,
            };
            (self.integers(&format!("{hint}/shape"), &pattern), target)
        } else {
            (self.shape_tensor(&format!("{hint}/shape"), sizes), target)
        };
        let op = Op::new(OpKind::Reshape, "opset1").with("special_zero", false);
        self.add(hint, op, vec![x, pattern], vec![Fact::new(element, target)])
    }

    /// Inserts axes of extent 1 at the given places of the result.
    pub(crate) fn unsqueeze(&mut self, hint: &str, x: OutletId, axes: &[usize]) -> OutletId {
        if axes.is_empty() {
            return x;
        }
        let fact = self.fact(x).clone();
        let mut shape = fact.shape;
        for axis in axes {
            shape.insert(*axis, Dim::Fixed(1));
        }
        let axes: Vec<i64> = axes.iter().map(|axis| index(*axis)).collect();
        let axes = self.integers(&format!("{hint}/axes"), &axes);
        self.add(
            hint,
            Op::new(OpKind::Unsqueeze, "opset1"),
            vec![x, axes],
            vec![Fact::new(fact.element, shape)],
        )
    }

    /// Takes axes of extent 1 away.
    pub(crate) fn squeeze(&mut self, hint: &str, x: OutletId, axes: &[usize]) -> OutletId {
        let fact = self.fact(x);
        let kept = fact.shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
        let fact = Fact::new(fact.element, kept.map(|(_, dim)| *dim).collect());
        let axes: Vec<i64> = axes.iter().map(|axis| index(*axis)).collect();
        let axes = self.integers(&format!("{hint}/axes"), &axes);
        self.add(hint, Op::new(OpKind::Squeeze, "opset1"), vec![x, axes], vec![fact])
    }

    /// Entries `start..end` of an axis, to its last one without an `end`.
    pub(crate) fn slice(
        &mut self,
        hint: &str,
        x: OutletId,
        axis: usize,
        start: usize,
        end: Option<usize>,
    ) -> OutletId {
        let mut fact = self.fact(x).clone();
        let rank = fact.rank();
        fact.shape[axis] = match (end, fact.shape[axis]) {
            (Some(end), Dim::Fixed(extent)) => Dim::Fixed(end.min(extent).saturating_sub(start)),
            (Some(end), Dim::Dynamic) => Dim::Fixed(end.saturating_sub(start)),
            (None, Dim::Fixed(extent)) => Dim::Fixed(extent.saturating_sub(start)),
            (None, Dim::Dynamic) => Dim::Dynamic,
        };
        let list = |here: i32, elsewhere: i32| -> String {
            let values = (0..rank).map(|i| if i == axis { here } else { elsewhere });
            values.map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
        };
        let op = Op::new(OpKind::StridedSlice, "opset1")
            .with("begin_mask", list(0, 1))
            .with("end_mask", list(i32::from(end.is_none()), 1))
            .with("new_axis_mask", list(0, 0))
            .with("shrink_axis_mask", list(0, 0))
            .with("ellipsis_mask", list(0, 0));
        let at =
            |value: usize| (0..rank).map(|i| if i == axis { index(value) } else { 0 }).collect::<Vec<i64>>();
        let begin = self.integers(&format!("{hint}/begin"), &at(start));
        let end = self.integers(&format!("{hint}/end"), &at(end.unwrap_or(0)));
        let stride = self.integers(&format!("{hint}/stride"), &vec![1; rank]);
        self.add(hint, op, vec![x, begin, end, stride], vec![fact])
    }

    /// Axes from their last element to their first.
    pub(crate) fn reverse(&mut self, hint: &str, x: OutletId, axes: &[usize]) -> OutletId {
        let fact = self.fact(x).clone();
        let rank = fact.rank();
        // Masks leave begin and end to the direction.
        let all = |value: i64| vec![value.to_string(); rank].join(", ");
        let op = Op::new(OpKind::StridedSlice, "opset1")
            .with("begin_mask", all(1))
            .with("end_mask", all(1))
            .with("new_axis_mask", all(0))
            .with("shrink_axis_mask", all(0))
            .with("ellipsis_mask", all(0));
        let strides: Vec<i64> = (0..rank).map(|axis| if axes.contains(&axis) { -1 } else { 1 }).collect();
        let ends = self.integers(&format!("{hint}/ends"), &vec![0; rank]);
        let strides = self.integers(&format!("{hint}/stride"), &strides);
        self.add(hint, op, vec![x, ends, ends, strides], vec![fact])
    }

    /// A 1-D i64 tensor of one element that holds an extent.
    pub(crate) fn size_tensor(&mut self, hint: &str, size: &Size) -> OutletId {
        match size {
            Size::Fixed(value) => self.integers(hint, &[index(*value)]),
            Size::Of(outlet, axis) => {
                let rank = self.fact(*outlet).rank();
                let shape = self.add(
                    &format!("{hint}/ShapeOf"),
                    Op::new(OpKind::ShapeOf, "opset3").with("output_type", "i64"),
                    vec![*outlet],
                    vec![Fact::new(ElementType::I64, vec![Dim::Fixed(rank)])],
                );
                let axis = self.integers(&format!("{hint}/axis"), &[index(*axis)]);
                self.gather(hint, shape, axis, 0)
            }
            Size::Product(factors) => {
                let mut tensors = factors.iter();
                let first = tensors.next().cloned().unwrap_or(Size::Fixed(1));
                let mut product = self.size_tensor(hint, &first);
                for factor in tensors {
                    let factor = self.size_tensor(hint, factor);
                    product = self.binary(hint, OpKind::Multiply, product, factor);
                }
                product
            }
        }
    }

    /// A 1-D i64 tensor that holds a whole shape.
    pub(crate) fn shape_tensor(&mut self, hint: &str, sizes: &[Size]) -> OutletId {
        if sizes.iter().all(|size| matches!(size, Size::Fixed(_))) {
            let values: Vec<i64> = sizes.iter().map(|size| size.dim().as_i64()).collect();
            return self.integers(hint, &values);
        }
        let parts: Vec<OutletId> = sizes.iter().map(|size| self.size_tensor(hint, size)).collect();
        self.concat(hint, &parts, 0)
    }

    /// An extent as a float scalar-like tensor `[1]`.
    pub(crate) fn size_float(&mut self, hint: &str, size: &Size, element: ElementType) -> OutletId {
        match size {
            #[allow(clippy::cast_precision_loss)]
            Size::Fixed(value) => self.float(hint, element, *value as f32),
            _ => {
                let tensor = self.size_tensor(hint, size);
                self.convert(hint, tensor, element)
            }
        }
    }

    /// `Gather` along an axis of `x`: the shape of `indices` takes the place of that axis.
    pub(crate) fn gather(&mut self, hint: &str, x: OutletId, indices: OutletId, axis: usize) -> OutletId {
        let (fact, indices_shape) = (self.fact(x), self.fact(indices).shape.clone());
        let mut shape = fact.shape.clone();
        shape.splice(axis..=axis, indices_shape);
        let fact = Fact::new(fact.element, shape);
        let axis = self.integer(&format!("{hint}/axis"), index(axis));
        self.add(
            hint,
            Op::new(OpKind::Gather, "opset8").with("batch_dims", 0),
            vec![x, indices, axis],
            vec![fact],
        )
    }

    /// Indices `[N,count]` of the largest of `[N,C]`, the largest first, as i64.
    pub(crate) fn top_indices(&mut self, hint: &str, x: OutletId, count: usize) -> OutletId {
        let fact = self.fact(x);
        let shape = vec![fact.shape[0], Dim::Fixed(count)];
        let facts = vec![Fact::new(fact.element, shape.clone()), Fact::new(ElementType::I64, shape)];
        let k = self.integer(&format!("{hint}/count"), index(count));
        let op = Op::new(OpKind::TopK, "opset3")
            .with("axis", 1)
            .with("mode", "max")
            .with("sort", "value")
            .with("index_element_type", "i64");
        let top = self.add(&format!("{hint}/topk"), op, vec![x, k], facts);
        OutletId::new(top.node, 1)
    }

    /// `Concat` along an axis.
    pub(crate) fn concat(&mut self, hint: &str, parts: &[OutletId], axis: usize) -> OutletId {
        if let [only] = parts {
            return *only;
        }
        let Some(first) = parts.first() else { return self.integers(hint, &[]) };
        let mut fact = self.fact(*first).clone();
        fact.shape[axis] =
            parts.iter().fold(Dim::Fixed(0), |sum, part| match (sum, self.fact(*part).shape[axis]) {
                (Dim::Fixed(a), Dim::Fixed(b)) => a.checked_add(b).map_or(Dim::Dynamic, Dim::Fixed),
                _ => Dim::Dynamic,
            });
        self.add(hint, Op::new(OpKind::Concat, "opset1").with("axis", axis), parts.to_vec(), vec![fact])
    }

    /// `Tile`: `repeats` has one number for each axis of `x`.
    pub(crate) fn tile(&mut self, hint: &str, x: OutletId, repeats: &[Size]) -> OutletId {
        let fact = self.fact(x);
        let shape = fact.shape.iter().zip(repeats).map(|(dim, size)| dim.times(size.dim()));
        let fact = Fact::new(fact.element, shape.collect());
        let repeats = self.shape_tensor(&format!("{hint}/repeats"), repeats);
        self.add(hint, Op::new(OpKind::Tile, "opset1"), vec![x, repeats], vec![fact])
    }

    /// `Broadcast` to a shape, as numpy does it.
    pub(crate) fn broadcast_to(&mut self, hint: &str, x: OutletId, sizes: &[Size]) -> OutletId {
        let fact = Fact::new(self.fact(x).element, sizes.iter().map(Size::dim).collect());
        let target = self.shape_tensor(&format!("{hint}/shape"), sizes);
        self.add(
            hint,
            Op::new(OpKind::Broadcast, "opset3").with("mode", "numpy"),
            vec![x, target],
            vec![fact],
        )
    }

    /// The identity matrix `[size,size]`, as booleans or numbers of `element` type.
    pub(crate) fn identity(&mut self, hint: &str, size: &Size, element: ElementType) -> OutletId {
        let stop = self.size_scalar(&format!("{hint}/stop"), size);
        let range = self.range(hint, size, ElementType::I64);
        let on = self.float(&format!("{hint}/on"), element, 1.0);
        let off = self.float(&format!("{hint}/off"), element, 0.0);
        self.add(
            hint,
            Op::new(OpKind::OneHot, "opset1").with("axis", -1),
            vec![range, stop, on, off],
            vec![Fact::new(element, vec![size.dim(), size.dim()])],
        )
    }

    /// An extent as an i64 scalar.
    fn size_scalar(&mut self, hint: &str, size: &Size) -> OutletId {
        match size {
            Size::Fixed(value) => self.integer(hint, index(*value)),
            _ => {
                let tensor = self.size_tensor(hint, size);
                self.reshape(hint, tensor, &[])
            }
        }
    }

    /// `0, 1, …, size - 1`.
    pub(crate) fn range(&mut self, hint: &str, size: &Size, element: ElementType) -> OutletId {
        let start = self.integer(&format!("{hint}/start"), 0);
        let stop = self.size_scalar(&format!("{hint}/stop"), size);
        let step = self.integer(&format!("{hint}/step"), 1);
        let op = Op::new(OpKind::Range, "opset4").with("output_type", element);
        let fact = Fact::new(element, vec![size.dim()]);
        self.add(&format!("{hint}/positions"), op, vec![start, stop, step], vec![fact])
    }

    /// `MatMul` of two tensors of rank 2 or more, with broadcasting over leading axes.
    ///
    /// `transpose` says for each operand whether its last two axes are swapped first.
    pub(crate) fn matmul(
        &mut self,
        hint: &str,
        a: OutletId,
        b: OutletId,
        transpose: (bool, bool),
    ) -> OutletId {
        let (fact_a, fact_b) = (self.fact(a), self.fact(b));
        let (mut left, mut right) = (fact_a.shape.clone(), fact_b.shape.clone());
        let take = |shape: &mut Shape, transposed: bool| {
            let last = shape.pop().unwrap_or(Dim::Fixed(1));
            let other = shape.pop().unwrap_or(Dim::Fixed(1));
            if transposed { (last, other) } else { (other, last) }
        };
        let (rows, _) = take(&mut left, transpose.0);
        let (_, columns) = take(&mut right, transpose.1);
        let mut shape = broadcast(&left, &right);
        shape.extend([rows, columns]);
        let fact = Fact::new(fact_a.element, shape);
        let op = Op::new(OpKind::MatMul, "opset1")
            .with("transpose_a", transpose.0)
            .with("transpose_b", transpose.1);
        self.add(hint, op, vec![a, b], vec![fact])
    }

    /// A 1x1 `Convolution` of `x` `[N,C,h,w]` with `weight` `[O,C,1,1]`: `[N,O,h,w]`.
    pub(crate) fn pointwise_convolution(&mut self, hint: &str, x: OutletId, weight: OutletId) -> OutletId {
        let fact = self.fact(x);
        let mut shape = fact.shape.clone();
        shape[1] = self.fact(weight).shape[0];
        let fact = Fact::new(fact.element, shape);
        let op = Op::new(OpKind::Convolution, "opset1")
            .with("strides", "1, 1")
            .with("dilations", "1, 1")
            .with("pads_begin", "0, 0")
            .with("pads_end", "0, 0")
            .with("auto_pad", "explicit");
        self.add(hint, op, vec![x, weight], vec![fact])
    }
}

/// The shape of an elementwise result, as numpy broadcasts.
fn broadcast(a: &[Dim], b: &[Dim]) -> Shape {
    let rank = a.len().max(b.len());
    let at = |shape: &[Dim], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(Dim::Fixed(1), |axis| shape[axis])
    };
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => other,
            (Dim::Fixed(fixed), _) | (_, Dim::Fixed(fixed)) => Dim::Fixed(fixed),
            _ => Dim::Dynamic,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(list: &[usize]) -> Shape {
        // 0 stands for an unknown extent.
        list.iter().map(|dim| if *dim == 0 { Dim::Dynamic } else { Dim::Fixed(*dim) }).collect()
    }

    #[test]
    fn shapes_broadcast_from_the_right() {
        assert_eq!(broadcast(&dims(&[2, 1, 4]), &dims(&[3, 1])), dims(&[2, 3, 4]));
        assert_eq!(broadcast(&dims(&[]), &dims(&[5])), dims(&[5]));
        // What meets an unknown extent must be the same or 1, so the known one decides.
        assert_eq!(broadcast(&dims(&[0, 1]), &dims(&[7, 0])), dims(&[7, 0]));
    }
}
