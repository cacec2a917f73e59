//! Damage to a model: changes of the text that keep it an IR more often than changes of bytes do.

use std::ops::Range;

use arbitrary::{Arbitrary, Result, Unstructured};

/// Numbers that are often forgotten.
pub const EXTREMES: [&str; 12] = [
    "0",
    "1",
    "-1",
    "2",
    "-2",
    "7",
    "64",
    "4096",
    "2147483647",
    "281474976710656",
    "9223372036854775807",
    "18446744073709551615",
];

/// Operations that are given to layers with inputs.
pub const KINDS: [&str; 33] = [
    "Add",
    "Multiply",
    "Divide",
    "Power",
    "Select",
    "FakeQuantize",
    "ReLU",
    "Gelu",
    "PRelu",
    "Clamp",
    "Convert",
    "ReduceMean",
    "ReduceMax",
    "ReduceSum",
    "AvgPool",
    "MaxPool",
    "Convolution",
    "GroupConvolution",
    "MatMul",
    "ScaledDotProductAttention",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Concat",
    "Split",
    "VariadicSplit",
    "Slice",
    "StridedSlice",
    "Gather",
    "Pad",
    "Softmax",
    "MVN",
    "Broadcast",
];

/// A place, as a share of however many there are.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct At(pub u32);

impl At {
    /// Which of `count` places; 0 where there is none.
    pub fn index(self, count: usize) -> usize {
        let scaled = (u64::from(self.0) * count as u64) >> 32;
        usize::try_from(scaled).expect("it is below the count")
    }
}

