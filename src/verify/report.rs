//! What was found, for people and for programs.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::check::{Check, Outcome};
use super::compare::MapFigures;
use super::cost::CostFigures;
use super::drift::DriftFigures;
use super::meaning::MeaningFigures;
use super::outputs::OutputFigures;
use super::place::PlaceFigures;
use super::structure::StructureFigures;
use crate::message::Words;
use crate::preprocess::Preprocessing;

/// An input as it was fed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputReport {
    /// Layer name.
    pub name: String,
    /// Element type.
    pub element: String,
    /// Shape as the model declares it; `?` is open.
    pub declared: String,
    /// Shape in use.
    pub shape: Vec<usize>,
    /// What was fed: `image` (the file), `random image` or `random`.
    pub content: &'static str,
    /// What was done to the file.
    pub preprocessing: Option<Preprocessing>,
}

/// The runtime that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuntimeReport {
    /// Its build number.
    pub version: String,
    /// The library that was loaded.
    #[serde(serialize_with = "crate::place::lossy")]
    pub library: PathBuf,
    /// The device.
    pub device: String,
}

/// What the model says of its branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordReport {
    /// Version of the tool that added it.
    pub version: Option<String>,
    /// Method.
    pub method: String,
    /// Layer of the feature map.
    pub target: Option<String>,
    /// Its axes.
    pub layout: Option<String>,
    /// Its grid of positions.
    pub grid: Option<String>,
    /// Classes that have a map.
    pub targets: Option<String>,
    /// What became of the quantization of activations; absent where the head has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantized: Option<String>,
    /// Class maps of a detector, scale by scale.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scales: Vec<String>,
    /// Height and width of a detector's saliency maps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
}

/// How feature vectors compare, over all samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FeatureFigures {
    /// Values that were compared.
    pub values: usize,
    /// Largest absolute difference.
    pub largest_difference: f64,
    /// What the difference may be, as a share of the largest value.
    pub tolerance: f64,
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Path of the original.
    #[serde(serialize_with = "crate::place::lossy")]
    pub original: PathBuf,
    /// Path of the model with the branch.
    #[serde(serialize_with = "crate::place::lossy")]
    pub model: PathBuf,
    /// Outcome of all checks together.
    pub outcome: Outcome,
    /// What the model says of its branch.
    pub record: Option<RecordReport>,
    /// The runtime, where there is one.
    pub runtime: Option<RuntimeReport>,
    /// The inputs, where the models were run.
    pub inputs: Vec<InputReport>,
    /// Sets of inputs that the models were run on.
    pub samples: usize,
    /// Check 1: the original is still there.
    pub structure: Check<StructureFigures>,
    /// Check 2: its outputs are what they were.
    pub outputs: Check<OutputFigures>,
    /// Check 3: the maps are those of the definition.
    pub saliency: Check<MapFigures>,
    /// Check 3 for the feature vector, where one was added.
    pub feature_vector: Option<Check<FeatureFigures>>,
    /// Whether what was explained is what the model answers, where maps explain scores.
    pub meaning: Option<Check<MeaningFigures>>,
    /// How maps drift where the device computes as it does by default, where that was asked for.
    pub precision: Option<Check<DriftFigures>>,
    /// Check 4: positions lie where the record says.
    pub place: Check<PlaceFigures>,
    /// Check 5: what the branch costs, where that was asked for.
    pub cost: Option<Check<CostFigures>>,
    /// Whether differences of maps are in steps of 255.
    pub scaled: bool,
}

impl Report {
    /// The report with settings called by somebody's names.
    #[must_use]
    pub fn in_words(self, words: Words) -> Self {
        Self {
            structure: self.structure.in_words(words),
            outputs: self.outputs.in_words(words),
            saliency: self.saliency.in_words(words),
            feature_vector: self.feature_vector.map(|check| check.in_words(words)),
            meaning: self.meaning.map(|check| check.in_words(words)),
            precision: self.precision.map(|check| check.in_words(words)),
            place: self.place.in_words(words),
            cost: self.cost.map(|check| check.in_words(words)),
            ..self
        }
    }

