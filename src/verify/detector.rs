//! Class maps of detectors, computed from the definition.
//!
//! For each scale the class scores, times activated objectness where that is recorded; the largest over anchors,
//! resized linearly; the mean over scales; softmax over classes, or the sigmoid of a single one. Reads the record
//! and the values of the original at the recorded layers, and shares no code with what emits the branch.

use std::ops::Range;

use ndarray::{Array3, Array4, Array5, ArrayD, Axis, Ix5, IxDyn, Slice, Zip, concatenate};

use super::layout::parse_grid;
use super::place::Grid;
use super::record::Record;
use crate::graph::{Graph, OutletId};
use crate::ir::{Classes, key};
use crate::runtime::Tensor;

/// Most rows and columns that maps can have.
const MOST_PIXELS: usize = 1 << 14;

/// What is recorded of a detector's maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Detector {
    pub(super) scales: Vec<Scale>,
    /// Height and width of the maps.
    pub(super) size: (usize, usize),
    /// Classes that have a map.
    pub(super) targets: Classes,
    /// Values `[N,C,h,w]` whose means make the feature vector, where there is one.
    pub(super) features: Vec<OutletId>,
}

/// One scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scale {
    scores: Channels,
    objectness: Option<Channels>,
}

/// Some channels of a value of the original.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Channels {
    outlet: OutletId,
    /// For each axis its factors, outermost first.
    axes: Vec<Vec<Factor>>,
    grid: Option<(usize, usize)>,
    fields: Range<usize>,
    activation: Option<Activation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    Sigmoid,
    Softmax,
}

/// A factor of an axis; anchors and fields with their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Factor {
    Batch,
    Anchors(usize),
    Fields(usize),
    Height,
    Width,
}

impl Factor {
    fn parse(text: &str) -> Option<Self> {
        let count = |text: &str| text.parse().ok().filter(|count| *count > 0);
        Some(match text.split_at_checked(1)? {
            ("N", "") => Self::Batch,
            ("H", "") => Self::Height,
            ("W", "") => Self::Width,
            ("A", number) => Self::Anchors(count(number)?),
            ("K", number) => Self::Fields(count(number)?),
            _ => return None,
        })
    }

    /// Its place in `[N,A,K,h,w]`.
    fn place(self) -> usize {
        match self {
            Self::Batch => 0,
            Self::Anchors(_) => 1,
            Self::Fields(_) => 2,
            Self::Height => 3,
            Self::Width => 4,
        }
    }
}

impl Detector {
    /// Reads `scale_1`, `scale_2`, …, each with its objectness where it has one.
    ///
    /// # Errors
    /// A message where an entry is missing or makes no sense.
    pub(super) fn read(record: &Record<'_>, graph: &Graph, targets: Classes) -> Result<Self, String> {
        let size = record.required(key::SALIENCY_SIZE)?;
        let sound = |side: usize| (1..=MOST_PIXELS).contains(&side);
        let size = parse_grid(size)?.filter(|(height, width)| sound(*height) && sound(*width));
        let size =
            size.ok_or_else(|| format!("saliency_size has to be 1x1 to {MOST_PIXELS}x{MOST_PIXELS}"))?;
        let mut scales = Vec::new();
        for i in 1.. {
            let (name, objectness) = (key::numbered(key::SCALE, i), key::numbered(key::OBJECTNESS, i));
            if scales.is_empty() || record.get(&name).is_some() {
                let scores = Channels::read(record, graph, &name)?;
                let objectness = record.get(&objectness).map(|_| Channels::read(record, graph, &objectness));
                scales.push(Scale { scores, objectness: objectness.transpose()? });
            } else {
                break;
            }
        }
        let mut features = Vec::new();
        for i in 1.. {
            let name = key::numbered(key::FEATURES, i);
            if record.get(&name).is_none() {
                break;
            }
            features.push(record.outlet(graph, &name)?);
        }
        Ok(Self { scales, size, targets, features })
    }

    /// What has to be read off the original, each value once for each time that it is needed.
    pub(super) fn wanted(&self) -> Vec<OutletId> {
        let channels = self.scales.iter().flat_map(|scale| [Some(&scale.scores), scale.objectness.as_ref()]);
        let maps = channels.flatten().map(|channels| channels.outlet);
        maps.chain(self.features.iter().copied()).collect()
    }

