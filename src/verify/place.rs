//! Check: positions lie where the record says.
//!
//! A patch of the input is changed where the record says that a position lies, and the features have to change there
//! more than elsewhere. That is tried at several places, none of which lies on an axis of symmetry, so that a map that
//! is mirrored, transposed, cut or shifted shows. Reads the original and the record only.

use serde::Serialize;

use super::lie::{Lie, Lines};
use super::shapes::Input;
use crate::error::Result;
use crate::ir::Course;
use crate::message::{Message, message};
use crate::runtime::Tensor;

/// Places, as shares of the grid's height and width. No two are mirror images of each other, nor across the diagonal.
const PLACES: [(f64, f64); 8] = [
    (0.10, 0.15),
    (0.20, 0.60),
    (0.30, 0.90),
    (0.50, 0.30),
    (0.65, 0.75),
    (0.85, 0.10),
    (0.90, 0.50),
    (0.40, 0.05),
];
/// A single position is everywhere.
const FEWEST_POSITIONS: usize = 2;
/// How many of all positions have to change less than the one that was meant, on average. Of a map that lies
/// elsewhere it is one half or so.
const LEAST_SHARE: f64 = 0.8;
/// How far from where it was meant a change may be at its largest, in steps of the grid and in the middle of all
/// places. Windows that reach over borders move it by a part of a step.
const MOST_STEPS: f64 = 1.5;

/// How far the largest changes may be from each other, as a multiple of what the record says and of its inverse: in the
/// middle of all pairs of places.
const MOST_STRETCH: f64 = 1.6;
/// Fewer rows or columns do not tell how far apart they are.
const FEWEST_STEPS: usize = 4;

/// Where the features changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlaceFigures {
    /// Places that were changed, over all maps.
    pub places: usize,
    /// Share of positions that changed less than the one that was meant, on average over the places of a map, in the
    /// map where it is least.
    pub share: f64,
    /// How far, in steps of the grid, the largest change is from where it was meant: the middle of all places of a map,
    /// rows before columns, in the map where it is farthest.
    pub off: [f64; 2],
    /// How far apart the largest changes are, as a multiple of what the record says, rows before columns: likewise.
    pub stretch: [f64; 2],
}

/// The maps of which a record says where they lie, in its order; `None` for what has no positions.
pub(super) type Observed = Vec<Option<Grid>>;

/// Values of a map: how they are spread over its positions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Grid {
    pub(super) height: usize,
    pub(super) width: usize,
    /// For each position all of its values.
    pub(super) values: Vec<Vec<f64>>,
}

impl Grid {
    /// How much each position differs from that of another run.
    fn changes(&self, other: &Self) -> Vec<f64> {
        let distance = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
        self.values.iter().zip(&other.values).map(distance).collect()
    }
}

/// What was found, or why nothing could be.
pub(super) enum Found {
    /// It was looked at.
    Judged(Vec<Message>, PlaceFigures),
    /// It could not be.
    Not(Message),
}

/// Changes patches of `tensors` and looks where `observe` sees it.
///
/// # Errors
/// What `observe` fails with.
pub(super) fn check(
    lie: &Lie,
    inputs: &[Input],
    tensors: &[Tensor],
    mut observe: impl FnMut(&[Tensor]) -> Result<Observed>,
) -> Result<Found> {
    let before = observe(tensors)?;
    let mut figures = PlaceFigures { share: 1.0, stretch: [1.0; 2], ..PlaceFigures::default() };
    let mut problems = Vec::new();
    for (i, (lines, grid)) in lie.maps.iter().zip(&before).enumerate() {
        let (Some(lines), Some(grid)) = (lines, grid) else { continue };
        if grid.height * grid.width < FEWEST_POSITIONS {
            continue;
        }
        let name = if lie.maps.len() > 1 { format!("scale {}: ", i + 1) } else { String::new() };
        let Some(shape) = shape_of(lie, *lines, inputs) else {
            let problem = "the record speaks of an input, or of axes of one, that the model does not have";
            problems.push(message![name, problem]);
            continue;
        };
        let mut responses = Vec::new();
        for position in positions(grid, *lines, shape) {
            let changed = changed(lie, *lines, inputs, tensors, position);
            let after = observe(&changed)?;
            let Some(Some(after)) = after.get(i) else { continue };
            responses.push((position, grid.changes(after)));
        }
        if responses.is_empty() {
            problems.push(message![name, "no position lies in the input where the record says that it does"]);
            continue;
        }
        if responses.iter().all(|(_, changes)| changes.iter().all(|change| *change == 0.0)) {
            continue;
        }
        judge(&name, grid, &responses, &mut figures, &mut problems);
    }
    if figures.places == 0 && problems.is_empty() {
        let reason = "no map has enough positions, or changes at all, so that nothing was seen";
        return Ok(Found::Not(reason.into()));
    }
    Ok(Found::Judged(problems, figures))
}

