//! Where a model's answer is, and how maps are made.

use super::black_box::BoxHead;
use super::options::BlackBox;
use super::scores::ClassHead;

/// Where a model's answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    /// Class scores.
    Classes(ClassHead),
    /// Boxes of a detector.
    Boxes(BoxHead),
    /// None of these; only classes that the user names can be explained.
    Unknown,
}

/// How maps are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// The model has an output that holds them.
    WhiteBox { map: usize, shown: Shown },
    /// By hiding parts of the photo.
    BlackBox(BlackBox),
}

/// Which classes the maps of an output belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    All,
    /// The best of each image, best first.
    Top(usize),
    Listed(Vec<usize>),
}

impl Shown {
    /// Reads what xai-insert records.
    pub(super) fn recorded(text: Option<&str>) -> Self {
        let list = |text: &str| text.split(',').map(|class| class.trim().parse().ok()).collect();
        match text {
            None | Some("all") => Self::All,
            Some(text) => match (text.strip_prefix("top").and_then(|k| k.parse().ok()), list(text)) {
                (Some(k), _) => Self::Top(k),
                (_, Some(list)) => Self::Listed(list),
                _ => Self::All,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_classes_are_read() {
        assert_eq!(Shown::recorded(None), Shown::All);
        assert_eq!(Shown::recorded(Some("all")), Shown::All);
        assert_eq!(Shown::recorded(Some("top5")), Shown::Top(5));
        assert_eq!(Shown::recorded(Some("281,3")), Shown::Listed(vec![281, 3]));
    }
}
