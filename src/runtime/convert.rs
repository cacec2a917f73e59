//! Models of other frameworks as an IR, by the converter that comes with OpenVINO's package.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// File name of OpenVINO's converter.
const CONVERTER: &str = if cfg!(windows) { "ovc.exe" } else { "ovc" };
/// Folders of an environment that hold programs.
const PROGRAMS: [&str; 2] = ["bin", "Scripts"];
/// Lines of what a converter says that tell why it failed.
const LINES: usize = 3;

/// An IR in a folder of its own, which is gone with this value.
#[derive(Debug)]
pub(crate) struct Converted {
    folder: TempDir,
    /// What made it.
    pub(crate) converter: PathBuf,
}

impl Converted {
    /// Converts a model with the `ovc` of the environment that `library` belongs to, or the one in `PATH`; weights keep
    /// their precision.
    ///
    /// # Errors
    /// Why there is no IR, for people.
    pub(crate) fn new(model: &Path, library: &Path) -> Result<Self, String> {
        let converter = converter(library).ok_or_else(|| {
            let near = library.display();
            format!(
                "{CONVERTER}, which could convert it, is neither in the environment of {near} nor in PATH \
                 (it comes with: pip install openvino)"
            )
        })?;
        let folder = TempDir::with_prefix("xai-insert-").map_err(|e| e.to_string())?;
        let converted = Self { folder, converter };
        let output = Command::new(&converted.converter)
            .arg(model)
            .arg("--output_model")
            .arg(converted.xml())
            .arg("--compress_to_fp16=False")
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("{} cannot be started: {e}", converted.converter.display()))?;
        if output.status.success() && converted.xml().exists() {
            return Ok(converted);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        Err(format!("{CONVERTER} cannot convert it: {}", last.join(" ")))
    }

    /// Its XML.
    pub(crate) fn xml(&self) -> PathBuf {
        self.folder.path().join("model.xml")
    }
}

fn converter(library: &Path) -> Option<PathBuf> {
    let of_environment =
        library.ancestors().flat_map(|root| PROGRAMS.map(|folder| root.join(folder).join(CONVERTER)));
    let path = env::var_os("PATH").unwrap_or_default();
    let of_path = env::split_paths(&path).map(|folder| folder.join(CONVERTER)).collect::<Vec<_>>();
    of_environment.chain(of_path).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_converter_of_the_environment_goes_first() {
        let root = tempfile::tempdir().unwrap();
        let library = root.path().join("lib/python3/site-packages/openvino/libs/libopenvino_c.so");
        std::fs::create_dir_all(root.path().join(PROGRAMS[0])).unwrap();
        let expected = root.path().join(PROGRAMS[0]).join(CONVERTER);
        assert_ne!(converter(&library), Some(expected.clone()));
        std::fs::write(&expected, "").unwrap();
        assert_eq!(converter(&library), Some(expected));
    }

    #[cfg(unix)]
    #[test]
    fn what_a_converter_says_is_passed_on() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("bin")).unwrap();
        let program = root.path().join("bin").join(CONVERTER);
        std::fs::write(&program, "#!/bin/sh\necho one >&2\necho 'no such operation' >&2\nexit 1\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = Converted::new(Path::new("m.onnx"), &root.path().join("lib/x.so")).unwrap_err();
        assert_eq!(error, "ovc cannot convert it: one no such operation");
    }
}