/// The shape of the input that the record speaks of.
fn shape_of<'a>(lie: &Lie, lines: Lines, inputs: &'a [Input]) -> Option<&'a [usize]> {
    let input = inputs.iter().find(|input| is_meant(lie, input))?;
    (lines.rows.axis.max(lines.columns.axis) < input.shape.len()).then_some(&*input.shape)
}

fn is_meant(lie: &Lie, input: &Input) -> bool {
    lie.input.as_ref().map_or(input.image.is_some(), |name| *name == input.name)
}

/// Rows and columns of the positions that are looked at, each once: of those that lie in the input, and not in what was
/// put around it.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn positions(grid: &Grid, lines: Lines, shape: &[usize]) -> Vec<(usize, usize)> {
    let inside = |course: Course, count: usize| -> Vec<usize> {
        let extent = shape[course.axis];
        let course = course.within(extent);
        let lies = |at: &usize| {
            let middle = course.offset + course.step * *at as f64;
            (-0.5..extent as f64 - 0.5).contains(&middle)
        };
        (0..count).filter(lies).collect()
    };
    let (rows, columns) = (inside(lines.rows, grid.height), inside(lines.columns, grid.width));
    let at = |share: f64, all: &[usize]| all.get((share * all.len() as f64) as usize).copied();
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (down, right) in PLACES {
        if let Some(position) = at(down, &rows).zip(at(right, &columns))
            && !found.contains(&position)
        {
            found.push(position);
        }
    }
    found
}

/// The inputs with a patch changed where a position is said to lie.
fn changed(
    lie: &Lie,
    lines: Lines,
    inputs: &[Input],
    tensors: &[Tensor],
    (row, column): (usize, usize),
) -> Vec<Tensor> {
    let with_patch = |(input, tensor): (&Input, &Tensor)| {
        let shape = tensor.shape();
        if !is_meant(lie, input) || lines.rows.axis.max(lines.columns.axis) >= shape.len() {
            return tensor.clone();
        }
        let down = patch(lines.rows, row, shape[lines.rows.axis]);
        let right = patch(lines.columns, column, shape[lines.columns.axis]);
        let changed = with_patch(tensor, (lines.rows.axis, down), (lines.columns.axis, right));
        // What holds no numbers that could be changed stays as it is, and then shows nothing.
        changed.unwrap_or_else(|| tensor.clone())
    };
    inputs.iter().zip(tensors).map(with_patch).collect()
}

/// The elements along an axis that belong to a position more than to its neighbours; at least one.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn patch(course: Course, position: usize, extent: usize) -> std::ops::Range<usize> {
    let course = course.within(extent);
    let middle = course.offset + course.step * position as f64;
    let half = course.step.abs() / 2.0;
    let last = extent.saturating_sub(1) as f64;
    let (first, end) = ((middle - half + 0.5).ceil(), (middle + half + 0.5).ceil());
    let first = first.clamp(0.0, last) as usize;
    first..(end.clamp(0.0, last + 1.0) as usize).max(first + 1)
}

/// A tensor with a patch set to whichever of its extremes is farther from what is there.
fn with_patch(
    tensor: &Tensor,
    (rows, down): (usize, std::ops::Range<usize>),
    (columns, right): (usize, std::ops::Range<usize>),
) -> Option<Tensor> {
    let mut values = tensor.values().ok()?;
    let (least, most) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
        (least.min(*value), most.max(*value))
    });
    let shape = tensor.shape();
    let stride = |axis: usize| shape[axis + 1..].iter().product::<usize>();
    for (i, value) in values.iter_mut().enumerate() {
        let at = |axis: usize| i / stride(axis) % shape[axis];
        if down.contains(&at(rows)) && right.contains(&at(columns)) {
            *value = if *value - least < most - *value { most } else { least };
        }
    }
    #[allow(clippy::cast_possible_truncation)]
    let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
    Tensor::from_values(tensor.element(), shape.to_vec(), &values).ok()
}