    /// Sums up: failed where anything failed, else not checked where anything could not be.
    pub(super) fn sum_up(&mut self) {
        let outcomes = [
            Some(self.structure.outcome),
            Some(self.outputs.outcome),
            Some(self.saliency.outcome),
            self.feature_vector.as_ref().map(|check| check.outcome),
            self.meaning.as_ref().map(|check| check.outcome),
            self.precision.as_ref().map(|check| check.outcome),
            Some(self.place.outcome),
            self.cost.as_ref().map(|check| check.outcome),
        ];
        let has = |wanted| outcomes.iter().flatten().any(|outcome| *outcome == wanted);
        self.outcome = if has(Outcome::Failed) {
            Outcome::Failed
        } else if has(Outcome::NotChecked) {
            Outcome::NotChecked
        } else {
            Outcome::Passed
        };
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(record) = &self.record {
            write!(f, "method      {}", record.method)?;
            if !record.scales.is_empty() {
                write!(f, ", {} scales", record.scales.len())?;
            }
            let entries = [
                ("target", &record.target),
                ("layout", &record.layout),
                ("grid", &record.grid),
                ("size", &record.size),
                ("quantization", &record.quantized),
            ];
            for (name, value) in entries {
                if let Some(value) = value {
                    write!(f, ", {name} {value}")?;
                }
            }
            if let Some(targets) = &record.targets {
                write!(f, ", classes {targets}")?;
            }
            writeln!(f)?;
        }
        if let Some(runtime) = &self.runtime {
            writeln!(f, "runtime     OpenVINO {}, {}", runtime.version, runtime.device)?;
        }
        for input in &self.inputs {
            write!(f, "input       {}: {} {:?}", input.name, input.element, input.shape)?;
            let fixed = input.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
            if input.declared != fixed {
                write!(f, " chosen for [{}]", input.declared)?;
            }
            writeln!(f, ", {}", input.content)?;
            if let Some(preprocessing) = &input.preprocessing {
                writeln!(f, "preprocess  {preprocessing}")?;
            }
        }
        line(f, "structure", &self.structure)?;
        line(f, "outputs", &self.outputs)?;
        let unit = if self.scaled { " of 255" } else { "" };
        line(f, "saliency", &with_unit(&self.saliency, unit))?;
        if let Some(check) = &self.feature_vector {
            line(f, "features", check)?;
        }
        if let Some(check) = &self.meaning {
            line(f, "meaning", check)?;
        }
        line(f, "place", &self.place)?;
        if let Some(check) = &self.precision {
            line(f, "precision", check)?;
        }
        if let Some(check) = &self.cost {
            line(f, "cost", check)?;
        }
        Ok(())
    }
}

struct WithUnit<'a>(&'a MapFigures, &'static str);

fn with_unit<'a>(check: &'a Check<MapFigures>, unit: &'static str) -> Check<WithUnit<'a>> {
    Check {
        outcome: check.outcome,
        problems: check.problems.clone(),
        figures: check.figures.as_ref().map(|figures| WithUnit(figures, unit)),
    }
}

fn line<T: fmt::Display>(f: &mut fmt::Formatter<'_>, name: &str, check: &Check<T>) -> fmt::Result {
    write!(f, "{name:<12}{}", check.outcome)?;
    if let Some(figures) = &check.figures {
        write!(f, ": {figures}")?;
    }
    for problem in &check.problems {
        write!(f, "\n            {problem}")?;
    }
    writeln!(f)
}

impl fmt::Display for StructureFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} layers, {} edges and {} bytes of weights compared; added {} layers, {} edges, {} bytes of weights, {} bytes of XML",
            self.layers,
            self.edges,
            self.weight_bytes,
            self.added_layers,
            self.added_edges,
            self.added_weight_bytes,
            self.added_xml_bytes
        )
    }
}

impl fmt::Display for OutputFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} values identical in {} output{}, largest difference {:.1e}, relative {:.1e} ({:.0e} allowed)",
            self.identical,
            self.values,
            self.outputs,
            if self.outputs == 1 { "" } else { "s" },
            self.largest_difference,
            self.largest_relative_difference,
            self.tolerance
        )
    }
}

impl fmt::Display for WithUnit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WithUnit(figures, unit) = self;
        if figures.maps == 0 {
            return f.write_str("nothing to compare");
        }
        #[allow(clippy::cast_precision_loss)]
        let share = 100.0 * figures.differing as f64 / figures.values.max(1) as f64;
        write!(
            f,
            "{} maps, largest difference {:.3e}{unit}, {share:.3}% of {} values differ",
            figures.maps, figures.largest_difference, figures.values
        )?;
        let [compared, all] = figures.positions;
        if compared < all {
            write!(f, ", at {compared} of {all} positions")?;
        }
        for (count, what) in [
            (figures.wrong, "wrong"),
            (figures.flat, "flat to within rounding"),
            (figures.undefined, "undefined"),
            (figures.ties, "of an equally good class"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for FeatureFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values, largest difference {:.1e}", self.values, self.largest_difference)
    }
}

impl fmt::Display for DriftFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = self.precision.as_deref().unwrap_or("the device's default");
        write!(
            f,
            "{precision} against f32: {} maps, correlation {:.3}, difference {:.1} of 255 in the mean and {:.1} at most, \
             {:.0} % of peaks equal",
            self.maps,
            self.correlation,
            self.mean_difference,
            self.largest_difference,
            100.0 * self.equal_peaks
        )
    }
}

impl fmt::Display for MeaningFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.output {
            Some(output) => write!(f, "{} scores held against output {output}", self.scores)?,
            None => write!(f, "{} scores", self.scores)?,
        }
        match self.contradicting {
            0 => Ok(()),
            count => write!(f, ", {count} contradict it"),
        }
    }
}

impl fmt::Display for PlaceFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, columns] = self.off;
        write!(
            f,
            "{} places, {:.1} % of positions change less than the one that is recorded, the most off by {rows} rows and \
             {columns} columns",
            self.places,
            100.0 * self.share
        )
    }
}

impl fmt::Display for CostFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "x{:.3}, {:.3} ms instead of {:.3} ms (medians of {} runs in turns)",
            self.ratio, self.model_ms, self.original_ms, self.runs
        )
    }
}
