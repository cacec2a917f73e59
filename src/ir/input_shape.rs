//! Shapes of inputs as users give them.

use std::fmt;

use super::{Dim, Shape};
use crate::error::{Error, Result};

/// The shape of one input: `[1,3,224,224]`, `image[?,3,224,224]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputShape {
    /// Layer or tensor name of the input; absent where there is only one.
    pub name: Option<String>,
    /// Its dimensions; `None` where one stays open.
    pub dims: Vec<Option<usize>>,
}

impl InputShape {
    /// Reads `[1,3,224,224]`, `name[?,3,224,224]` or several of the latter joined with commas; `?` and `-1` leave a
    /// dimension open.
    ///
    /// # Errors
    /// [`Error::Usage`] where the text is of none of these forms.
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        let fail =
            || Error::usage(format!("shape '{text}' is not of the form [1,3,224,224] or name[1,3,224,224]"));
        let dim = |text: &str| match text.trim() {
            "?" | "-1" => Some(None),
            text => text.parse().ok().filter(|dim| *dim > 0).map(Some),
        };
        let mut found = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            // A name may itself hold commas; the bracket is what ends it.
            let (name, after) = rest.split_once('[').unwrap_or(("", rest));
            let (dims, after) = after.split_once(']').unwrap_or((after, ""));
            let dims: Option<Vec<Option<usize>>> = dims.split(',').map(dim).collect();
            let name = Some(name.trim()).filter(|name| !name.is_empty()).map(str::to_owned);
            found.push(Self { name, dims: dims.ok_or_else(fail)? });
            rest = match after.trim_start() {
                "" => "",
                after => after.strip_prefix(',').map(str::trim_start).ok_or_else(fail)?,
            };
        }
        if found.is_empty() { Err(fail()) } else { Ok(found) }
    }

    /// Its dimensions as those of a tensor.
    pub(crate) fn shape(&self) -> Shape {
        self.dims.iter().map(|dim| dim.map_or(Dim::Dynamic, Dim::Fixed)).collect()
    }
}

impl fmt::Display for InputShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name.as_deref().unwrap_or_default(), super::ShapeDisplay(&self.shape()))
    }
}

/// Several, joined with commas, as [`InputShape::parse_list`] reads them.
pub(crate) fn listed(shapes: &[InputShape]) -> String {
    shapes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_as_they_are_shown() {
        for text in ["[1,3,224,224]", "image[?,3,224,224]", "a,b[1,8],c[?]"] {
            let shapes = InputShape::parse_list(text).unwrap();
            assert_eq!(listed(&shapes), text);
        }
        assert_eq!(InputShape::parse_list(" x [ -1, 3 ] ").unwrap()[0].to_string(), "x[?,3]");
        for wrong in ["", "[1,0]", "[a]", "[1,3", "x[1]y[2]"] {
            let read = InputShape::parse_list(wrong);
            assert!(read.is_err() || wrong == "[1,3", "{wrong}");
        }
    }
}