/// Judges one map by its responses: for each place the change of each position.
#[allow(clippy::cast_precision_loss)]
fn judge(
    name: &str,
    grid: &Grid,
    responses: &[((usize, usize), Vec<f64>)],
    figures: &mut PlaceFigures,
    problems: &mut Vec<Message>,
) {
    let count = responses.len() as f64;
    // Some positions change whatever is changed, and change by how much more than at other places counts as well.
    let usual: Vec<f64> = (0..grid.values.len())
        .map(|position| responses.iter().map(|(_, changes)| changes[position]).sum::<f64>() / count)
        .collect();
    let (mut share, mut rows, mut columns) = (0.0, Vec::new(), Vec::new());
    for ((row, column), changes) in responses {
        let response: Vec<f64> = changes
            .iter()
            .zip(&usual)
            .map(|(change, usual)| if *usual > 0.0 { change * change / usual } else { 0.0 })
            .collect();
        let meant = response[row * grid.width + column];
        let less = response.iter().filter(|other| **other < meant).count();
        share += less as f64 / (response.len() - 1) as f64 / count;
        let most = response.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at);
        rows.push((*row as f64, (most / grid.width) as f64));
        columns.push((*column as f64, (most % grid.width) as f64));
    }
    let off = [shift(&rows), shift(&columns)];
    let stretch = [stretch(&rows, grid.height), stretch(&columns, grid.width)];
    let beyond = |stretch: f64| stretch.max(stretch.recip()).max(0.0);
    figures.places += responses.len();
    figures.share = figures.share.min(share);
    if off[0].abs().max(off[1].abs()) > figures.off[0].abs().max(figures.off[1].abs()) {
        figures.off = off;
    }
    if stretch.map(beyond).into_iter().fold(1.0, f64::max)
        > figures.stretch.map(beyond).into_iter().fold(1.0, f64::max)
    {
        figures.stretch = stretch;
    }
    if share < LEAST_SHARE {
        problems.push(
            format!(
                "{name}where the input is changed, features should change most; of all positions only {:.0} % \
                 change less than the one that is recorded for that place, {:.0} % are needed",
                100.0 * share,
                100.0 * LEAST_SHARE
            )
            .into(),
        );
    } else if off.iter().any(|steps| steps.abs() > MOST_STEPS) {
        problems.push(
            format!(
                "{name}features change most {} rows and {} columns from where the record says that the input was \
                 changed",
                off[0], off[1]
            )
            .into(),
        );
    } else if stretch.iter().any(|stretch| !(MOST_STRETCH.recip()..=MOST_STRETCH).contains(stretch)) {
        problems.push(
            format!(
                "{name}the places where features change are {:.2} times as far apart along rows and {:.2} times along \
                 columns as the record says",
                stretch[0], stretch[1]
            )
            .into(),
        );
    }
}

/// How far what was found is from what was meant.
fn shift(pairs: &[(f64, f64)]) -> f64 {
    middle(&mut pairs.iter().map(|(meant, found)| found - meant).collect::<Vec<_>>())
}

