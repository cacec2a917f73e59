//! Order of an image's axes.

use serde::Serialize;

/// Order of an image input's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ImageLayout {
    /// Batch, channels, height, width.
    #[serde(rename = "NCHW")]
    Nchw,
    /// Batch, height, width, channels.
    #[serde(rename = "NHWC")]
    Nhwc,
}

impl ImageLayout {
    /// Reads `NCHW`, `nhwc` or OpenVINO's `[N,C,H,W]`.
    pub fn named(text: &str) -> Option<Self> {
        let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
        match letters.to_ascii_uppercase().as_str() {
            "NCHW" => Some(Self::Nchw),
            "NHWC" => Some(Self::Nhwc),
            _ => None,
        }
    }

    /// Which axis holds the channels.
    pub fn channel_axis(self) -> usize {
        match self {
            Self::Nchw => 1,
            Self::Nhwc => 3,
        }
    }
}
