//! Check 3: the maps are those of the definition.

use super::compare::{self, Encoding, MapDifference, MapFigures, larger, magnitude, root_mean_square};
use super::definition::{Definition, Method};
use super::reference::Expected;
use super::report::FeatureFigures;
use super::structure::SHOWN;
use crate::error::Result;
use crate::ir::Classes;
use crate::runtime::Tensor;

/// Error allowed in a feature vector, as a share of its largest magnitude.
const FEATURE_TOLERANCE: f64 = 1e-4;

/// A logit close to zero is a sum whose terms cancel: it is rounded as they are, which are about as large as the
/// logits of other classes. A share of those counts as its magnitude, worth 16 units in the last place.
const CANCELLED: f64 = 0.2;

/// So is a mean over channels whose values cancel, as those of a norm do: a share of the largest of them counts as its
/// magnitude, worth 2 units in the last place.
const CANCELLED_MEAN: f64 = 0.02;

/// Compares the maps of one sample; problems are appended to `problems`.
///
/// # Errors
/// [`crate::Error::Runtime`] where the maps are no numbers.
pub(super) fn compare_maps(
    definition: &Definition,
    expected: &Expected,
    found: &Tensor,
    figures: &mut MapFigures,
    problems: &mut Vec<String>,
) -> Result<()> {
    let rows = match rows(definition, expected) {
        Ok(rows) => rows,
        Err(message) => {
            problems.push(message);
            return Ok(());
        }
    };
    let [batch, height, width] = expected.extents;
    let count = rows.first().map_or(0, Vec::len);
    let shape = match definition.method {
        Method::Masked { .. } | Method::ClassMaps(_) => vec![batch, count, height, width],
        Method::ActivationMap { .. } => vec![batch, height, width],
    };
    if found.shape() != shape || found.element() != definition.delivered {
        problems.push(format!(
            "'{}' is {found}, and should be {}{shape:?}",
            definition.output, definition.delivered
        ));
        return Ok(());
    }
    let values = found.values()?;
    let encoding = Encoding { scaled: definition.scaling, truncated: !definition.element.is_float() };
    let overall = magnitude(&expected.maps);
    let cancelled = match definition.method {
        Method::ActivationMap { .. } => CANCELLED_MEAN * expected.pooled.magnitude,
        _ => CANCELLED * root_mean_square(&expected.maps),
    };
    let positions = height * width;
    let compared = expected.computed.as_ref().map_or(positions, Vec::len);
    figures.positions = [compared, positions];
    let mut wrong = Vec::new();
    let maps = rows.iter().enumerate().flat_map(|(image, rows)| rows.iter().map(move |row| (image, row)));
    for ((image, candidates), found) in maps.zip(values.chunks(positions.max(1))) {
        let best = candidates.iter().enumerate().map(|(rank, &class)| {
            let start = (image * expected.classes + class) * positions;
            let map = &expected.maps[start..start + positions];
            let own = if encoding.scaled { magnitude(map).max(cancelled) } else { overall };
            let scale = expected.coarseness * own;
            let difference = match &expected.computed {
                Some(some) => compare::compare_at(some, map, found, scale, encoding),
                None => compare::compare(map, found, scale, encoding),
            };
            (rank, class, difference)
        });
        let best = best.min_by(|(_, _, a), (_, _, b)| a.use_of_allowance().total_cmp(&b.use_of_allowance()));
        let Some((rank, class, map)) = best else { continue };
        figures.ties += usize::from(rank > 0);
        figures.add(&map, compared);
        if !map.passes() {
            wrong.push(describe(image, class, &map, expected, encoding));
        }
    }
    let rest = wrong.len().saturating_sub(SHOWN);
    wrong.truncate(SHOWN);
    problems.append(&mut wrong);
    if rest > 0 {
        problems.push(format!("and {rest} more maps"));
    }
    Ok(())
}

fn describe(
    image: usize,
    class: usize,
    map: &MapDifference,
    expected: &Expected,
    encoding: Encoding,
) -> String {
    let width = expected.extents[2].max(1);
    let (row, column) = (map.at / width, map.at % width);
    let size = |value: f64| if encoding.scaled { format!("{value:.1}") } else { format!("{value:.2e}") };
    let unit = if encoding.scaled { " of 255" } else { "" };
    format!(
        "image {image}, class {class}: off by {}{unit} at row {row}, column {column}; {} allowed",
        size(map.largest),
        size(map.allowed)
    )
}