    /// How the scores of each scale are spread over its positions, from the values of [`Detector::wanted`].
    ///
    /// # Errors
    /// A message where values and record contradict each other.
    pub(super) fn grids(&self, values: &mut impl Iterator<Item = Tensor>) -> Result<Vec<Grid>, String> {
        let mut grids = Vec::new();
        for scale in &self.scales {
            let scores = scale.scores.take(values)?;
            if scale.objectness.is_some() {
                values.next();
            }
            let (height, width) = (scores.len_of(Axis(3)), scores.len_of(Axis(4)));
            let at = |position: usize| {
                let row = scores.index_axis(Axis(3), position / width);
                row.index_axis_move(Axis(3), position % width).iter().copied().collect()
            };
            grids.push(Grid { height, width, values: (0..height * width).map(at).collect() });
        }
        Ok(grids)
    }

    /// The largest score of each class anywhere, `[N,classes]`: as they are recorded, as their sigmoids, as the
    /// softmax over classes at each position, and as their roots. Multiplied scores are activated already.
    ///
    /// # Errors
    /// A message where values and record contradict each other.
    pub(super) fn best(&self, values: &mut impl Iterator<Item = Tensor>) -> Result<Vec<Vec<f64>>, String> {
        let mut best: Vec<ndarray::Array2<f64>> = Vec::new();
        for scale in &self.scales {
            // The softmax is over all fields, a background class among them.
            let mut all = scale.scores.clone();
            all.fields = 0..all.count();
            let tensor = values.next().ok_or("a value of the original is missing")?;
            let mut own = scale.scores.take(&mut std::iter::once(tensor.clone()))?;
            let mut soft = all.take(&mut std::iter::once(tensor))?;
            soft.lanes_mut(Axis(2)).into_iter().for_each(softmax);
            soft.slice_axis_inplace(Axis(2), Slice::from(scale.scores.fields.clone()));
            if let Some(objectness) = &scale.objectness {
                let factor = objectness.take(values)?;
                let factor = factor.broadcast(own.dim()).ok_or("objectness does not fit class scores")?;
                own *= &factor;
            }
            let kinds = [own.clone(), own.mapv(sigmoid), soft, own.mapv(|score| score.max(0.0).sqrt())];
            let here = kinds.map(|scores| largest(&largest(&largest(&scores, Axis(1)), Axis(3)), Axis(2)));
            match best.is_empty() {
                true => best.extend(here),
                false => {
                    for (best, here) in best.iter_mut().zip(&here) {
                        if best.dim() != here.dim() {
                            return Err("scales have different numbers of classes".to_owned());
                        }
                        Zip::from(best).and(here).for_each(|best, here| *best = best.max(*here));
                    }
                }
            }
        }
        Ok(best.into_iter().map(|best| best.iter().copied().collect()).collect())
    }

    /// The maps `[N,classes,H,W]`, and the best score of each class anywhere `[N,classes]`, from the values of
    /// [`Detector::wanted`].
    ///
    /// # Errors
    /// A message where values and record contradict each other.
    pub(super) fn maps(
        &self,
        values: &mut impl Iterator<Item = Tensor>,
    ) -> Result<(Array4<f64>, Vec<f64>), String> {
        let mut sum: Option<Array4<f64>> = None;
        let mut best: Option<ndarray::Array2<f64>> = None;
        for scale in &self.scales {
            let mut scores = scale.scores.take(values)?;
            if let Some(objectness) = &scale.objectness {
                let factor = objectness.take(values)?;
                let factor = factor.broadcast(scores.dim()).ok_or_else(|| {
                    format!("objectness {:?} does not fit class scores {:?}", factor.shape(), scores.shape())
                })?;
                scores *= &factor;
            }
            let scores = largest(&scores, Axis(1));
            let here = largest(&largest(&scores, Axis(3)), Axis(2));
            let resized = resize(&scores, self.size);
            match &mut sum {
                Some(sum) if sum.dim() == resized.dim() => *sum += &resized,
                Some(sum) => {
                    return Err(format!(
                        "scales of {:?} and {:?} do not go together",
                        sum.shape(),
                        resized.shape()
                    ));
                }
                None => sum = Some(resized),
            }
            match &mut best {
                Some(best) => Zip::from(best).and(&here).for_each(|best, here| *best = best.max(*here)),
                None => best = Some(here),
            }
        }
        let (mut maps, best) = sum.zip(best).ok_or("there are no scales")?;
        // Scales are few.
        #[allow(clippy::cast_precision_loss)]
        let count = self.scales.len() as f64;
        maps /= count;
        if maps.len_of(Axis(1)) == 1 {
            maps.mapv_inplace(sigmoid);
        } else {
            for lane in maps.lanes_mut(Axis(1)) {
                softmax(lane);
            }
        }
        Ok((maps, best.into_raw_vec_and_offset().0))
    }

