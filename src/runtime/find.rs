//! Where an OpenVINO library may be.
//!
//! Looked at in this order, so that what is said explicitly wins over what happens to be there:
//!
//! 1. what the caller names, a library or a folder;
//! 2. the environment variable `OPENVINO_LIB`, likewise;
//! 3. `OPENVINO_BUILD_DIR`, `OPENVINO_INSTALL_DIR`, `INTEL_OPENVINO_DIR` (set by `setupvars.sh`);
//! 4. the loader's search path (`LD_LIBRARY_PATH` and its like);
//! 5. system folders, as the bindings know them;
//! 6. `pip` and `conda` installations: `$VIRTUAL_ENV`, `$CONDA_PREFIX`, and `.venv*` or `venv` in the
//!    current folder and the ones above it. Their library carries a version suffix, which the
//!    bindings' own search does not expect.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::RuntimeError;
use crate::message::{Message, Setting};

/// Environment variable that names the library or its folder.
const ENV_LIBRARY: &str = "OPENVINO_LIB";

const ENV_ROOTS: [&str; 3] = ["OPENVINO_BUILD_DIR", "OPENVINO_INSTALL_DIR", "INTEL_OPENVINO_DIR"];

const ENV_SEARCH_PATH: &str = if cfg!(target_os = "macos") {
    "DYLD_LIBRARY_PATH"
} else if cfg!(target_os = "windows") {
    "PATH"
} else {
    "LD_LIBRARY_PATH"
};

/// Folders below an installation in which the library is kept.
const SUBFOLDERS: [&str; 17] = [
    "",
    "libs",
    "lib",
    "openvino/libs",
    "runtime/lib/intel64",
    "runtime/lib/intel64/Release",
    "runtime/lib/arm64",
    "runtime/lib/arm64/Release",
    "runtime/lib/aarch64",
    "runtime/lib/aarch64/Release",
    "runtime/bin/intel64/Release",
    "runtime/bin/arm64/Release",
    "bin/intel64/Release",
    "bin/intel64/Release/lib",
    "bin/intel64/Debug",
    "bin/arm64/Release",
    "bin/aarch64/Release",
];

/// Libraries worth trying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidates {
    /// Paths of existing files, best first.
    pub(super) paths: Vec<PathBuf>,
    /// The places that were searched, for messages.
    pub(super) searched: Vec<Message>,
    /// Whether the user named the library, so that no other one will do.
    pub(super) explicit: bool,
}

/// Lists the OpenVINO libraries of this machine, best first.
///
/// # Errors
/// [`RuntimeError::NotALibrary`] where the caller or `OPENVINO_LIB` names a place without one.
pub(super) fn find(named: Option<&Path>) -> Result<Candidates, RuntimeError> {
    let environment = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = named {
        return explicit(Setting::Library.into(), path);
    }
    if let Some(path) = environment(ENV_LIBRARY) {
        return explicit(ENV_LIBRARY.into(), Path::new(&path));
    }
    let current = env::current_dir().ok();
    let found = search(environment, current.as_deref());
    Ok(found)
}

fn explicit(origin: Message, path: &Path) -> Result<Candidates, RuntimeError> {
    let found = if path.is_dir() {
        in_installation(path)
    } else {
        let named = path.file_name().and_then(|name| name.to_str()).is_some_and(is_library);
        // The bindings panic on a library that is none of OpenVINO's, so the name is checked first.
        (named && path.is_file()).then(|| path.to_path_buf())
    };
    match found {
        Some(path) => Ok(Candidates { paths: vec![path], searched: vec![origin], explicit: true }),
        None => Err(RuntimeError::NotALibrary { origin, path: path.to_path_buf(), wanted: plain_name() }),
    }
}

fn search(environment: impl Fn(&str) -> Option<OsString>, current: Option<&Path>) -> Candidates {
    let mut searched: Vec<Message> = vec![Setting::Library.into(), format!("${ENV_LIBRARY}").into()];
    let mut paths = Vec::new();
    for name in ENV_ROOTS {
        searched.push(format!("${name}").into());
        paths.extend(environment(name).and_then(|root| in_installation(Path::new(&root))));
    }
    searched.push(format!("${ENV_SEARCH_PATH}").into());
    if let Some(list) = environment(ENV_SEARCH_PATH) {
        paths.extend(env::split_paths(&list).filter_map(|folder| in_folder(&folder)));
    }
    searched.push("system folders".into());
    // Documented to panic where a system folder cannot be listed.
    paths.extend(std::panic::catch_unwind(openvino_sys::library::find).ok().flatten());
    for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        searched.push(format!("${name}").into());
        paths.extend(environment(name).and_then(|root| in_environment(Path::new(&root))));
    }
    searched.push(".venv* in this folder and those above it".into());
    for folder in current.into_iter().flat_map(Path::ancestors) {
        paths.extend(virtual_environments(folder).iter().filter_map(|root| in_environment(root)));
    }
    let mut seen = Vec::new();
    paths.retain(|path| {
        let new = !seen.contains(path);
        seen.push(path.clone());
        new
    });
    Candidates { paths, searched, explicit: false }
}

