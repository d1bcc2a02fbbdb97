//! Every change that a run makes to files, one function a kind, so that tests can make any of them fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

#[cfg(test)]
pub(super) mod faults;

/// What is about to be done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    CreateFolder,
    Create,
    Write,
    Sync,
    Rename,
    SyncFolder,
    Remove,
    Open,
    Cut,
}

/// The place where tests step in; nothing otherwise.
#[cfg(not(test))]
fn about(_: Step, _: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use faults::about;

/// Makes a folder and those above it.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    about(Step::CreateFolder, path)?;
    fs::create_dir_all(path)
}

/// Puts `bytes` into a file of their own and waits until the disk has them.
pub(super) fn fill(path: &Path, bytes: &[u8]) -> io::Result<()> {
    about(Step::Create, path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    write(&mut file, path, bytes)?;
    sync(&file, path)
}

/// Adds `bytes` to a file's end; makes it where there is none.
pub(super) fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    about(Step::Open, path)?;
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    write(&mut file, path, bytes)
}

/// In two pieces, so that there is a half-written file to be tested.
fn write(file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for piece in [first, second] {
        about(Step::Write, path)?;
        file.write_all(piece)?;
    }
    Ok(())
}

/// Cuts a file that is open to `length` bytes.
pub(super) fn cut(file: &File, path: &Path, length: u64) -> io::Result<()> {
    about(Step::Cut, path)?;
    file.set_len(length)?;
    sync(file, path)
}

fn sync(file: &File, path: &Path) -> io::Result<()> {
    about(Step::Sync, path)?;
    file.sync_all()
}

/// Renames a file, over another one where there is one.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    about(Step::Rename, to)?;
    fs::rename(from, to)
}

/// Makes a rename in `path`'s folder last. Only Unix can open a folder to sync it.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    about(Step::SyncFolder, path)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    about(Step::Remove, path)?;
    fs::remove_file(path)
}
