//! A base beside its differences, so that arithmetic can meet both; and values made of the two.

use super::context::Context;
use super::form::{Form, Rows};
use super::why::Why;
use crate::graph::{OpKind, OutletId, Size};

/// Differences and their base in one layout, in which they broadcast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Laid {
    /// The differences.
    pub(super) rows: OutletId,
    /// What they differ from.
    pub(super) base: OutletId,
    layout: Layout,
}

/// Where the axes of the original are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `[N,C,h,w]`, the channels of a vector second.
    PerPosition,
    /// As the original, with copies in the place of the batch: the base of one sample meets all of them.
    Copies,
    /// As the original, with as many axes more behind that of the batch: `[N,K,..]` or `[N,K,g,..]`.
    Split { batch: usize, more: usize },
}

impl Laid {
    /// Lays out the pair that stands for `outlet`.
    pub(super) fn new(cx: &mut Context<'_, '_>, outlet: OutletId) -> Result<Self, Why> {
        match cx.form(outlet) {
            Some(Form::PerPosition(Rows { outlet: rows, base: Some(base) })) => {
                let (batch, channel) = cx.view().vector(outlet)?;
                let hint = cx.hint(outlet, "base");
                let order: Vec<usize> = [batch, channel]
                    .into_iter()
                    .chain((0..cx.patch.fact(base).rank()).filter(|axis| ![batch, channel].contains(axis)))
                    .collect();
                let base = cx.patch.transpose(&hint, base, &order);
                let mut sizes = cx.patch.sizes(base);
                sizes.truncate(2);
                sizes.extend([Size::Fixed(1), Size::Fixed(1)]);
                let base = cx.patch.reshape(&hint, base, &sizes);
                Ok(Self { rows, base, layout: Layout::PerPosition })
            }
            Some(Form::Dense(Rows { outlet: rows, base: Some(base) })) => {
                Self::copies(cx, outlet, rows, base)
            }
            _ => Err(Why::NoDifference),
        }
    }

    fn copies(
        cx: &mut Context<'_, '_>,
        outlet: OutletId,
        rows: OutletId,
        base: OutletId,
    ) -> Result<Self, Why> {
        let batch = cx.view().batch(outlet)?;
        if cx.patch.fact(base).shape[batch].is_one() {
            return Ok(Self { rows, base, layout: Layout::Copies });
        }
        let (samples, groups) = cx.view().batch_and_groups(outlet)?;
        let (hint, one) = (cx.hint(outlet, "base"), Size::Fixed(1));
        let within = (groups != one).then(|| groups.clone());
        let split = |k: Size| [samples.clone(), k].into_iter().chain(within.clone()).collect::<Vec<_>>();
        let sizes = cx.view().original_sizes(outlet);
        let around = |middle: Vec<Size>| [&sizes[..batch], &middle, &sizes[batch + 1..]].concat();
        let rows = cx.patch.reshape(&hint, rows, &around(split(cx.view().k())));
        let base = cx.patch.reshape(&hint, base, &around(split(one)));
        let more = if within.is_some() { 2 } else { 1 };
        Ok(Self { rows, base, layout: Layout::Split { batch, more } })
    }

    /// Where an axis of the original is that is not the batch's.
    pub(super) fn axis(self, axis: usize) -> usize {
        match self.layout {
            Layout::PerPosition => 1,
            Layout::Split { batch, more } if axis > batch => axis + more,
            Layout::Copies | Layout::Split { .. } => axis,
        }
    }

    /// Whether two pairs have their axes at the same places.
    pub(super) fn alike(self, other: Self) -> bool {
        self.layout == other.layout
    }

    /// Rows in this layout as those that stand for `outlet`.
    pub(super) fn back(
        self,
        cx: &mut Context<'_, '_>,
        outlet: OutletId,
        rows: OutletId,
    ) -> Result<OutletId, Why> {
        match self.layout {
            Layout::PerPosition | Layout::Copies => Ok(rows),
            Layout::Split { .. } => {
                let (hint, sizes) = (cx.hint(outlet, "rows"), cx.view().copies_sizes(outlet)?);
                Ok(cx.patch.reshape(&hint, rows, &sizes))
            }
        }
    }
}

/// Makes values of the differences that stand for `outlet`, where they are differences.
pub(super) fn whole(cx: &mut Context<'_, '_>, outlet: OutletId) -> Result<(), Why> {
    let Some(form) = cx.form(outlet) else { return Ok(()) };
    if form.rows().is_none_or(|rows| rows.base.is_none()) {
        return Ok(());
    }
    let laid = Laid::new(cx, outlet)?;
    let hint = cx.hint(outlet, "whole");
    let sum = cx.patch.binary(&hint, OpKind::Add, laid.rows, laid.base);
    let rows = Rows::values(laid.back(cx, outlet, sum)?);
    let form = match form {
        Form::PerPosition(_) => Form::PerPosition(rows),
        _ => Form::Dense(rows),
    };
    cx.values.forms.insert(outlet, form);
    Ok(())
}
