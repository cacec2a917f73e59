//! An Einsum of two operands is a MatMul between transpositions.
//!
//! Attention is written so by Keras' `MultiHeadAttention` and by CvT. Letters are sorted by where they stand: in both
//! operands and the result (batches of the product), in both operands alone (summed over), in one of them and the result.

use super::rewriter::Rewriter;
use crate::graph::{Fact, Node, NodeId, Op, OpKind, OutletId, SymInt};
use crate::ir::{Dim, Shape};
use crate::ops::{Action, Equation};

pub(super) fn rewrite(rewriter: &mut Rewriter<'_>) {
    for (id, node) in rewriter.graph.nodes() {
        if let Action::Einsum(equation) = rewriter.action(id) {
            rewrite_one(rewriter, id, node, equation);
        }
    }
}

/// The letters of a product of two operands, by what they do.
struct Letters {
    batch: Vec<char>,
    summed: Vec<char>,
    rows: Vec<char>,
    columns: Vec<char>,
}

impl Letters {
    /// `None` where it is no product of matrices.
    fn of(equation: &Equation) -> Option<Self> {
        let [a, b] = &equation.operands[..] else { return None };
        let result = &equation.result;
        let all = |from: &[char], wanted: &dyn Fn(&char) -> bool| {
            from.iter().copied().filter(|letter| wanted(letter)).collect::<Vec<_>>()
        };
        let letters = Self {
            batch: all(result, &|letter| a.contains(letter) && b.contains(letter)),
            summed: all(a, &|letter| b.contains(letter) && !result.contains(letter)),
            rows: all(result, &|letter| !b.contains(letter)),
            columns: all(result, &|letter| !a.contains(letter)),
        };
        let each = [a, b]
            .into_iter()
            .flatten()
            .all(|letter| result.contains(letter) || letters.summed.contains(letter));
        // Without a batch the rows keep their axes, of which one is needed.
        (each && !letters.summed.is_empty() && !(letters.batch.is_empty() && letters.rows.is_empty()))
            .then_some(letters)
    }
}

fn rewrite_one(rewriter: &mut Rewriter<'_>, id: NodeId, node: &Node, equation: &Equation) -> Option<()> {
    let letters = Letters::of(equation)?;
    let Letters { batch, summed, rows, columns } = &letters;
    let extent = |letter: char| -> Option<Dim> {
        let mut found = node.inputs.iter().zip(&equation.operands).filter_map(|(input, letters)| {
            Some(rewriter.dims(*input).get(letters.iter().position(|other| *other == letter)?)?.clone())
        });
        found.next().map(|extent: SymInt| extent.dim())
    };
    let dims = |letters: &[char]| letters.iter().map(|letter| extent(*letter)).collect::<Option<Shape>>();
    let (leading, s, r, c) = (dims(batch)?, dims(summed)?, dims(rows)?, dims(columns)?);
    // Rows of a product without batches keep their axes.
    let kept_rows = batch.is_empty();
    let row_groups: Vec<Shape> =
        if kept_rows { r.iter().map(|dim| vec![*dim]).collect() } else { vec![r.clone()] };
    let made: Vec<char> = [&batch[..], rows, columns].concat();
    let back = order(&made, &[&equation.result])?;
    let straight = back.iter().enumerate().all(|(i, axis)| i == *axis);
    // Joined axes are taken apart for projections, whose weights are constants, and for nothing else.
    let single = [summed, rows, columns].iter().all(|letters| letters.len() == 1);
    let projection = straight && node.inputs.iter().any(|input| constant(rewriter, *input));
    if !(single || projection) {
        return None;
    }
    let [a, b] = node.inputs[..] else { return None };
    let around = |middle: &[Shape], last: &Shape| {
        let leading = leading.iter().map(|dim| vec![*dim]);
        leading.chain(middle.iter().cloned()).chain([last.clone()]).collect::<Vec<Shape>>()
    };
    let a = operand(
        rewriter,
        node,
        a,
        &order(&equation.operands[0], &[batch, rows, summed])?,
        &around(&row_groups, &s),
    )?;
    let b = operand(
        rewriter,
        node,
        b,
        &order(&equation.operands[1], &[batch, columns, summed])?,
        &around(std::slice::from_ref(&c), &s),
    )?;
    let product = Op::new(OpKind::MatMul, "opset1").with("transpose_a", false).with("transpose_b", true);
    let merged = around(&row_groups, &c);
    let element = node.outputs.first()?.fact.element;
    let pattern = split_pattern(&merged);
    let whole = merged.iter().all(|group| group.len() == 1);
    if straight && whole {
        rewriter.replace(id, product, vec![a, b]);
        return Some(());
    }
    let shape = merged.iter().map(|group| product_of(group)).collect();
    let x = rewriter.add(&node.name, product, vec![a, b], Fact::new(element, shape));
    if straight {
        let (op, inputs) = rewriter.reshaping(&node.name, x, &pattern?);
        rewriter.replace(id, op, inputs);
        return Some(());
    }
    let x = if whole { x } else { rewriter.reshape(&node.name, x, &pattern?, merged.concat()) };
    let inputs = rewriter.transposition(&node.name, x, &back);
    rewriter.replace(id, Op::new(OpKind::Transpose, "opset1"), inputs);
    Some(())
}

