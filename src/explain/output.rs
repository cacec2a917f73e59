//! Files: pictures, maps and figures of each photo, in one folder.

use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use ndarray::{Array2, ArrayD, Ix2};
use ndarray_npy::{ReadNpyExt as _, WriteNpyExt as _};

use crate::error::{Error, Result};
use crate::message::{Setting, message};

/// A folder that results are written to. Files appear whole or not at all.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    overwrite: bool,
    taken: BTreeSet<String>,
    /// The folders that were not there before, the outermost first.
    made: Vec<PathBuf>,
}

impl Folder {
    /// Makes the folder where it is not there. If nothing is written to it, it is gone with this value.
    ///
    /// # Errors
    /// [`Error::Io`] where that cannot be done, [`Error::Usage`] where it holds a gallery already and
    /// `overwrite` is off.
    pub fn new(path: &Path, overwrite: bool) -> Result<Self> {
        let absent = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let mut made: Vec<PathBuf> = absent.map(Path::to_path_buf).collect();
        made.reverse();
        std::fs::create_dir_all(path).map_err(|e| Error::io("create the folder", path, e))?;
        let index = path.join(super::gallery::INDEX);
        if index.exists() && !overwrite {
            let (there, use_it) = (format!("{} exists; use ", index.display()), Setting::Overwrite);
            let message = message![there, use_it, " to replace what is there"];
            return Err(Error::usage(message));
        }
        Ok(Self { path: path.to_path_buf(), overwrite, taken: BTreeSet::new(), made })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files of one photo: named after it, and unlike those of others.
    pub fn photo(&mut self, photo: &Path) -> Files<'_> {
        self.named(&photo.file_stem().unwrap_or(photo.as_os_str()).to_string_lossy())
    }

    /// The same under a name of the caller's.
    pub fn named(&mut self, stem: &str) -> Files<'_> {
        let stem = self.unlike(&name_of(stem));
        Files { folder: self, stem, taken: BTreeSet::new() }
    }

    fn unlike(&mut self, name: &str) -> String {
        unlike(&mut self.taken, name)
    }

    /// Writes a file of that name.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Usage`] where it is there already and must not be replaced.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.path.join(name);
        if path.exists() && !self.overwrite {
            let there = format!("{} exists; use ", path.display());
            return Err(Error::usage(message![there, Setting::Overwrite, " to replace it"]));
        }
        let failed = |e| Error::io("write", &path, e);
        let mut builder = tempfile::Builder::new();
        builder.prefix(".xai-explain-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // Temporary files are private by default; the result should follow the umask.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(&self.path).map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        file.persist(&path).map_err(|e| failed(e.error))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that holds something stays.
        let _ = self.made.iter().rev().try_for_each(std::fs::remove_dir);
    }
}

/// The files of one photo.
#[derive(Debug)]
pub struct Files<'a> {
    folder: &'a Folder,
    stem: String,
    taken: BTreeSet<String>,
}

impl Files<'_> {
    /// What the names of all begin with.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// A name for a target's files, made of its label, unlike those of other targets.
    pub fn target(&mut self, label: &str) -> String {
        let name = format!("{}_{}", self.stem, name_of(label));
        unlike(&mut self.taken, &name)
    }

    /// Writes a picture as `NAME.png`.
    ///
    /// # Errors
    /// As [`Folder::write`].
    pub fn picture(&self, name: &str, picture: &RgbImage) -> Result<PathBuf> {
        self.folder.write(&format!("{name}.png"), &encode(picture, ImageFormat::Png)?)
    }

    /// Writes a map as `NAME.npy`: `float32 [height, width]`.
    ///
    /// # Errors
    /// As [`Folder::write`].
    pub fn map(&self, name: &str, map: &Array2<f32>) -> Result<PathBuf> {
        let mut bytes = Vec::new();
        map.write_npy(&mut bytes).map_err(|e| Error::Internal(format!("a map as .npy: {e}")))?;
        self.folder.write(&format!("{name}.npy"), &bytes)
    }

    /// Writes the photo's figures as `STEM.json`.
    ///
    /// # Errors
    /// As [`Folder::write`].
    pub fn figures(&self, figures: &serde_json::Value) -> Result<PathBuf> {
        self.folder.write(&format!("{}.json", self.stem), format!("{figures:#}\n").as_bytes())
    }
}

/// A picture as a file of that format.
///
/// # Errors
/// [`Error::Internal`] where it cannot be encoded.
pub(crate) fn encode(picture: &RgbImage, format: ImageFormat) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).map_err(|e| Error::Internal(format!("a picture: {e}")))?;
    Ok(bytes.into_inner())
}

