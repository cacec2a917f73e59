//! The sound models that damage starts from.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// One of each kind of head.
const FIXTURES: [&str; 14] = [
    "cnn_static",
    "cnn_dynamic_hw",
    "vgg_flatten",
    "nhwc_head_dynamic",
    "max_avg_head",
    "mobilenetv3_head",
    "gap_vit",
    "attention_pool_dynamic",
    "cnn_int8",
    "swin_tiny_like",
    "det_ssd",
    "det_retinanet_dynamic",
    "det_yolov5",
    "det_yolox_nms",
];

/// A fixture.
pub struct Source {
    pub name: &'static str,
    pub path: PathBuf,
    pub xml: Vec<u8>,
    pub bin: Vec<u8>,
}

/// All of them, read once.
pub static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let read = |name| {
        let path = root().join(format!("fixtures/small/{name}.xml"));
        let [xml, bin] = [path.clone(), path.with_extension("bin")].map(|path| fs::read(path).unwrap());
        Source { name, path, xml, bin }
    };
    FIXTURES.map(read).into()
});

impl Source {
    /// The one that a byte stands for, whichever byte that is.
    pub fn of(byte: u8) -> &'static Self {
        &SOURCES[usize::from(byte) % SOURCES.len()]
    }
}

/// The root of the repository, from the package of the fuzzer as from that of the root.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|folder| folder.join("fixtures/small").is_dir()).unwrap()
}
