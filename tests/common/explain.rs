//! What the tests of explanations share.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use image::{Rgb, RgbImage};
use ndarray::Array2;
use tempfile::TempDir;
use xai_insert::explain::{ExplainOptions, PreprocessOptions, Preset};

use super::{outcome, root};

pub const MOBILENET: &str = "fixtures/mobilenet_v2/mobilenet_v2.xml";
pub const CHELSEA: &str = "fixtures/mobilenet_v2/chelsea.png";

/// The models of `explain_models.py`.
pub fn models() -> &'static Path {
    static MODELS: OnceLock<TempDir> = OnceLock::new();
    let folder = MODELS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let python = root().join(if cfg!(windows) { ".venv/Scripts/python.exe" } else { ".venv/bin/python" });
        let script = root().join("tests/explain_models.py");
        let made = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        folder
    });
    folder.path()
}

pub fn model(name: &str) -> PathBuf {
    models().join(format!("{name}.xml"))
}

pub fn command() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::cargo_bin("xai-explain").unwrap();
    command.current_dir(root());
    command
}

/// Runs `xai-explain`; returns exit status, standard output and standard error.
pub fn explain<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> (i32, String, String) {
    outcome(&command().args(args).output().unwrap())
}

pub fn byte(value: u32) -> u8 {
    u8::try_from(value).unwrap()
}

/// A white photo of that size.
pub fn white(folder: &Path, width: u32, height: u32) -> PathBuf {
    let path = folder.join(format!("white{width}x{height}.png"));
    RgbImage::from_pixel(width, height, Rgb([255; 3])).save(&path).unwrap();
    path
}

/// Options for the models of `explain_models.py`: pixels of 0 to 1.
pub fn plain() -> ExplainOptions {
    ExplainOptions {
        preprocess: PreprocessOptions {
            preset: Some(Preset::None),
            range: Some((0.0, 1.0)),
            ..PreprocessOptions::default()
        },
        ..ExplainOptions::default()
    }
}

/// Share of the map's values above its mean that lie in the top left quarter.
pub fn in_quarter(map: &Array2<f32>) -> f32 {
    let (height, width) = map.dim();
    let mean = map.mean().unwrap();
    let (mut inside, mut all) = (0.0, 0.0);
    for ((y, x), value) in map.indexed_iter() {
        let over = (value - mean).max(0.0);
        all += over;
        if y < height / 2 && x < width / 2 {
            inside += over;
        }
    }
    inside / all
}
