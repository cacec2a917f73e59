//! Where something is, for messages.

use std::fmt;

/// A layer of the IR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the layer.
    pub layer: String,
    /// Its operation (`Convolution`, …).
    pub kind: String,
    /// Its id in the file.
    pub id: u64,
    /// The port, where one is concerned.
    pub port: Option<u32>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer '{}' ({}, id {})", self.layer, self.kind, self.id)?;
        match self.port {
            Some(port) => write!(f, ", port {port}"),
            None => Ok(()),
        }
    }
}

/// Displays a number of bytes as people read it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[allow(clippy::cast_precision_loss)]
        match self.0 {
            bytes @ 0..1024 => write!(f, "{bytes} B"),
            bytes @ 1024..1_048_576 => write!(f, "{:.1} KiB", bytes as f64 / 1024.0),
            bytes @ 1_048_576..1_073_741_824 => write!(f, "{:.1} MiB", bytes as f64 / 1_048_576.0),
            bytes => write!(f, "{:.1} GiB", bytes as f64 / 1_073_741_824.0),
        }
    }
}

/// Writes a path as people read it: serde's own way fails where a path is not UTF-8.
#[cfg(feature = "runtime")]
pub(crate) fn lossy<S: serde::Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
