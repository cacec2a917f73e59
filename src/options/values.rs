//! Values of options as texts: read here once, for the command line and for Python.
//!
//! What is one of several names has `FromStr`; what is a number within bounds has a function. Errors say what to
//! give, and leave it to the caller to name the option and what was given.

use crate::error::{Error, Result};
use crate::forward::{Kernel, Quantized, Strategy};
use crate::methods::{Method, SaliencyType};
use crate::tasks::Task;

/// A value that is one of several names.
pub(crate) trait Choice: Copy + Send + Sync + 'static {
    /// All of them, in the order in which they are listed.
    const ALL: &'static [Self];

    /// Its name.
    fn name(self) -> &'static str;

    /// The value of that name.
    ///
    /// # Errors
    /// [`Error::Usage`] with all names.
    fn chosen(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().copied().find(|value| value.name() == name);
        found.ok_or_else(|| give(Self::ALL.iter().map(|value| value.name())))
    }
}

/// Gives a type its names, and the way back from them.
macro_rules! choice {
    ($type:ty: $($value:ident $name:literal),+ $(,)?) => {
        impl $crate::options::Choice for $type {
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn name(self) -> &'static str {
                match self { $(Self::$value => $name),+ }
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::error::Error;

            fn from_str(name: &str) -> $crate::error::Result<Self> {
                $crate::options::Choice::chosen(name)
            }
        }
    };
}
#[cfg(feature = "explain")]
pub(crate) use choice;

choice!(Task: Classification "classification", Detection "detection");
choice!(SaliencyType: U8 "u8", F32 "f32");
choice!(Strategy: Auto "auto", Dense "dense");
choice!(Quantized: Smooth "smooth", Exact "exact");
choice!(Method: ReciproCam "reciprocam", VitReciproCam "vitreciprocam", ActivationMap "activationmap",
    ClassProbabilityMap "classprobabilitymap");

impl Choice for Kernel {
    const ALL: &'static [Self] = Self::ALL;

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl std::str::FromStr for Kernel {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Choice::chosen(name)
    }
}

/// Says which names there are.
fn give<'a>(names: impl Iterator<Item = &'a str>) -> Error {
    let names: Vec<&str> = names.collect();
    match &names[..] {
        [others @ .., last] if !others.is_empty() => {
            Error::usage(format!("give {} or {last}", others.join(", ")))
        }
        names => Error::usage(format!("give {}", names.concat())),
    }
}

/// A value by its name, or `None` for `auto`, which leaves it open.
///
/// # Errors
/// As reading the value itself.
pub(crate) fn or_auto<T: Choice>(name: &str) -> Result<Option<T>> {
    match name {
        "auto" => Ok(None),
        name => {
            let names = T::ALL.iter().map(|value| value.name());
            T::chosen(name).map(Some).map_err(|_| give(std::iter::once("auto").chain(names)))
        }
    }
}

/// A method, or `None` for `auto`.
///
/// # Errors
/// [`Error::Usage`] with all names.
pub fn method(name: &str) -> Result<Option<Method>> {
    or_auto(name)
}

/// A task, or `None` for `auto`.
///
/// # Errors
/// [`Error::Usage`] with all names.
pub fn task(name: &str) -> Result<Option<Task>> {
    or_auto(name)
}

/// Anchors at each position of a class map: a number of 1 or more.
///
/// # Errors
/// [`Error::Usage`] for anything else.
pub fn anchors(text: &str) -> Result<usize> {
    match text.trim().parse() {
        Ok(count @ 1..) => Ok(count),
        _ => Err(Error::usage("give a number of 1 or more")),
    }
}

/// More than any picture has, and few enough that a product is no problem.
const MOST_PIXELS: usize = 1 << 14;

/// Height and width of maps, `23x23`.
///
/// # Errors
/// [`Error::Usage`] for anything else, and for extents of 0 or more than 16384.
pub fn saliency_size(text: &str) -> Result<(usize, usize)> {
    let extent = |text: &str| text.trim().parse().ok().filter(|size| (1..=MOST_PIXELS).contains(size));
    let sides = text.split_once('x').and_then(|(height, width)| extent(height).zip(extent(width)));
    sides.ok_or_else(|| {
        Error::usage(format!("give height and width, such as 23x23, of {MOST_PIXELS} or less each"))
    })
}

/// A number of bytes, with a unit of powers of 1024 or without: `1048576`, `512MiB`, `1.5g`.
///
/// # Errors
/// [`Error::Usage`] for anything else, and for more than 2^63 bytes.
pub fn byte_size(text: &str) -> Result<u64> {
    let wrong = || Error::usage("give a number of bytes, with KiB, MiB or GiB after it if you like");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    let bytes = number * 2f64.powi(unit);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    if bytes.is_finite() && bytes < 2f64.powi(63) { Ok(bytes as u64) } else { Err(wrong()) }
}

/// How many of something: a number of at least 1.
///
/// # Errors
/// [`Error::Usage`] for anything else.
pub fn count(text: &str) -> Result<usize> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| Error::usage("give a number of at least 1"))
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn names_lead_back_to_their_values() {
        fn check<T: Choice + FromStr<Err = Error> + PartialEq + std::fmt::Debug>() {
            for value in T::ALL {
                assert_eq!(value.name().parse::<T>().unwrap(), *value);
            }
            assert!("no such".parse::<T>().is_err());
        }
        check::<Task>();
        check::<Kernel>();
        check::<SaliencyType>();
        check::<Strategy>();
        check::<Quantized>();
        check::<Method>();
        assert_eq!(method("auto").unwrap(), None);
        assert_eq!(method("reciprocam").unwrap(), Some(Method::ReciproCam));
        let error = task("segmentation").unwrap_err().to_string();
        assert_eq!(error, "give auto, classification or detection");
        assert_eq!("x".parse::<SaliencyType>().unwrap_err().to_string(), "give u8 or f32");
    }

    #[test]
    fn names_are_those_of_the_types() {
        assert!(Method::ALL.into_iter().all(|method| Choice::name(method) == method.name()));
        assert!(Kernel::ALL.iter().all(|kernel| Choice::name(*kernel) == kernel.name()));
        assert!(Task::ALL.iter().all(|task| Choice::name(*task) == task.name()));
        assert_eq!(<Method as Choice>::ALL, Method::ALL);
    }

    #[test]
    fn sizes_have_units_and_bounds() {
        assert_eq!(byte_size("2GiB").unwrap(), 2 << 30);
        assert_eq!(byte_size("1.5k").unwrap(), 1536);
        assert_eq!(byte_size("7").unwrap(), 7);
        for wrong in ["", "much", "1 parsec", "1e9", "99999999T", "-1"] {
            assert!(byte_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(saliency_size("8 x 16").unwrap(), (8, 16));
        for wrong in ["8", "8x", "0x8", "8x99999", "8x8x8"] {
            assert!(saliency_size(wrong).is_err(), "{wrong}");
        }
        assert!(count("0").is_err() && anchors("0").is_err());
    }
}
