//! Photos: files and folders in, upright pixels out.

use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder as _, ImageReader};
use walkdir::WalkDir;

use crate::error::{Error, Result};

/// A picture to explain, upright.
#[derive(Debug, Clone)]
pub struct Photo {
    /// Where it was read from.
    pub path: PathBuf,
    /// Its pixels, as the file has them: grey or colour, 8 or 16 bits, with or without alpha.
    pub pixels: DynamicImage,
}

impl Photo {
    /// Reads an image file and turns it as its EXIF orientation says.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read, [`Error::Usage`] where it is no image.
    pub fn read(path: &Path) -> Result<Self> {
        let reader = ImageReader::open(path).map_err(|e| Error::io("read", path, e))?;
        let reader = reader.with_guessed_format().map_err(|e| Error::io("read", path, e))?;
        if reader.format().is_none() {
            let shown = path.display();
            return Err(Error::usage(format!(
                "{shown} is no image of a format that is known ({})",
                formats()
            )));
        }
        let no_image = |e| Error::usage(format!("{} is no image that can be read: {e}", path.display()));
        let mut decoder = reader.into_decoder().map_err(no_image)?;
        // A damaged EXIF block is no reason to refuse the picture.
        let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
        let mut pixels = DynamicImage::from_decoder(decoder).map_err(no_image)?;
        pixels.apply_orientation(orientation);
        if pixels.width() == 0 || pixels.height() == 0 {
            return Err(Error::usage(format!("{} has no pixels", path.display())));
        }
        Ok(Self { path: path.to_path_buf(), pixels })
    }

    /// Reads several image files, on all cores.
    pub fn read_all(paths: &[PathBuf]) -> Vec<Result<Self>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = paths.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let readers: Vec<_> = paths
                .chunks(share)
                .map(|part| scope.spawn(|| part.iter().map(|path| Self::read(path)).collect::<Vec<_>>()))
                .collect();
            let lost = |path: &PathBuf| {
                Err(Error::usage(format!("{} cannot be read: its decoder failed", path.display())))
            };
            let read = readers.into_iter().zip(paths.chunks(share));
            // A decoder that panics concerns the files of its thread alone.
            read.flat_map(|(reader, part)| reader.join().unwrap_or_else(|_| part.iter().map(lost).collect()))
                .collect()
        })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.pixels.width() as usize
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.pixels.height() as usize
    }
}

/// The photos that `paths` name: files as they are, folders by what has an image's extension in them and below,
/// sorted.
///
/// A path that leads nowhere comes with an [`Error::Io`], a folder without images with an [`Error::Usage`]; the
/// others do not suffer from it.
pub(crate) fn photos(paths: &[PathBuf]) -> Vec<(PathBuf, Result<()>)> {
    let mut found = Vec::new();
    for path in paths {
        match std::fs::metadata(path) {
            Err(e) => found.push((path.clone(), Err(Error::io("read", path, e)))),
            Ok(metadata) if metadata.is_dir() => {
                let before = found.len();
                for entry in WalkDir::new(path).sort_by_file_name() {
                    match entry {
                        // Links to files count as files, links to folders are not followed.
                        Ok(entry) if entry.path().is_file() && is_image(entry.path()) => {
                            found.push((entry.into_path(), Ok(())));
                        }
                        Ok(_) => {}
                        Err(e) => {
                            let place = e.path().unwrap_or(path).to_path_buf();
                            let error = Error::io("read", &place, e.into());
                            found.push((place, Err(error)));
                        }
                    }
                }
                if found.len() == before {
                    let message = format!("{} holds no images", path.display());
                    found.push((path.clone(), Err(Error::usage(message))));
                }
            }
            Ok(_) => found.push((path.clone(), Ok(()))),
        }
    }
    found
}

/// Extensions of the formats that can be read.
fn formats() -> String {
    let known = image::ImageFormat::all().filter(image::ImageFormat::reading_enabled);
    let mut names: Vec<&str> = known.filter_map(|format| format.extensions_str().first().copied()).collect();
    names.sort_unstable();
    names.join(", ")
}

fn is_image(path: &Path) -> bool {
    let format = image::ImageFormat::from_path(path);
    format.is_ok_and(|format| format.reading_enabled())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_in_order_and_other_files_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["b/1.png", "a.jpg", "c.txt"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let found = photos(&[folder.path().to_path_buf(), folder.path().join("nothing.png")]);
        let names: Vec<_> = found.iter().map(|(path, _)| path.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(names, [Path::new("a.jpg"), Path::new("b/1.png"), Path::new("nothing.png")]);
        assert!(found[0].1.is_ok() && found[2].1.is_err());
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(photos(&[folder.path().join("empty")])[0].1.is_err());
    }

    #[test]
    fn an_exif_rotated_photo_is_turned_upright() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turned.jpg");
        let mut jpeg = Vec::new();
        let wide = image::RgbImage::from_fn(32, 16, |x, _| image::Rgb([if x < 16 { 250 } else { 5 }; 3]));
        wide.write_to(&mut std::io::Cursor::new(&mut jpeg), image::ImageFormat::Jpeg).unwrap();
        // APP1 with a TIFF of one entry: orientation (0x0112), short, 6: turn right by 90 degrees.
        let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
        let mut block = vec![0xff, 0xe1, 0, u8::try_from(exif.len() + 2).unwrap()];
        block.append(&mut exif);
        jpeg.splice(2..2, block);
        std::fs::write(&path, jpeg).unwrap();
        let photo = Photo::read(&path).unwrap();
        assert_eq!((photo.width(), photo.height()), (16, 32));
        let luma = photo.pixels.to_luma8();
        assert!(luma.get_pixel(8, 4).0[0] > 200 && luma.get_pixel(8, 28).0[0] < 50);
    }

    #[test]
    fn what_is_no_image_is_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(&path, b"text").unwrap();
        assert!(Photo::read(&path).unwrap_err().to_string().contains("no image"));
    }
}
