//! The levels of the folders.

/// The folders, the lowest level first. The files beside `lib.rs` are the level below the first one.
pub const LEVELS: [&str; 9] =
    ["packet", "event", "os", "ffi", "dispatch", "handle", "group", "session", "tokio"];

/// The folders that may have `unsafe`.
pub const UNSAFE: [&str; 2] = ["os", "ffi"];

/// Returns the folder of a file: the first part of its path, and nothing for a file beside `lib.rs`.
pub(crate) fn folder(file: &str) -> &str {
    file.split_once('/').map_or("", |(folder, _)| folder)
}

/// Returns the level of a file, if its folder has one.
pub(crate) fn level(file: &str) -> Option<usize> {
    match folder(file) {
        "" => Some(0),
        folder => LEVELS.iter().position(|&level| level == folder).map(|level| level + 1),
    }
}

/// Returns the text for the level of a file in messages.
pub(crate) fn place(file: &str) -> String {
    match folder(file) {
        "" => "beside lib.rs".to_string(),
        folder => format!("in {folder}/"),
    }
}
