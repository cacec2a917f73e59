//! Writing an IR so that a failure leaves nothing behind.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::message::{Setting, message};

/// Where an IR is to be written: the XML's path, and beside it the BIN's.
#[derive(Debug, Clone)]
pub struct Destination {
    xml: PathBuf,
    bin: PathBuf,
    interrupt: Interrupt,
}

impl Destination {
    /// Checks that an IR may be written to `xml` (and its BIN beside it).
    ///
    /// # Errors
    /// [`Error::Usage`] where the name does not end in `.xml`, where one of the two is a file of
    /// `inputs`, or where a file is there already and `overwrite` is off; [`Error::Io`] where
    /// the folder does not exist.
    pub fn new(xml: &Path, inputs: &[&Path], overwrite: bool) -> Result<Self> {
        if xml.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("xml")) {
            return Err(Error::usage(format!("the output {} must end in .xml", xml.display())));
        }
        let (bin, interrupt) = (xml.with_extension("bin"), Interrupt::default());
        let destination = Self { xml: xml.to_path_buf(), bin, interrupt };
        let folder = destination.folder();
        let found = fs::metadata(folder).and_then(|found| match found.is_dir() {
            true => Ok(()),
            false => Err(io::ErrorKind::NotADirectory.into()),
        });
        found.map_err(|e| Error::io("write to the folder", folder, e))?;
        for path in [&destination.xml, &destination.bin] {
            if inputs.iter().any(|input| same_file(input, path)) {
                let message = format!("{} is the input; choose another output", path.display());
                return Err(Error::usage(message));
            }
            match fs::metadata(path) {
                Ok(found) if found.is_dir() => {
                    return Err(Error::usage(format!("the output {} is a folder", path.display())));
                }
                Ok(_) if !overwrite => {
                    return Err(Error::usage(message![
                        format!("{} exists; use ", path.display()),
                        Setting::Overwrite,
                        " to replace it"
                    ]));
                }
                _ => {}
            }
        }
        Ok(destination)
    }

    /// Lets writing stop, and leave nothing behind, once `interrupt` is set.
    pub fn heed(&mut self, interrupt: &Interrupt) {
        self.interrupt = interrupt.clone();
    }

    /// Path of the XML.
    pub fn xml(&self) -> &Path {
        &self.xml
    }

    /// Path of the BIN.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Writes both files: first to temporary names in the same folder, then renamed, BIN first,
    /// so that whoever sees the XML also finds its BIN.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Interrupted`] where that was asked for; then neither file was changed.
    pub fn write(&self, xml: &[u8], bin: PendingFile<'_>) -> Result<()> {
        let new_bin = self.temporary(&self.bin, |file| bin.write(file, &self.interrupt))?;
        let new_xml = self.temporary(&self.xml, |file| file.write_all(xml))?;
        let backup = self.set_aside()?;
        let renamed = new_bin
            .persist(&self.bin)
            .map_err(|e| Error::io("write", &self.bin, e.error))
            .and_then(|()| new_xml.persist(&self.xml).map_err(|e| Error::io("write", &self.xml, e.error)));
        if renamed.is_err() {
            // Best effort: what matters is that the first error is the one reported.
            let _ = match backup {
                Some(backup) => backup.persist(&self.bin).map_err(|e| e.error),
                None => fs::remove_file(&self.bin),
            };
        }
        renamed
    }

    /// Keeps an old BIN under another name until the new pair is complete.
    fn set_aside(&self) -> Result<Option<TempPath>> {
        if !self.bin.exists() {
            return Ok(None);
        }
        let backup = self.named(&self.bin)?.into_temp_path();
        fs::rename(&self.bin, &backup).map_err(|e| Error::io("replace", &self.bin, e))?;
        Ok(Some(backup))
    }

    fn temporary(&self, target: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<TempPath> {
        let mut file = self.named(target)?;
        let filled = fill(file.as_file_mut());
        if self.interrupt.is_set() {
            return Err(Error::Interrupted);
        }
        filled.map_err(|e| Error::io("write", target, e))?;
        Ok(file.into_temp_path())
    }

    fn named(&self, target: &Path) -> Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".xai-insert-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // Temporary files are private by default; the result should follow the umask.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        // Without the temporary name, which would tell nothing.
        builder.tempfile_in(self.folder()).map_err(|e| Error::io("write", target, e.kind().into()))
    }

    fn folder(&self) -> &Path {
        match self.xml.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
}

/// A BIN about to be written: the start of an existing file, and bytes that follow it.
#[derive(Debug, Clone, Copy)]
pub struct PendingFile<'a> {
    /// File whose start is copied.
    pub source: Option<&'a Path>,
    /// How many of its bytes.
    pub prefix: u64,
    /// What follows.
    pub tail: &'a [u8],
}

/// How much is copied between two looks at whether to stop.
const PIECE: u64 = 16 * 1024 * 1024;

impl PendingFile<'_> {
    fn write(&self, file: &mut File, interrupt: &Interrupt) -> io::Result<()> {
        if let Some(source) = self.source.filter(|_| self.prefix > 0) {
            let source = File::open(source)?;
            let mut left = self.prefix;
            while left > 0 {
                if interrupt.is_set() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let mut range = io::Read::take(&source, left.min(PIECE));
                // Between files this is a copy inside the kernel (or a reflink), as `cp` does it.
                let copied = io::copy(&mut range, file)?;
                if copied == 0 {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the input changed while it was copied",
                    ));
                }
                left -= copied;
            }
        }
        file.seek(SeekFrom::End(0))?;
        file.write_all(self.tail)
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        use std::os::unix::fs::MetadataExt as _;
        return a.dev() == b.dev() && a.ino() == b.ino();
    }
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_rename_restores_the_old_pair() {
        let folder = tempfile::tempdir().unwrap();
        let xml = folder.path().join("m.xml");
        fs::write(folder.path().join("m.bin"), b"old").unwrap();
        let destination = Destination::new(&xml, &[], true).unwrap();
        // A folder appears under the XML's name after the check: the last rename must fail.
        fs::create_dir(&xml).unwrap();
        let bin = PendingFile { source: None, prefix: 0, tail: b"new" };
        destination.write(b"<net/>", bin).unwrap_err();
        assert_eq!(fs::read(folder.path().join("m.bin")).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn an_interrupt_leaves_the_old_pair() {
        let folder = tempfile::tempdir().unwrap();
        let (xml, source) = (folder.path().join("m.xml"), folder.path().join("source"));
        for path in [&xml, &folder.path().join("m.bin"), &source] {
            fs::write(path, b"old").unwrap();
        }
        let mut destination = Destination::new(&xml, &[], true).unwrap();
        let interrupt = Interrupt::default();
        destination.heed(&interrupt);
        interrupt.set();
        let bin = PendingFile { source: Some(&source), prefix: 3, tail: b"new" };
        assert!(matches!(destination.write(b"<net/>", bin), Err(Error::Interrupted)));
        assert_eq!(fs::read(folder.path().join("m.bin")).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn input_is_never_the_output() {
        let folder = tempfile::tempdir().unwrap();
        let xml = folder.path().join("m.xml");
        fs::write(&xml, b"").unwrap();
        let dotted = folder.path().join(".").join("m.xml");
        assert!(Destination::new(&dotted, &[&xml], true).is_err());
    }
}