    /// The means of the features over positions, side by side: `[N, sum of C]` and their largest magnitude.
    ///
    /// # Errors
    /// A message where a value is no map.
    pub(super) fn pooled(
        &self,
        values: &mut impl Iterator<Item = Tensor>,
    ) -> Result<(Vec<f64>, usize, f64), String> {
        let mut means = Vec::new();
        let mut largest = 0.0f64;
        for tensor in values.take(self.features.len()) {
            let array = array(&tensor)?
                .into_dimensionality::<ndarray::Ix4>()
                .map_err(|_| format!("features of shape {:?} are no map", tensor.shape()))?;
            largest = array.iter().fold(largest, |most, value| most.max(value.abs()));
            means.push(
                array.mean_axis(Axis(3)).and_then(|rows| rows.mean_axis(Axis(2))).ok_or("an empty map")?,
            );
        }
        let views: Vec<_> = means.iter().map(|means| means.view()).collect();
        let means = concatenate(Axis(1), &views).map_err(|error| format!("features: {error}"))?;
        let channels = means.len_of(Axis(1));
        Ok((means.iter().copied().collect(), channels, largest))
    }
}

impl Channels {
    fn read(record: &Record<'_>, graph: &Graph, name: &str) -> Result<Self, String> {
        let layout = record.required(&key::layout_of(name))?;
        let axis =
            |axis: &str| axis.split('*').map(|factor| Factor::parse(factor.trim())).collect::<Option<_>>();
        let axes: Option<Vec<Vec<Factor>>> = layout.split(',').map(axis).collect();
        let axes = axes.ok_or_else(|| {
            format!("{name}_layout '{layout}' has a factor that is none of N, A<count>, K<count>, H and W")
        })?;
        let count = |place| axes.iter().flatten().filter(|factor| factor.place() == place).count();
        if [0, 2, 3, 4].iter().any(|place| count(*place) != 1) {
            return Err(format!("{name}_layout '{layout}' must name N, K, H and W once each"));
        }
        let fields = record.required(&key::fields_of(name))?;
        let wrong = || format!("{name}_fields '{fields}' is not of the form 0..24");
        let (start, end) = fields.split_once("..").ok_or_else(wrong)?;
        let range = start.parse().ok().zip(end.parse().ok()).map(|(start, end)| start..end);
        let activation = match record.get(&key::activation_of(name)) {
            None => None,
            Some("sigmoid") => Some(Activation::Sigmoid),
            Some("softmax") => Some(Activation::Softmax),
            Some(other) => return Err(format!("{name}_activation '{other}' is neither sigmoid nor softmax")),
        };
        Ok(Self {
            outlet: record.outlet(graph, name)?,
            axes,
            grid: parse_grid(record.required(&key::grid_of(name))?)?,
            fields: range.filter(|range| range.start < range.end).ok_or_else(wrong)?,
            activation,
        })
    }

    /// Fields of each anchor.
    fn count(&self) -> usize {
        let fields = |factor: &Factor| if let Factor::Fields(count) = factor { Some(*count) } else { None };
        self.axes.iter().flatten().find_map(fields).unwrap_or(self.fields.end)
    }

