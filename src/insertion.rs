//! A model with its branch in memory; and the way back.

use crate::error::{Error, Result};
use crate::ir::{Destination, PendingFile, Record, Splice};
use crate::model::Model;
use crate::patch::{Dump, Finished};
use crate::report::Report;
use crate::tasks::Subject;

/// What came of [`insert`](crate::insert()).
#[derive(Debug)]
pub enum Outcome<'m> {
    /// A branch was built.
    Inserted(Box<Insertion<'m>>),
    /// The model has an output of the wanted name already, and was left alone.
    AlreadyThere {
        /// That name.
        output: String,
    },
}

/// A model with its branch, ready to be written.
#[derive(Debug)]
pub struct Insertion<'m> {
    model: &'m Model,
    patch: Finished,
    subject: Subject,
    report: Report,
    #[cfg_attr(not(feature = "explain"), expect(dead_code, reason = "only explanations ask"))]
    record: Record,
    xml: Vec<u8>,
    tail: Vec<u8>,
}

impl<'m> Insertion<'m> {
    /// Emits a finished patch.
    pub(crate) fn new(
        model: &'m Model,
        subject: &Subject,
        patch: Finished,
        mut report: Report,
        record: Record,
    ) -> Self {
        let bin_bytes = model.weights().len();
        let (mut splice, tail) = patch.emit(model.graph(), bin_bytes);
        splice.record = record.clone();
        let xml = splice.apply(model.document(), bin_bytes);
        report.added.xml_bytes = xml.len() - model.document().bytes().len();
        report.added.bin_bytes = tail.len();
        Self { model, patch, subject: subject.clone(), report, record, xml, tail }
    }

    /// What was done.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What is explained.
    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// An entry of what is recorded in the model.
    #[cfg(feature = "explain")]
    pub(crate) fn recorded(&self, key: &str) -> Option<&str> {
        self.record.entries().iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The added graph, for people.
    pub fn dump(&self) -> Dump<'_> {
        Dump { graph: self.model.graph(), patch: &self.patch }
    }

    /// The new XML.
    pub fn xml(&self) -> &[u8] {
        &self.xml
    }

    /// What is appended to the BIN: padding and constants.
    pub fn bin_tail(&self) -> &[u8] {
        &self.tail
    }

    /// Writes the new model.
    ///
    /// # Errors
    /// As [`Destination::write`].
    pub fn write(&self, destination: &Destination) -> Result<()> {
        let weights = self.model.weights();
        if let Some(bytes) = weights.in_memory() {
            let whole = [bytes, &self.tail].concat();
            return destination.write(&self.xml, PendingFile { source: None, prefix: 0, tail: &whole });
        }
        let bin =
            PendingFile { source: Some(weights.path()), prefix: weights.len() as u64, tail: &self.tail };
        destination.write(&self.xml, bin)
    }
}

/// The model as it was before a branch was added to it: its XML, and the size of its BIN.
///
/// # Errors
/// [`Error::Usage`] where no branch is recorded, or the file was rewritten since.
pub fn remove(model: &Model) -> Result<(Vec<u8>, u64)> {
    let (xml, bin) = Splice::remove(model.document())?;
    if bin > model.weights().len() {
        let message =
            format!("{}: shorter than before the branch was added", model.weights().path().display());
        return Err(Error::usage(message));
    }
    Ok((xml, bin as u64))
}