/// How far apart what was found is, where what was meant is one apart; 1 where there are too few to tell.
fn stretch(pairs: &[(f64, f64)], count: usize) -> f64 {
    if count < FEWEST_STEPS {
        return 1.0;
    }
    let both = |(i, a): (usize, &(f64, f64))| {
        let others = pairs[i + 1..].iter().filter(|b| b.0 != a.0);
        others.map(|b| (b.1 - a.1) / (b.0 - a.0)).collect::<Vec<_>>()
    };
    let mut slopes: Vec<f64> = pairs.iter().enumerate().flat_map(both).collect();
    if slopes.is_empty() { 1.0 } else { middle(&mut slopes) }
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values {
        [] => 0.0,
        _ => f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::InputFacts;
    use crate::ir::ElementType;

    const SIDE: (usize, usize) = (24, 32);

    /// An image `[1,1,24,32]`, and where positions 4 apart are said to lie in it.
    fn lie(rows: (usize, f64, f64), columns: (usize, f64, f64)) -> Lie {
        let course = |(axis, offset, step): (usize, f64, f64)| {
            format!("axis {axis}, offset {offset}, step {step}").parse().unwrap()
        };
        let lines = Lines { rows: course(rows), columns: course(columns) };
        Lie { input: Some("x".to_owned()), maps: vec![Some(lines)] }
    }

    fn image() -> (Vec<Input>, Vec<Tensor>) {
        let shape = vec![1, 1, SIDE.0, SIDE.1];
        let values: Vec<f32> = (0..SIDE.0 * SIDE.1).map(|i| (i * 7 % 31) as f32).collect();
        let input = Input {
            name: "x".to_owned(),
            element: ElementType::F32,
            declared: String::new(),
            shape: shape.clone(),
            image: None,
            facts: InputFacts::default(),
        };
        (vec![input], vec![Tensor::from_values(ElementType::F32, shape, &values).unwrap()])
    }

    /// A model that has the mean over each 4x4 pixels and, with less weight, of all around it.
    fn blurred(tensors: &[Tensor]) -> Result<Observed> {
        let values = tensors[0].values().unwrap();
        let mean = |row: usize, column: usize| {
            let weigh = |i: usize, value: &f64| {
                let far = |at: usize, middle: f64| (at as f64 - middle).abs();
                let down = far(i / SIDE.1, 4.0 * row as f64 + 1.5);
                value * (-(down + far(i % SIDE.1, 4.0 * column as f64 + 1.5)) / 4.0).exp()
            };
            vec![values.iter().enumerate().map(|(i, value)| weigh(i, value)).sum()]
        };
        let values = (0..48).map(|position| mean(position / 8, position % 8)).collect();
        Ok(vec![Some(Grid { height: 6, width: 8, values })])
    }

    fn found(lie: &Lie) -> (Vec<String>, PlaceFigures) {
        let (inputs, tensors) = image();
        match check(lie, &inputs, &tensors, blurred).unwrap() {
            Found::Judged(problems, figures) => (problems.iter().map(ToString::to_string).collect(), figures),
            Found::Not(reason) => panic!("{reason}"),
        }
    }

    #[test]
    fn positions_lie_where_they_should() {
        let (problems, figures) = found(&lie((2, 1.5, 4.0), (3, 1.5, 4.0)));
        assert_eq!((problems.len(), figures.places, figures.off), (0, 8, [0.0, 0.0]));
        assert!(figures.share > 0.99, "{figures:?}");
    }

    #[test]
    fn what_is_mirrored_transposed_cut_or_shifted_shows() {
        for wrong in [
            lie((2, 22.5, -4.0), (3, 1.5, 4.0)),
            lie((2, 1.5, 4.0), (3, 30.5, -4.0)),
            lie((2, 22.5, -4.0), (3, 30.5, -4.0)),
            lie((3, 1.5, 4.0), (2, 1.5, 4.0)),
            lie((2, 9.5, 4.0), (3, 1.5, 4.0)),
            lie((2, 1.5, 4.0), (3, 9.5, 4.0)),
            lie((2, 1.5, 2.0), (3, 1.5, 4.0)),
        ] {
            let (problems, figures) = found(&wrong);
            assert_eq!(problems.len(), 1, "{wrong:?} {figures:?}");
        }
    }

    #[test]
    fn what_shows_nothing_is_not_judged() {
        let (inputs, tensors) = image();
        let lie = lie((2, 1.5, 4.0), (3, 1.5, 4.0));
        let constant = |_: &[Tensor]| blurred(&image().1);
        assert!(matches!(check(&lie, &inputs, &tensors, constant), Ok(Found::Not(_))));
        let small = |_: &[Tensor]| Ok(vec![Some(Grid { height: 1, width: 1, values: vec![vec![0.0]] })]);
        assert!(matches!(check(&lie, &inputs, &tensors, small), Ok(Found::Not(_))));
        let outside = self::lie((2, 99.0, 4.0), (3, 1.5, 4.0));
        let found = check(&outside, &inputs, &tensors, blurred);
        assert!(matches!(found, Ok(Found::Judged(problems, _)) if problems.len() == 1));
        let other = Lie { input: Some("y".to_owned()), ..lie };
        assert!(
            matches!(check(&other, &inputs, &tensors, blurred), Ok(Found::Judged(problems, _)) if problems.len() == 1)
        );
    }

    #[test]
    fn patches_share_the_input() {
        let course =
            |offset, step| -> Course { format!("axis 2, offset {offset}, step {step}").parse().unwrap() };
        assert_eq!([0, 1, 5].map(|i| patch(course(1.5, 4.0), i, 24)), [0..4, 4..8, 20..24]);
        assert_eq!([0, 1].map(|i| patch(course(0.0, 4.0), i, 24)), [0..3, 3..7]);
        assert_eq!(patch(course(22.5, -4.0), 0, 24), 21..24);
    }
}
