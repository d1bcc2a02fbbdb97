//! Files that are either the old one or the new one, whenever the program or the machine stops.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::files;
use crate::error::{Error, Kind, Result};

/// The ending of unfinished files; one left behind by a killed program is of no use to anybody.
pub const UNFINISHED: &str = ".unfinished";

/// Puts `bytes` at `path`: a file beside it is written and synced, renamed over `path`, and the folder synced.
///
/// Errors are of kind `Io` ("disk full" is said in those words); the file that was at `path` is then still there, and
/// the unfinished one is gone.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = unfinished(path);
    let written = files::fill(&beside, bytes).and_then(|()| files::rename(&beside, path));
    if let Err(e) = written {
        // Nothing more can be done if this fails as well; the first error is the one to report.
        let _ = files::remove(&beside);
        return Err(failed("write", path, &e));
    }
    files::sync_folder(path).map_err(|e| failed("sync the folder of", path, &e))
}

/// An error of kind `Io` for `doing` something to `path`, which names a full disk as such.
pub fn failed(doing: &str, path: &Path, source: &io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::new(
            Kind::Io,
            format!("cannot {doing} {}: disk full ({source})", path.display()),
        ),
        _ => Error::io(doing, path, source),
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}{UNFINISHED}", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_new_file_replaces_the_old_and_nothing_else_remains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, b"old and longer").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_failed_rename_leaves_no_unfinished_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"kept").unwrap();
        let e = write(&path, b"new").unwrap_err();
        assert_eq!(e.kind, Kind::Io);
        assert!(
            e.message.starts_with("cannot write ") && e.message.contains("a.bin"),
            "{e}"
        );
        assert_eq!(names(folder.path()), ["a.bin"]);
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"kept");
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let e = write(&folder.path().join("no/a.bin"), b"new").unwrap_err();
        assert_eq!(e.kind, Kind::Io);
        assert!(e.message.contains("no/a.bin"), "{e}");
    }

    // The kernel itself answers that the disk is full; the unfinished file is a link to the device that says so.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named_and_the_old_file_is_intact() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        fs::write(&path, b"old").unwrap();
        std::os::unix::fs::symlink("/dev/full", unfinished(&path)).unwrap();
        let e = write(&path, b"new").unwrap_err();
        assert_eq!(e.kind, Kind::Io);
        assert!(e.message.contains("disk full"), "{e}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }
}
