//! `model_info`'s `hierarchical_config`: classes in heads, and which class stands above which.
//!
//! Form and meaning are those of Model API's `ClassificationModel` (`cls_heads_info`, `label_tree_edges`), as OTX and
//! Geti write them.

use std::ops::Range;

use serde::Deserialize;

/// Classes that are divided into heads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hierarchy {
    /// Where the scores of each head lie whose classes exclude each other.
    pub heads: Vec<Range<usize>>,
    /// Where the scores of classes lie that stand for themselves; behind the heads.
    pub separate: Range<usize>,
    /// The name of each class.
    pub names: Vec<String>,
    /// The class above each, where there is one.
    pub parents: Vec<Option<usize>>,
}

/// The JSON, as far as it matters here.
#[derive(Deserialize)]
struct Written {
    cls_heads_info: Heads,
    #[serde(default)]
    label_tree_edges: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Heads {
    num_multiclass_heads: usize,
    #[serde(default)]
    num_multilabel_classes: usize,
    head_idx_to_logits_range: std::collections::BTreeMap<String, (usize, usize)>,
    #[serde(default)]
    num_single_label_classes: usize,
    all_groups: Vec<Vec<String>>,
}

impl Hierarchy {
    /// Reads the JSON text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let Written { cls_heads_info: info, label_tree_edges } =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut found = Self::default();
        for head in 0..info.num_multiclass_heads {
            let range = info.head_idx_to_logits_range.get(&head.to_string());
            let &(from, to) = range.ok_or_else(|| format!("head {head} has no head_idx_to_logits_range"))?;
            let group = info.all_groups.get(head).ok_or_else(|| format!("head {head} has no group"))?;
            if from != found.names.len() || to.checked_sub(from) != Some(group.len()) || group.is_empty() {
                let count = group.len();
                return Err(format!("head {head} has the scores {from} to {to} and {count} classes"));
            }
            found.names.extend(group.iter().cloned());
            found.heads.push(from..to);
        }
        let first = found.names.len();
        if info.num_multilabel_classes > 0 && info.num_single_label_classes != first {
            let said = info.num_single_label_classes;
            return Err(format!("the heads have {first} classes, num_single_label_classes says {said}"));
        }
        let groups = info.all_groups.iter().skip(info.num_multiclass_heads).take(info.num_multilabel_classes);
        found.names.extend(groups.filter_map(|group| group.first().cloned()));
        found.separate = first..found.names.len();
        if found.separate.len() != info.num_multilabel_classes {
            return Err("not every class that stands for itself has a group".to_owned());
        }
        let place = |name: &str| found.names.iter().position(|own| own == name);
        let above = |name: &String| {
            label_tree_edges.iter().find(|(child, _)| child == name).and_then(|(_, parent)| place(parent))
        };
        found.parents = found.names.iter().map(above).collect();
        Ok(found)
    }

    /// Of classes that are likely, those whose classes above are likely too: so a branch of the tree is whole or absent.
    pub(crate) fn rooted(&self, likely: &[usize]) -> Vec<usize> {
        let stands = |class: &usize| {
            let mut at = *class;
            // As many steps as there are classes: a circle ends too.
            for _ in 0..self.parents.len() {
                match self.parents.get(at).copied().flatten() {
                    Some(above) if likely.contains(&above) => at = above,
                    Some(_) => return false,
                    None => return true,
                }
            }
            false
        };
        likely.iter().copied().filter(stands).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = r#"{
        "cls_heads_info": {
            "num_multiclass_heads": 2, "num_multilabel_classes": 1, "num_single_label_classes": 4,
            "head_idx_to_logits_range": {"0": [0, 2], "1": [2, 4]},
            "class_to_group_idx": {"cat": [0, 0], "dog": [0, 1], "black": [1, 0], "white": [1, 1], "indoors": [2, 0]},
            "all_groups": [["cat", "dog"], ["black", "white"], ["indoors"]],
            "label_to_idx": {"cat": 0, "dog": 1, "black": 2, "white": 3, "indoors": 4},
            "empty_multiclass_head_indices": []
        },
        "label_tree_edges": [["black", "cat"], ["white", "cat"]]
    }"#;

    #[test]
    fn heads_names_and_parents_are_read() {
        let found = Hierarchy::read(TREE).unwrap();
        assert_eq!((&found.heads[..], found.separate.clone()), (&[0..2, 2..4][..], 4..5));
        assert_eq!(found.names, ["cat", "dog", "black", "white", "indoors"]);
        assert_eq!(found.parents, [None, None, Some(0), Some(0), None]);
        // A colour is that of a cat: of a dog there is none to tell.
        assert_eq!(found.rooted(&[0, 3]), [0, 3]);
        assert_eq!(found.rooted(&[1, 3, 4]), [1, 4]);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (from, to, says) in [
            (r#""0": [0, 2]"#, r#""0": [0, 3]"#, "head 0 has the scores 0 to 3 and 2 classes"),
            (r#""1": [2, 4]"#, r#""2": [2, 4]"#, "head 1 has no head_idx_to_logits_range"),
            (r#", ["indoors"]"#, "", "not every class that stands for itself has a group"),
            ("{", "", "expected"),
        ] {
            let said = Hierarchy::read(&TREE.replacen(from, to, 1)).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
        let circle = TREE.replace(r#"[["black", "cat"],"#, r#"[["black", "cat"], ["cat", "black"],"#);
        assert!(Hierarchy::read(&circle).unwrap().rooted(&[0, 2]).is_empty());
    }
}
