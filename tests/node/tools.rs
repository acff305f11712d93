//! Programs of others that some tests need; where one is absent the test says plainly that it was skipped.

use crate::skipped::absent;
use std::path::PathBuf;

/// The path of a program, if it is installed.
pub fn find(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// As [`find`], and says that the test is skipped where it is not there.
pub fn find_or_skip(name: &str, test: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        absent(name, test);
    }
    found
}

/// A folder of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