/// A change; places are shares of what there is.
#[derive(Debug, Clone, Arbitrary)]
pub enum Mutation {
    /// Bytes, without regard for what they mean.
    Byte(At, u8),
    Delete(At, #[arbitrary(with = length)] usize),
    Repeat(At, #[arbitrary(with = length)] usize),
    /// A byte of the BIN: axes, shapes and slices are in there.
    Weight(At, u8),
    /// A constant's first integer.
    Integer(At, #[arbitrary(with = integer)] i64),
    /// A number anywhere.
    Number(At, #[arbitrary(with = extreme)] &'static str),
    Dim(At, #[arbitrary(with = extreme)] &'static str),
    DimMore(At),
    DimLess(At),
    /// An attribute's value becomes another one's.
    Attribute(At, At),
    /// A layer's operation becomes another one.
    Kind(At, #[arbitrary(with = kind)] &'static str),
    /// A number among the options of an operation.
    Option(At, #[arbitrary(with = extreme)] &'static str),
    LayerLess(At),
    EdgeLess(At),
    /// An edge starts where another does, or ends there.
    EdgeFrom(At, At),
    EdgeTo(At, At),
}

fn extreme(u: &mut Unstructured<'_>) -> Result<&'static str> {
    u.choose(&EXTREMES).copied()
}

fn kind(u: &mut Unstructured<'_>) -> Result<&'static str> {
    u.choose(&KINDS).copied()
}

fn length(u: &mut Unstructured<'_>) -> Result<usize> {
    u.int_in_range(1..=400)
}

fn integer(u: &mut Unstructured<'_>) -> Result<i64> {
    if u.ratio(3u8, 4u8)? {
        u.int_in_range(-4..=8)
    } else {
        u.choose(&[i64::MIN, i64::MAX, 1 << 40]).copied()
    }
}

/// Where `start…end` occurs, without the two. Half of the time it is one of the last places: the head is there.
fn find(text: &str, start: &str, end: &str, at: At) -> Option<Range<usize>> {
    let places: Vec<usize> = text.match_indices(start).map(|(i, _)| i + start.len()).collect();
    let count = places.len();
    let place = at.index((2 * count).max(1));
    let start =
        *places.get(if place < count { place } else { count.checked_sub(1 + (place - count) / 8)? })?;
    Some(start..start + text.get(start..)?.find(end)?)
}

fn replaced(text: &str, range: Option<Range<usize>>, with: &str) -> Option<String> {
    let range = range?;
    Some(format!("{}{with}{}", text.get(..range.start)?, text.get(range.end..)?))
}

/// Copies the part that one index finds over the one that another finds.
fn copied(text: &str, start: &str, end: &str, to: At, from: At) -> Option<String> {
    let from = text.get(find(text, start, end, from)?)?;
    replaced(text, find(text, start, end, to), from)
}

/// Does it, where there is a place for it.
pub fn mutate(xml: &mut Vec<u8>, bin: &mut [u8], mutation: &Mutation) {
    if xml.is_empty() {
        return;
    }
    let (length, text) = (xml.len(), String::from_utf8_lossy(xml).into_owned());
    let text = text.as_str();
    let dim = |at| find(text, "<dim>", "</dim>", at);
    let changed = match *mutation {
        Mutation::Byte(at, byte) => return xml[at.index(length)] = byte,
        Mutation::Delete(at, n) => {
            let at = at.index(length);
            return drop(xml.drain(at..(at + n).min(length)));
        }
        Mutation::Repeat(at, n) => {
            let at = at.index(length);
            let part = xml[at..(at + n).min(length)].to_vec();
            return drop(xml.splice(at..at, part));
        }
        Mutation::Weight(at, byte) => {
            if let Some(old) = bin.get_mut(at.index(bin.len())) {
                *old = byte;
            }
            return;
        }
        Mutation::Integer(at, value) => {
            let consts = find(text, "<data element_type=\"i64\"", "/>", at);
            let offset = consts
                .and_then(|range| text[range].split("offset=\"").nth(1)?.split('"').next()?.parse().ok());
            if let Some(bytes) = offset.and_then(|offset: usize| bin.get_mut(offset..offset.checked_add(8)?))
            {
                bytes.copy_from_slice(&value.to_le_bytes());
            }
            return;
        }
        Mutation::Number(at, number) => {
            let digits = |c: char| c.is_ascii_digit();
            let starts: Vec<usize> = text
                .char_indices()
                .zip(std::iter::once(' ').chain(text.chars()))
                .filter(|((_, c), before)| digits(*c) && !digits(*before))
                .map(|((i, _), _)| i)
                .collect();
            let start = starts.get(at.index(starts.len().max(1))).copied();
            let range = start.map(|i| i..i + text[i..].find(|c| !digits(c)).unwrap_or(text.len() - i));
            replaced(text, range, number)
        }
        Mutation::Dim(at, number) => replaced(text, dim(at), number),
        Mutation::DimMore(at) => dim(at).and_then(|r| replaced(text, Some(r.start..r.start), "3</dim><dim>")),
        Mutation::DimLess(at) => dim(at).and_then(|r| replaced(text, Some(r.start - 5..r.end + 6), "")),
        Mutation::Attribute(to, from) => copied(text, "=\"", "\"", to, from),
        Mutation::Kind(at, kind) => {
            let range = find(text, " type=\"", "\"", at);
            let range = range.filter(|r| !["Const", "Parameter", "Result"].contains(&&text[r.clone()]));
            replaced(text, range, kind)
        }
        Mutation::Option(at, number) => {
            let data = find(text, "<data ", "/>", at).filter(|r| !text[r.clone()].contains("offset="));
            let digits = data.and_then(|r| {
                let start = r.start + text[r.clone()].find(|c: char| c.is_ascii_digit())?;
                Some(start..start + text[start..].find(|c: char| !c.is_ascii_digit())?)
            });
            replaced(text, digits, number)
        }
        Mutation::LayerLess(at) => find(text, "<layer ", "</layer>", at)
            .and_then(|r| replaced(text, Some(r.start - 7..r.end + 8), "")),
        Mutation::EdgeLess(at) => {
            find(text, "<edge ", "/>", at).and_then(|r| replaced(text, Some(r.start - 6..r.end + 2), ""))
        }
        Mutation::EdgeFrom(to, from) => copied(text, "<edge ", " to-layer", to, from),
        Mutation::EdgeTo(to, from) => copied(text, " to-layer=", "/>", to, from),
    };
    if let Some(changed) = changed {
        *xml = changed.into_bytes();
    }
}