/// For each image and each of its maps the classes that it may be of, the likeliest first.
fn rows(definition: &Definition, expected: &Expected) -> Result<Vec<Vec<Vec<usize>>>, String> {
    let (batch, classes) = (expected.extents[0], expected.classes);
    let targets = match &definition.method {
        Method::ActivationMap { .. } => return Ok(vec![vec![vec![0]]; batch]),
        Method::Masked { targets, .. } => targets,
        Method::ClassMaps(detector) => &detector.targets,
    };
    if expected.logits.len() != batch * classes {
        return Err(format!("{} logits for a batch of {batch}", expected.logits.len()));
    }
    Ok(match targets {
        Classes::All => vec![(0..classes).map(|class| vec![class]).collect(); batch],
        Classes::Listed(list) => {
            if let Some(class) = list.iter().find(|class| **class >= classes) {
                return Err(format!("class {class} is recorded, but there are {classes}"));
            }
            vec![list.iter().map(|class| vec![*class]).collect(); batch]
        }
        Classes::Top(count) => {
            expected.logits.chunks(classes.max(1)).map(|scores| compare::ranking(scores, *count)).collect()
        }
    })
}

/// Compares the feature vectors of one sample; problems are appended to `problems`.
///
/// # Errors
/// [`crate::Error::Runtime`] where the vectors are no numbers.
pub(super) fn compare_features(
    expected: &Expected,
    found: &Tensor,
    figures: &mut FeatureFigures,
    problems: &mut Vec<String>,
) -> Result<()> {
    let pooled = &expected.pooled;
    let shape = [expected.extents[0], pooled.channels];
    if found.shape() != shape {
        problems.push(format!("the feature vector is {found}, and should be {shape:?}"));
        return Ok(());
    }
    let means = &pooled.means;
    let values = found.values()?;
    let differences = means.iter().zip(&values).map(|(a, b)| (a - b).abs());
    let difference = differences.fold(0.0, larger);
    // Means of large values of both signs are as inexact as the values.
    let scale = magnitude(means).max(1e-3 * pooled.magnitude);
    figures.values += values.len();
    figures.largest_difference = larger(figures.largest_difference, difference);
    figures.tolerance = FEATURE_TOLERANCE;
    let tolerable = difference <= FEATURE_TOLERANCE * scale;
    if !tolerable {
        problems
            .push(format!("the feature vector is off by {difference:.3e}; its largest value is {scale:.3e}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{NodeId, OutletId};
    use crate::ir::ElementType;
    use crate::verify::definition::{Features, Kernel, Masking};
    use crate::verify::layout::Layout;
    use crate::verify::reference::{Answer, Pooled};

    fn definition(targets: Option<Classes>, element: ElementType) -> Definition {
        let outlet = OutletId::new(NodeId(0), 0);
        let features = Features {
            target: outlet,
            layout: Layout::parse("N,C,H,W").unwrap(),
            grid: None,
            extents: Vec::new(),
        };
        Definition {
            method: match targets {
                Some(targets) => {
                    let masking = Masking { kernel: Kernel::Single, prefix: false, also: Vec::new() };
                    Method::Masked { features, logits: outlet, targets, masking, smooth: false }
                }
                None => Method::ActivationMap { features },
            },
            scaling: element == ElementType::U8,
            element,
            delivered: element,
            output: "saliency_map".to_owned(),
            feature_vector: None,
            lie: None,
        }
    }

    fn expected(classes: usize, logits: &[f64], maps: &[f64]) -> Expected {
        Expected {
            coarseness: 1.0,
            extents: [1, 1, 2],
            pooled: Pooled { means: vec![1.5, 4.0], channels: 2, magnitude: 5.0 },
            logits: logits.to_vec(),
            classes,
            maps: maps.to_vec(),
            computed: None,
            answer: Answer::default(),
        }
    }

    fn run(
        definition: &Definition,
        expected: &Expected,
        shape: &[usize],
        values: &[f32],
    ) -> (MapFigures, Vec<String>) {
        let found = Tensor::from_values(definition.element, shape.to_vec(), values).unwrap();
        let (mut figures, mut problems) = (MapFigures::default(), Vec::new());
        compare_maps(definition, expected, &found, &mut figures, &mut problems).unwrap();
        (figures, problems)
    }

    const MAPS: [f64; 6] = [0.0, 1.0, 5.0, 3.0, -1.0, 2.0];
    const LOGITS: [f64; 3] = [1.0, 9.0, 4.0];

    #[test]
    fn every_class_has_its_map() {
        let expected = expected(3, &LOGITS, &MAPS);
        let all = definition(Some(Classes::All), ElementType::F32);
        let (figures, problems) = run(&all, &expected, &[1, 3, 1, 2], &[0.0, 1.0, 5.0, 3.0, -1.0, 2.0]);
        assert_eq!((figures.maps, figures.differing, problems.len()), (3, 0, 0));
        let (figures, problems) = run(&all, &expected, &[1, 3, 1, 2], &[0.0, 1.0, 5.0, 3.1, -1.0, 2.0]);
        assert_eq!((figures.wrong, figures.differing), (1, 1));
        assert_eq!(problems, ["image 0, class 1: off by 1.00e-1 at row 0, column 1; 2.05e-3 allowed"]);
    }

    #[test]
    fn logits_whose_terms_cancel_are_rounded_like_others() {
        let all = definition(Some(Classes::All), ElementType::U8);
        // The second map is off by 5 units in the last place of the logits beside it: 1.5 steps of its own range.
        let maps = [3.0, 5.0, 0.0, 1e-4, 4.0, 1.0];
        let found = [0.0, 255.0, 2.0, 255.0, 255.0, 0.0];
        assert!(run(&all, &expected(3, &LOGITS, &maps), &[1, 3, 1, 2], &found).1.is_empty());
        // With a range a hundred times as wide it would not be.
        let maps = [3.0, 5.0, 0.0, 1e-2, 4.0, 1.0];
        let (_, problems) = run(&all, &expected(3, &LOGITS, &maps), &[1, 3, 1, 2], &found);
        assert_eq!(problems, ["image 0, class 1: off by 2.0 of 255 at row 0, column 0; 1.3 allowed"]);
    }

    #[test]
    fn the_best_classes_come_first() {
        let top = definition(Some(Classes::Top(2)), ElementType::U8);
        let rows = [255.0, 0.0, 0.0, 255.0];
        assert_eq!(run(&top, &expected(3, &LOGITS, &MAPS), &[1, 2, 1, 2], &rows).1.len(), 0);
        let swapped = [0.0, 255.0, 255.0, 0.0];
        assert_eq!(run(&top, &expected(3, &LOGITS, &MAPS), &[1, 2, 1, 2], &swapped).1.len(), 2);
        // Equally good classes may stand in either order.
        let tied = expected(3, &[1.0, 9.0, 9.0], &MAPS);
        let (figures, problems) = run(&top, &tied, &[1, 2, 1, 2], &swapped);
        assert_eq!((figures.ties, problems.len()), (2, 0));
    }

    #[test]
    fn listed_classes_are_taken_as_listed() {
        let listed =
            |classes: &[usize]| definition(Some(Classes::Listed(classes.to_vec())), ElementType::F32);
        let expected = expected(3, &LOGITS, &MAPS);
        assert!(run(&listed(&[2, 0]), &expected, &[1, 2, 1, 2], &[-1.0, 2.0, 0.0, 1.0]).1.is_empty());
        let (_, problems) = run(&listed(&[3]), &expected, &[1, 1, 1, 2], &[0.0, 1.0]);
        assert_eq!(problems, ["class 3 is recorded, but there are 3"]);
    }

    #[test]
    fn maps_without_classes_have_no_axis_for_them() {
        let activation = definition(None, ElementType::F32);
        let expected = expected(1, &[], &[2.0, 3.5]);
        assert!(run(&activation, &expected, &[1, 1, 2], &[2.0, 3.5]).1.is_empty());
        let (_, problems) = run(&activation, &expected, &[1, 1, 1, 2], &[2.0, 3.5]);
        assert_eq!(problems, ["'saliency_map' is f32[1, 1, 1, 2], and should be f32[1, 1, 2]"]);
    }

    #[test]
    fn feature_vectors_are_means_over_positions() {
        let expected = expected(1, &[], &[]);
        let run = |shape: &[usize], values: &[f32]| {
            let found = Tensor::from_values(ElementType::F32, shape.to_vec(), values).unwrap();
            let mut problems = Vec::new();
            compare_features(&expected, &found, &mut FeatureFigures::default(), &mut problems).unwrap();
            problems.len()
        };
        assert_eq!(run(&[1, 2], &[1.5, 4.0]), 0);
        assert_eq!(run(&[1, 2], &[1.5, 4.01]), 1);
        assert_eq!(run(&[2], &[1.5, 4.0]), 1);
        assert_eq!(run(&[1, 2], &[1.5, f32::NAN]), 1);
    }
}