/// The library of an unpacked archive, a build folder, or a Python environment.
fn in_installation(root: &Path) -> Option<PathBuf> {
    SUBFOLDERS.iter().find_map(|sub| in_folder(&root.join(sub))).or_else(|| in_environment(root))
}

/// The library of the `openvino` package of a Python environment.
fn in_environment(root: &Path) -> Option<PathBuf> {
    let package = |site: PathBuf| in_folder(&site.join("site-packages/openvino/libs"));
    let mut versions: Vec<PathBuf> = folders(&root.join("lib"), |name| name.starts_with("python3"));
    // Without a rule of its own an environment holds one Python; the newest is as good a guess as any.
    versions.sort();
    versions
        .into_iter()
        .rev()
        .find_map(package)
        .or_else(|| package(root.join("Lib")))
        .or_else(|| in_folder(&root.join("lib")))
        .or_else(|| in_folder(&root.join("Library/bin")))
}

fn virtual_environments(folder: &Path) -> Vec<PathBuf> {
    let mut found = folders(folder, |name| name.starts_with(".venv") || name == "venv");
    found.sort();
    found
}

fn folders(parent: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_str().is_some_and(&wanted));
    named.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// The library of a folder: the plain name, else the newest version.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let best = names.filter(|name| is_library(name)).max_by_key(|name| rank(name))?;
    Some(folder.join(best)).filter(|path| path.is_file())
}

fn plain_name() -> String {
    format!("{}openvino_c{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX)
}

/// `libopenvino_c.so`, `libopenvino_c.so.2641`, `libopenvino_c.2641.dylib`, `openvino_c.dll`.
fn is_library(name: &str) -> bool {
    let stem = format!("{}openvino_c", env::consts::DLL_PREFIX);
    let Some(rest) = name.strip_prefix(&stem) else { return false };
    let suffix = env::consts::DLL_SUFFIX;
    let version = rest.strip_prefix(suffix).or_else(|| rest.strip_suffix(suffix));
    version.is_some_and(|text| {
        text.is_empty() || (text.starts_with('.') && text.bytes().all(|b| b == b'.' || b.is_ascii_digit()))
    })
}

fn rank(name: &str) -> (bool, Vec<u64>) {
    let numbers = name.split('.').filter_map(|part| part.parse().ok()).collect();
    (name == plain_name(), numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }

    fn versioned(version: &str) -> String {
        if cfg!(target_os = "macos") {
            format!("libopenvino_c.{version}.dylib")
        } else {
            format!("{}.{version}", plain_name())
        }
    }

    #[test]
    fn the_newest_version_wins_and_the_plain_name_wins_over_it() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["2641", "2025.4.1", "20250"] {
            touch(&folder.path().join(versioned(version)));
        }
        assert_eq!(in_folder(folder.path()), Some(folder.path().join(versioned("20250"))));
        touch(&folder.path().join(plain_name()));
        assert_eq!(in_folder(folder.path()), Some(folder.path().join(plain_name())));
    }

    #[test]
    fn other_libraries_are_not_mistaken_for_it() {
        assert!(is_library(&plain_name()));
        assert!(is_library(&versioned("2641")));
        assert!(!is_library("libm.so.6"));
        assert!(!is_library(&plain_name().replace("openvino_c", "openvino")));
        assert!(!is_library(&plain_name().replace("openvino_c", "openvino_common")));
        assert!(!is_library(&format!("{}.bak", plain_name())));
    }

    #[test]
    fn virtual_environments_above_the_current_folder_are_searched() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        let library =
            root.path().join(".venv-ov/lib/python3.12/site-packages/openvino/libs").join(versioned("2641"));
        touch(&library);
        let found = search(|_| None, Some(&below));
        assert!(found.paths.contains(&library), "{found:?}");
    }

    #[test]
    fn environment_variables_come_before_pip() {
        let root = tempfile::tempdir().unwrap();
        let archive = root.path().join("archive/runtime/lib/intel64").join(plain_name());
        let pip = root.path().join("venv/lib/python3.11/site-packages/openvino/libs").join(versioned("2641"));
        touch(&archive);
        touch(&pip);
        let environment = |name: &str| match name {
            "INTEL_OPENVINO_DIR" => Some(root.path().join("archive").into_os_string()),
            "VIRTUAL_ENV" => Some(root.path().join("venv").into_os_string()),
            _ => None,
        };
        let found = search(environment, None);
        assert_eq!(found.paths.first(), Some(&archive));
        assert!(found.paths.contains(&pip));
        assert!(!found.explicit);
    }

    #[test]
    fn a_named_place_without_the_library_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = explicit(Setting::Library.into(), folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("`library`: ") && error.contains(&plain_name()), "{error}");
        let other = folder.path().join("libm.so.6");
        touch(&other);
        explicit(Setting::Library.into(), &other).unwrap_err();
        let library = folder.path().join("libs").join(versioned("2641"));
        touch(&library);
        assert_eq!(explicit("x".into(), folder.path()).unwrap().paths, [library]);
    }
}