/// Whether a value is a constant, perhaps in another type or shape.
fn constant(rewriter: &Rewriter<'_>, outlet: OutletId) -> bool {
    let mut node = rewriter.graph.node(outlet.node);
    while (node.op.kind == OpKind::Convert || node.op.kind.is_reshape())
        && let Some(input) = node.inputs.first()
    {
        node = rewriter.graph.node(input.node);
    }
    node.op.kind == OpKind::Const
}

/// Where the axes of `have` are in the order of `wanted`.
fn order(have: &[char], wanted: &[&[char]]) -> Option<Vec<usize>> {
    let place = |letter: &char| have.iter().position(|other| other == letter);
    wanted.iter().flat_map(|letters| letters.iter()).map(place).collect()
}

/// An operand with its axes in an order in which groups of them are joined to one each.
fn operand(
    rewriter: &mut Rewriter<'_>,
    node: &Node,
    x: OutletId,
    order: &[usize],
    groups: &[Shape],
) -> Option<OutletId> {
    let x = rewriter.transpose(&node.name, x, order);
    if groups.iter().all(|group| group.len() == 1) {
        return Some(x);
    }
    let (mut pattern, mut joined) = (Vec::new(), false);
    for group in groups {
        // As long as nothing was joined before, an axis stands where it stood.
        pattern.push(match (&group[..], product_of(group)) {
            ([_], _) if !joined => 0,
            (_, dim) => dim.as_i64(),
        });
        joined |= group.len() != 1;
    }
    if pattern.iter().filter(|entry| **entry == -1).count() > 1 {
        return None;
    }
    let shape = groups.iter().map(|group| product_of(group)).collect();
    Some(rewriter.reshape(&node.name, x, &pattern, shape))
}

/// The pattern that takes joined axes apart; `None` where more than one extent would be left to find.
fn split_pattern(groups: &[Shape]) -> Option<Vec<i64>> {
    let (mut pattern, mut split) = (Vec::new(), false);
    for group in groups {
        match group[..] {
            [_] if !split => pattern.push(0),
            _ => pattern.extend(group.iter().map(|dim| dim.as_i64())),
        }
        split |= group.len() != 1;
    }
    (pattern.iter().filter(|entry| **entry == -1).count() <= 1).then_some(pattern)
}

fn product_of(group: &[Dim]) -> Dim {
    group.iter().copied().fold(Dim::Fixed(1), Dim::times)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(equation: &str) -> Option<[String; 4]> {
        let letters = Letters::of(&Equation::parse(equation).unwrap())?;
        let text = |letters: Vec<char>| letters.into_iter().collect();
        Some([text(letters.batch), text(letters.summed), text(letters.rows), text(letters.columns)])
    }

    #[test]
    fn letters_are_sorted_by_what_they_do() {
        let found = |equation| letters(equation).map(|found| found.join(" "));
        assert_eq!(found("bhid,bhjd->bhij").as_deref(), Some("bh d i j"));
        // Keras: keys and queries, values, the projections before and after.
        assert_eq!(found("aecd,abcd->acbe").as_deref(), Some("ac d e b"));
        assert_eq!(found("abc,cde->abde").as_deref(), Some(" c ab de"));
        assert_eq!(found("abcd,cde->abe").as_deref(), Some(" cd ab e"));
        for other in ["ab,cd->abcd", "abc,cd->d", "ab->ba", "a,ab->b"] {
            assert_eq!(letters(other), None, "{other}");
        }
    }

    #[test]
    fn joined_axes_are_taken_apart_again() {
        let groups = |list: &[&[usize]]| {
            let dim = |size: &usize| if *size == 0 { Dim::Dynamic } else { Dim::Fixed(*size) };
            list.iter().map(|group| group.iter().map(dim).collect()).collect::<Vec<Shape>>()
        };
        assert_eq!(split_pattern(&groups(&[&[0], &[0], &[4, 16]])), Some(vec![0, 0, 4, 16]));
        assert_eq!(split_pattern(&groups(&[&[0], &[2, 0], &[16]])), Some(vec![0, 2, -1, 16]));
        assert_eq!(split_pattern(&groups(&[&[0, 0], &[16]])), None);
    }
}
