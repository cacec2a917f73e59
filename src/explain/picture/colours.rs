//! Colour maps.

use serde::Serialize;

/// What colours the values of a map get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Colours {
    /// Perceptually uniform and readable with any colour vision (van der Walt and Smith, 2015).
    #[default]
    Viridis,
    /// The same, tuned for colour blindness (Nuñez, Anderton and Renslow, 2018).
    Cividis,
    /// A rainbow without the false edges of jet (Mikhailov, 2019).
    Turbo,
    /// The rainbow that many papers show; its bright bands suggest edges where there are none.
    Jet,
}

impl Colours {
    /// The colour of a value from 0 to 1.
    pub fn at(self, value: f32) -> [u8; 3] {
        let value = if value.is_nan() { 0.0 } else { f64::from(value.clamp(0.0, 1.0)) };
        let gradient = match self {
            Self::Viridis => colorous::VIRIDIS,
            Self::Cividis => colorous::CIVIDIS,
            Self::Turbo => colorous::TURBO,
            Self::Jet => return jet(value),
        };
        gradient.eval_continuous(value).as_array()
    }
}

/// Trapezoids a quarter apart: blue, green, red.
fn jet(value: f64) -> [u8; 3] {
    let trapezoid = |center: f64| (1.5 - 4.0 * (value - center).abs()).clamp(0.0, 1.0) * 255.0;
    // A number of 0 to 255.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    [0.75, 0.5, 0.25].map(|center| trapezoid(center).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_middles_are_those_that_are_published() {
        assert_eq!(Colours::Jet.at(0.0), [0, 0, 128]);
        assert_eq!(Colours::Jet.at(0.5), [128, 255, 128]);
        assert_eq!(Colours::Jet.at(1.0), [128, 0, 0]);
        assert_eq!(Colours::Viridis.at(0.0), [0x44, 0x01, 0x54]);
        assert_eq!(Colours::Viridis.at(1.0), [0xfd, 0xe7, 0x25]);
        assert_eq!(Colours::Viridis.at(f32::NAN), Colours::Viridis.at(-3.0));
    }

    #[test]
    fn the_default_gets_brighter_all_the_way() {
        let luma = |value: f32| {
            let [r, g, b] = Colours::default().at(value).map(f32::from);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        assert!((0..50u8).all(|i| luma(f32::from(i) / 50.0) < luma(f32::from(i + 1) / 50.0)));
    }
}
