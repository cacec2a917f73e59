//! Rules: what an operation makes of its operands' forms, a file for each form.
//!
//! A rule is a function over the context; where it does not apply it says why, and the next dearer one is tried.
//! The last, `dense.rs`, evaluates any operation on copies whose batch can be followed.

mod attention;
mod dense;
mod difference;
mod distinct;
mod onehot;
mod per_position;
mod pool;

use std::collections::BTreeSet;

use super::context::Context;
use super::form::{Form, FormKind};
use super::laid::whole;
use super::operation::{Applied, Operation};
use super::why::Why;
use crate::ops::Action;

pub(super) use dense::{copies, on_copies};

/// Which rule is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    OneHot,
    PerPosition,
    WeightedValues,
    Distinct,
}

/// The rule for operands of these forms, in ascending order; why there is none cheaper than copies, where that is not
/// because of other copies.
fn first_rule(kinds: &[FormKind], action: &Action) -> Result<Rule, Option<Why>> {
    match kinds {
        [FormKind::OneHot] => Ok(Rule::OneHot),
        [FormKind::PerPosition] => Ok(Rule::PerPosition),
        [FormKind::OneHot, FormKind::Dense] if matches!(action, Action::MatMul { .. }) => {
            Ok(Rule::WeightedValues)
        }
        [FormKind::OneHot, FormKind::PerPosition] => Err(Some(Why::PooledWithUnpooled)),
        kinds if kinds.contains(&FormKind::Distinct) => Ok(Rule::Distinct),
        // Once there are copies, every cheaper operand is copied as well.
        _ => Err(None),
    }
}

/// What came of the rules that are cheaper than copying.
#[derive(Debug)]
pub(super) struct Tried {
    /// What one of them made; `None` where none applies.
    pub(super) applied: Option<Applied>,
    /// Why a cheaper rule, or all of them, did not apply.
    pub(super) why: Option<Why>,
}

/// Tries the rules that are cheaper than copying.
pub(super) fn cheapest(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Tried {
    match difference::rule(cx, op) {
        Ok(applied) if op.outputs().skip(applied.forms.len()).all(|outlet| !cx.view().is_read(outlet)) => {
            return Tried { applied: Some(applied), why: None };
        }
        _ => {
            for input in &op.node.inputs {
                if let Err(why) = whole(cx, *input) {
                    return Tried { applied: None, why: Some(why) };
                }
            }
        }
    }
    let operands = op.node.inputs.iter().filter_map(|input| cx.values.form(*input));
    let kinds: Vec<FormKind> = operands.map(Form::kind).collect::<BTreeSet<_>>().into_iter().collect();
    let first = match first_rule(&kinds, op.action) {
        Ok(Rule::OneHot) => onehot::rule(cx, op),
        Ok(Rule::PerPosition) => per_position::rule(cx, op),
        Ok(Rule::WeightedValues) => attention::weighted_values(cx, op),
        Ok(Rule::Distinct) => distinct::rule(cx, op),
        Err(why) => return Tried { applied: None, why },
    };
    let (tried, before) = match first {
        Err(why) if cx.view().few_distinct(op.node) => match distinct::rule(cx, op) {
            Err(distinct) => (Err(Why::Both(Box::new(why), Box::new(distinct))), None),
            applied => (applied, Some(why)),
        },
        first => (first, None),
    };
    match tried {
        // A rule that speaks of the first output only must not leave another one looking unmasked.
        Ok(applied) if op.outputs().skip(applied.forms.len()).any(|outlet| cx.view().is_read(outlet)) => {
            Tried { applied: None, why: Some(Why::FurtherOutput) }
        }
        Ok(applied) => Tried { applied: Some(applied), why: before },
        Err(why) => Tried { applied: None, why: Some(why) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Zero;

    #[test]
    fn the_rule_follows_from_the_forms_of_the_operands() {
        let sum = Action::Elementwise(Zero::All);
        let product = Action::MatMul { transpose_a: false, transpose_b: false };
        let rule = |kinds: &[FormKind], action: &Action| first_rule(kinds, action);
        assert_eq!(rule(&[FormKind::OneHot], &sum), Ok(Rule::OneHot));
        assert_eq!(rule(&[FormKind::PerPosition], &sum), Ok(Rule::PerPosition));
        assert_eq!(
            rule(&[FormKind::OneHot, FormKind::PerPosition], &sum),
            Err(Some(Why::PooledWithUnpooled))
        );
        assert_eq!(rule(&[FormKind::OneHot, FormKind::Dense], &product), Ok(Rule::WeightedValues));
        assert_eq!(rule(&[FormKind::OneHot, FormKind::Dense], &sum), Err(None));
        assert_eq!(rule(&[FormKind::OneHot, FormKind::Distinct], &sum), Ok(Rule::Distinct));
        assert_eq!(rule(&[FormKind::Distinct, FormKind::Dense], &product), Ok(Rule::Distinct));
        assert_eq!(rule(&[FormKind::PerPosition, FormKind::Dense], &sum), Err(None));
    }

    #[test]
    fn forms_are_ordered_from_cheap_to_dear() {
        let dear = [FormKind::Dense, FormKind::OneHot, FormKind::Distinct, FormKind::Masked];
        assert_eq!(dear.into_iter().max(), Some(FormKind::Dense));
        assert!(FormKind::Masked < FormKind::Weights && FormKind::Weights < FormKind::PerPosition);
    }
}
