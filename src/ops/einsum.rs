//! Einsum's equation: which axes of operands and result are one and the same.

/// The axes of operands and result as letters; each operand has a letter once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Equation {
    /// Axes of each operand.
    pub(crate) operands: Vec<Vec<char>>,
    /// Axes of the result.
    pub(crate) result: Vec<char>,
}

impl Equation {
    /// Reads `abc,cd->abd`; without an arrow the result has the letters that stand once, in alphabetical order.
    ///
    /// `None` for what is not read here: an ellipsis, a diagonal.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        let (operands, result) = match text.split_once("->") {
            Some((operands, result)) => (operands, Some(result)),
            None => (text.as_str(), None),
        };
        let operands: Vec<Vec<char>> = operands.split(',').map(|axes| axes.chars().collect()).collect();
        let all = || operands.iter().flatten().copied();
        let result: Vec<char> = result.map_or_else(
            || {
                let mut once: Vec<char> =
                    all().filter(|letter| all().filter(|other| other == letter).count() == 1).collect();
                once.sort_unstable();
                once
            },
            |result| result.chars().collect(),
        );
        let single =
            |axes: &Vec<char>| axes.iter().enumerate().all(|(i, letter)| !axes[..i].contains(letter));
        let known = |letter: &char| all().any(|other| other == *letter);
        let letters = all().all(char::is_alphabetic);
        (letters && operands.iter().all(single) && single(&result) && result.iter().all(known))
            .then_some(Self { operands, result })
    }

    /// The axis of an operand that is axis `axis` of the result.
    pub(crate) fn axis_of(&self, operand: usize, axis: usize) -> Option<usize> {
        let letter = self.result.get(axis)?;
        self.operands.get(operand)?.iter().position(|other| other == letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_letters() {
        let equation = Equation::parse("nchw, nkc -> nkhw").unwrap();
        assert_eq!(equation.result, ['n', 'k', 'h', 'w']);
        assert_eq!(
            (equation.axis_of(0, 2), equation.axis_of(1, 2), equation.axis_of(1, 1)),
            (Some(2), None, Some(1))
        );
        assert_eq!(Equation::parse("bq,bk").unwrap().result, ['k', 'q']);
        for unread in ["n...c,cd->n...d", "nii->ni", "ab,bc->ad", "ab->aa"] {
            assert_eq!(Equation::parse(unread), None, "{unread}");
        }
    }
}