    /// The channels in the next value, `[N,A,K,h,w]`, activated where that is recorded.
    fn take(&self, values: &mut impl Iterator<Item = Tensor>) -> Result<Array5<f64>, String> {
        let tensor = values.next().ok_or("a value of the original is missing")?;
        let wrong =
            || format!("a class map of shape {:?} is not laid out as {:?}", tensor.shape(), self.axes);
        if tensor.shape().len() != self.axes.len() {
            return Err(wrong());
        }
        let (mut shape, mut places) = (Vec::new(), Vec::new());
        for (factors, &extent) in self.axes.iter().zip(tensor.shape()) {
            for factor in factors {
                let grid = |side: fn((usize, usize)) -> usize| self.grid.map(side);
                let size = match factor {
                    Factor::Anchors(count) | Factor::Fields(count) => Some(*count),
                    _ if factors.len() == 1 => Some(extent),
                    Factor::Height => grid(|grid| grid.0),
                    Factor::Width => grid(|grid| grid.1),
                    Factor::Batch => None,
                };
                shape.push(size.ok_or_else(wrong)?);
                places.push(factor.place());
            }
        }
        // Anchors may be on several axes; there they are in order, and one is enough where there are none.
        let array = array(&tensor)?.into_shape_with_order(IxDyn(&shape)).map_err(|_| wrong())?;
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(|axis| places[*axis]);
        let mut sizes = [1; 5];
        for (place, size) in places.iter().zip(&shape) {
            sizes[*place] *= size;
        }
        let array = array.permuted_axes(IxDyn(&order)).as_standard_layout().into_owned();
        let array = array.into_shape_with_order(IxDyn(&sizes)).map_err(|_| wrong())?;
        let mut array = array.into_dimensionality::<Ix5>().map_err(|_| wrong())?;
        if self.fields.end > array.len_of(Axis(2)) {
            return Err(wrong());
        }
        array.slice_axis_inplace(Axis(2), Slice::from(self.fields.clone()));
        match self.activation {
            None => {}
            Some(Activation::Sigmoid) => array.mapv_inplace(sigmoid),
            Some(Activation::Softmax) => array.lanes_mut(Axis(2)).into_iter().for_each(softmax),
        }
        Ok(array)
    }
}

