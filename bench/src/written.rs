//! Files that are there as a whole, or as they were before.

use anyhow::{Context, Result};
use std::fs::{self, File, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// As a file that is created has them, before what the user's mask takes away.
const PERMISSIONS: u32 = 0o666;

/// Writes a file beside that of the name, which it then takes the place of.
pub fn whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    replaced(path, write).with_context(|| format!("cannot write {}", path.display()))
}

fn replaced(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let path = std::path::absolute(path)?;
    // A device or a pipe is not to be replaced, nor a link.
    if fs::symlink_metadata(&path).is_ok_and(|of| !of.is_file()) {
        return buffered(&File::create(&path)?, write);
    }
    let folder = path.parent().context("it is no file")?;
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    let file = builder.permissions(Permissions::from_mode(PERMISSIONS)).tempfile_in(folder)?;
    buffered(file.as_file(), write)?;
    file.persist(&path)?;
    Ok(())
}

/// In small pieces: a text of megabytes would change what the C library's malloc, which is measured
/// in this process, asks of the system afterwards.
fn buffered(file: &File, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut buffer = BufWriter::new(file);
    write(&mut buffer)?;
    Ok(buffer.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn a_file_that_cannot_be_written_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("results.json");
        whole(&path, |file| Ok(file.write_all(b"first")?)).unwrap();
        let failed = whole(&path, |file| {
            file.write_all(b"sec")?;
            bail!("no more")
        });
        assert!(format!("{:#}", failed.unwrap_err()).ends_with("results.json: no more"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        whole(&path, |file| Ok(file.write_all(b"third")?)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "third");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "first").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        whole(&link, |file| Ok(file.write_all(b"second")?)).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "second");
    }
}
