//! Which elementwise functions are linear.

use crate::graph::OpKind;

/// Whether an elementwise function is linear, constants aside, in the operands that vary; `varies` has an entry for
/// each operand.
pub(crate) fn is_linear(kind: &OpKind, varies: &[bool]) -> bool {
    let count = varies.iter().filter(|varies| **varies).count();
    match kind {
        OpKind::Add
        | OpKind::Convert
        | OpKind::ConvertLike
        | OpKind::Identity
        | OpKind::Negative
        | OpKind::Subtract => true,
        OpKind::Multiply => count == 1,
        OpKind::Divide => count == 1 && varies.first() == Some(&true),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_quotients_are_linear_in_one_operand() {
        assert!(is_linear(&OpKind::Multiply, &[false, true]));
        assert!(!is_linear(&OpKind::Multiply, &[true, true]));
        assert!(is_linear(&OpKind::Divide, &[true, false]));
        assert!(!is_linear(&OpKind::Divide, &[false, true]));
        assert!(is_linear(&OpKind::Add, &[true, true]));
        assert!(!is_linear(&OpKind::Sigmoid, &[true]));
    }
}