fn array(tensor: &Tensor) -> Result<ArrayD<f64>, String> {
    let values = tensor.values().map_err(|error| error.to_string())?;
    ArrayD::from_shape_vec(IxDyn(tensor.shape()), values).map_err(|error| error.to_string())
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softmax(mut lane: ndarray::ArrayViewMut1<'_, f64>) {
    let most = lane.fold(f64::NEG_INFINITY, |most, value| most.max(*value));
    lane.mapv_inplace(|value| (value - most).exp());
    let sum = lane.sum();
    lane /= sum;
}

/// The largest along an axis, which goes.
fn largest<D: ndarray::RemoveAxis>(
    array: &ndarray::Array<f64, D>,
    axis: Axis,
) -> ndarray::Array<f64, D::Smaller> {
    array.fold_axis(axis, f64::NEG_INFINITY, |most, value| most.max(*value))
}

/// Resizes the last two axes. The new position i stands at (i + 1/2) / new * old - 1/2 of the old ones, cut to
/// where there are some, and takes its value from the nearest two in proportion.
fn resize(maps: &Array4<f64>, size: (usize, usize)) -> Array4<f64> {
    let (batch, classes, height, width) = maps.dim();
    let mut rows = Array4::zeros((batch, classes, size.0, width));
    for (new, (low, high, part)) in places(height, size.0).into_iter().enumerate() {
        let low: Array3<f64> = maps.index_axis(Axis(2), low).to_owned();
        let row = low * (1.0 - part) + &maps.index_axis(Axis(2), high) * part;
        rows.index_axis_mut(Axis(2), new).assign(&row);
    }
    let mut resized = Array4::zeros((batch, classes, size.0, size.1));
    for (new, (low, high, part)) in places(width, size.1).into_iter().enumerate() {
        let low: Array3<f64> = rows.index_axis(Axis(3), low).to_owned();
        let column = low * (1.0 - part) + &rows.index_axis(Axis(3), high) * part;
        resized.index_axis_mut(Axis(3), new).assign(&column);
    }
    resized
}

/// For each new position the two old ones, and the part that the second has.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn places(old: usize, new: usize) -> Vec<(usize, usize, f64)> {
    let last = old.saturating_sub(1);
    let place = |i: usize| {
        let at = (i as f64 + 0.5) * old as f64 / new as f64 - 0.5;
        let at = at.clamp(0.0, last as f64);
        let low = (at.floor() as usize).min(last);
        (low, (low + 1).min(last), at - low as f64)
    };
    (0..new).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::NodeId;
    use crate::ir::ElementType;

    fn channels(layout: &str, fields: Range<usize>) -> Channels {
        let axes = layout.split(',').map(|axis| axis.split('*').map(|f| Factor::parse(f).unwrap()).collect());
        let outlet = OutletId::new(NodeId(0), 0);
        Channels { outlet, axes: axes.collect(), grid: None, fields, activation: None }
    }

    fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::from_values(ElementType::F32, shape.to_vec(), values).unwrap()
    }

    #[test]
    fn channels_are_anchors_times_fields_in_the_order_of_the_layout() {
        let values: Vec<f32> = (0..12u8).map(f32::from).collect();
        let take = |layout, shape: &[usize], fields| {
            channels(layout, fields).take(&mut std::iter::once(tensor(shape, &values)))
        };
        let anchors_first = take("N,A2*K3,H,W", &[1, 6, 1, 2], 1..3).unwrap();
        assert_eq!(anchors_first.dim(), (1, 2, 2, 1, 2));
        assert_eq!(
            anchors_first.iter().copied().collect::<Vec<_>>(),
            [2.0, 3.0, 4.0, 5.0, 8.0, 9.0, 10.0, 11.0]
        );
        let fields_first = take("N,H,W,K3*A2", &[1, 1, 2, 6], 0..1).unwrap();
        assert_eq!(fields_first.iter().copied().collect::<Vec<_>>(), [0.0, 6.0, 1.0, 7.0]);
        assert!(take("N,A2*K3,H,W", &[1, 6, 2], 0..3).is_err());
        assert!(take("N,A2*K4,H,W", &[1, 6, 1, 2], 0..3).is_err());
        assert!(take("N,A2*K3,H,W", &[1, 6, 1, 2], 0..4).is_err());
    }

    #[test]
    fn new_positions_stand_between_the_centres_of_old_ones() {
        let maps = Array4::from_shape_vec((1, 1, 1, 2), vec![0.0, 4.0]).unwrap();
        let wide = resize(&maps, (2, 4));
        assert_eq!(wide.iter().copied().collect::<Vec<_>>(), [0.0, 1.0, 3.0, 4.0, 0.0, 1.0, 3.0, 4.0]);
        let narrow = resize(&maps, (1, 1));
        assert_eq!(narrow[[0, 0, 0, 0]], 2.0);
    }

    #[test]
    fn objectness_multiplies_before_the_best_anchor_is_taken() {
        let scale =
            Scale { scores: channels("N,A2*K2,H,W", 0..2), objectness: Some(channels("N,A2*K1,H,W", 0..1)) };
        let detector =
            Detector { scales: vec![scale], size: (1, 1), targets: Classes::All, features: Vec::new() };
        let scores = tensor(&[1, 4, 1, 1], &[1.0, 2.0, 3.0, 1.0]);
        let objectness = tensor(&[1, 2, 1, 1], &[1.0, 0.5]);
        let (maps, best) = detector.maps(&mut [scores, objectness].into_iter()).unwrap();
        assert_eq!(best, [1.5, 2.0]);
        let expected = 1.0 / (1.0 + 0.5f64.exp());
        assert!((maps[[0, 0, 0, 0]] - expected).abs() < 1e-12);
    }

    #[test]
    fn a_single_class_is_not_constant() {
        let scale = Scale { scores: channels("N,K1,H,W", 0..1), objectness: None };
        let detector =
            Detector { scales: vec![scale], size: (1, 2), targets: Classes::All, features: Vec::new() };
        let (maps, _) = detector.maps(&mut std::iter::once(tensor(&[1, 1, 1, 2], &[0.0, 100.0]))).unwrap();
        assert_eq!(maps.iter().copied().collect::<Vec<_>>(), [0.5, 1.0]);
    }
}