/// Reads a map `[height, width]` of floats from an .npy file.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, [`Error::Usage`] where it is of another form or holds no numbers.
pub fn read_map(path: &Path) -> Result<Array2<f32>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read the map", path, e))?;
    let wrong = |why: String| Error::usage(format!("{} is no map: {why}", path.display()));
    #[allow(clippy::cast_possible_truncation)]
    let found = ArrayD::<f32>::read_npy(&bytes[..])
        .or_else(|_| ArrayD::<f64>::read_npy(&bytes[..]).map(|map| map.mapv(|value| value as f32)))
        .or_else(|_| ArrayD::<u8>::read_npy(&bytes[..]).map(|map| map.mapv(f32::from)))
        .map_err(|e| wrong(format!("neither float32, float64 nor uint8 ({e})")))?;
    let shape = found.shape().to_vec();
    let map = found.into_dimensionality::<Ix2>().map_err(|_| wrong(format!("its shape is {shape:?}")))?;
    if map.is_empty() || map.iter().any(|value| !value.is_finite()) {
        return Err(wrong("it holds what is no number".to_owned()));
    }
    Ok(map.as_standard_layout().into_owned())
}

/// A label or stem as part of a file name: letters and digits stay.
fn name_of(label: &str) -> String {
    let kept = |letter: char| if letter.is_alphanumeric() || "-.".contains(letter) { letter } else { '_' };
    let name: String = label.trim().chars().map(kept).take(80).collect();
    let name = name.trim_matches(['_', '.']);
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

fn unlike(taken: &mut BTreeSet<String>, name: &str) -> String {
    // Names that differ in case alone are one on some systems.
    let mut names = std::iter::once(name.to_owned()).chain((2u32..).map(|i| format!("{name}_{i}")));
    let free = names.find(|name| taken.insert(name.to_lowercase()));
    free.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_unlike_each_other() {
        assert_eq!(name_of("Egyptian cat"), "Egyptian_cat");
        assert_eq!(name_of("../../etc/passwd"), "etc_passwd");
        assert_eq!(name_of("Kätzchen"), "Kätzchen");
        assert_eq!(name_of(" / "), "unnamed");
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(place.path(), false).unwrap();
        assert_eq!(folder.photo(Path::new("a/cat.jpg")).stem(), "cat");
        let mut other = folder.photo(Path::new("b/Cat.png"));
        assert_eq!(other.stem(), "Cat_2");
        assert_eq!(other.target("x"), "Cat_2_x");
        assert_eq!(other.target("X"), "Cat_2_X_2");
    }

    #[test]
    fn what_is_there_is_only_replaced_on_demand() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(&place.path().join("new/one"), false).unwrap();
        folder.write("a.txt", b"1").unwrap();
        folder.write("a.txt", b"2").unwrap_err();
        folder.write(super::super::gallery::INDEX, b"").unwrap();
        assert!(Folder::new(folder.path(), false).is_err());
        let folder = Folder::new(folder.path(), true).unwrap();
        folder.write("a.txt", b"2").unwrap();
        assert_eq!(std::fs::read(folder.path().join("a.txt")).unwrap(), b"2");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary files stay");
    }

    #[test]
    fn folders_that_stay_empty_are_gone_again() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("new/one");
        drop(Folder::new(&deep, false).unwrap());
        assert!(!place.path().join("new").exists());
        Folder::new(&deep, false).unwrap().write("a.txt", b"1").unwrap();
        assert!(deep.join("a.txt").exists());
        let there = place.path().join("there");
        std::fs::create_dir(&there).unwrap();
        drop(Folder::new(&there, false).unwrap());
        assert!(there.exists(), "it is not ours");
    }

    #[test]
    fn maps_survive_being_written_and_others_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(place.path(), true).unwrap();
        let map = Array2::from_shape_fn((2, 3), |(y, x)| if y == 0 { 0.5 } else { [1.0, 2.0, 3.0][x] });
        let path = folder.photo(Path::new("p.png")).map("m", &map).unwrap();
        assert_eq!(read_map(&path).unwrap(), map);
        let mut bytes = Vec::new();
        ndarray::Array3::<f32>::zeros((1, 2, 3)).write_npy(&mut bytes).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        assert!(read_map(&path).unwrap_err().to_string().contains("[1, 2, 3]"));
        std::fs::write(&path, b"text").unwrap();
        read_map(&path).unwrap_err();
        let mut bytes = Vec::new();
        ndarray::array![[f32::NAN]].write_npy(&mut bytes).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        read_map(&path).unwrap_err();
    }
}
