//! Where files are opened: regular files and nothing else, and never for longer than that takes.
//!
//! Of a named pipe nobody knows when its other end comes, so that opening one can take for ever; a device may have no end. And where
//! this program writes, somebody may have put a link to a file of theirs: what belongs to a run is written where the run is.
//! What something is, is asked of what was opened, so that nobody can put another thing there in between.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// Something else than a regular file stands where one should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPlain {
    #[error(
        "it is a symbolic link, and nothing is written through links here; delete the link, or put a file of its own in its place"
    )]
    Link,
    #[error(
        "it is a symbolic link, and nothing is written through links here; put a folder of its own in its place (runs can lie on \
         another disk as a whole: say --runs-dir, or make the folder of all runs a link)"
    )]
    LinkedFolder,
    #[error("it is {0}, not a regular file; put a regular file in its place")]
    Other(&'static str),
    #[error("it is a file where a folder should be; move it away")]
    NoFolder,
}

/// What stood in the way of opening a file, if it was not the system.
pub fn not_plain(error: &io::Error) -> Option<NotPlain> {
    error.get_ref()?.downcast_ref().copied()
}

/// The usual advice behind an error of writing, unless the error brings its own.
pub fn advice<'a>(error: &io::Error, usual: &'a str) -> &'a str {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory};
    match error.kind() {
        _ if not_plain(error).is_some() => "",
        AlreadyExists | DirectoryNotEmpty | IsADirectory | NotADirectory => {
            "; something else lies in its place: move that away and try again"
        }
        _ => usual,
    }
}

/// Opens a file for reading. Links are followed: people keep corpora and weights elsewhere.
///
/// # Errors
/// What the system says, or [`NotPlain`].
pub fn open(path: &Path) -> io::Result<File> {
    open_with(path, OpenOptions::new().read(true), Links::Followed)
}

/// [`open`], for what a person named on the command line: it may also be a pipe that this process was started with, as the shell's
/// `<(...)` or `/dev/stdin`. Its other end is there, and somebody waits for it knowingly.
///
/// # Errors
/// As [`open`].
pub fn open_given(path: &Path) -> io::Result<File> {
    if is_handed_over(path) { File::open(path) } else { open(path) }
}

/// Whether the path means a file that was open when this process began.
fn is_handed_over(path: &Path) -> bool {
    cfg!(unix)
        && (path == Path::new("/dev/stdin")
            || ["/dev/fd", "/proc/self/fd"].iter().any(|fds| path.starts_with(fds)))
}

/// The bytes of a file.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    // As `fs::read` does: weights should not be copied each time that a vector grows.
    let length = file.metadata().map_or(0, |meta| meta.len());
    bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX))?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file.
///
/// # Errors
/// As [`open`]; when it is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))
}

/// The text of a file that a person named: see [`open_given`].
///
/// # Errors
/// As [`read_to_string`].
pub fn read_given_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open_given(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// A file of this program's own, read where it lies: a link is none.
///
/// # Errors
/// As [`open`].
pub fn open_own(path: &Path) -> io::Result<File> {
    open_with(path, OpenOptions::new().read(true), Links::Refused)
}

/// A file to be written to behind what is in it; made if it is not there.
///
/// # Errors
/// What the system says, or [`NotPlain`], for links too.
pub fn append(path: &Path) -> io::Result<File> {
    open_with(path, OpenOptions::new().create(true).append(true), Links::Refused)
}

/// A file that is there, to be cut shorter.
///
/// # Errors
/// As [`append`].
pub fn edit(path: &Path) -> io::Result<File> {
    open_with(path, OpenOptions::new().write(true), Links::Refused)
}

/// A file to hold a lock on, with what stands in it; made if it is not there.
///
/// # Errors
/// As [`append`].
pub fn open_lock(path: &Path) -> io::Result<File> {
    open_with(path, OpenOptions::new().read(true).write(true).create(true).truncate(false), Links::Refused)
}

/// A folder to hold a lock on, where the system has locks on folders.
///
/// # Errors
/// What the system says.
pub fn open_folder(path: &Path) -> io::Result<File> {
    // The slash makes the system refuse what is no folder, a pipe included, before it opens it.
    File::open(path.join(""))
}

/// A file that was not there before.
///
/// # Errors
/// What the system says; when anything is there, a link that leads nowhere included.
pub fn create_new(path: &Path) -> io::Result<File> {
    File::create_new(path)
}

/// Writes a file that was not there before.
///
/// # Errors
/// As [`create_new`].
pub fn write_new(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    create_new(path)?.write_all(bytes.as_ref())
}

/// A file that a person wants to have here, emptied; made if it is not there. Links are followed: a person put them there.
///
/// # Errors
/// As [`open`].
pub fn create(path: &Path) -> io::Result<File> {
    // Emptied last, when it is known to be a file.
    let file = open_with(path, OpenOptions::new().write(true).create(true).truncate(false), Links::Followed)?;
    file.set_len(0)?;
    Ok(file)
}

/// Looks whether a regular file or nothing is at `path`, before it is opened and found out much later.
///
/// # Errors
/// [`NotPlain`], for links too.
pub fn check(path: &Path) -> io::Result<()> {
    obstacle(path, Links::Refused).map_or(Ok(()), |obstacle| Err(io::Error::other(obstacle)))
}

/// Looks whether a folder or nothing is at `path`.
///
/// # Errors
/// [`NotPlain`], for links to folders too.
pub fn check_folder(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => Err(io::Error::other(NotPlain::LinkedFolder)),
        Ok(meta) if !meta.is_dir() => Err(io::Error::other(NotPlain::NoFolder)),
        _ => Ok(()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    Followed,
    Refused,
}

fn open_with(path: &Path, options: &mut OpenOptions, links: Links) -> io::Result<File> {
    #[cfg(unix)]
    {
        use nix::fcntl::OFlag;
        use std::os::unix::fs::OpenOptionsExt;
        // A terminal does not become this process's own.
        let mut flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        flags.set(OFlag::O_NOFOLLOW, links == Links::Refused);
        options.custom_flags(flags.bits());
    }
    // Elsewhere there are no pipes among the files, and no such flag.
    #[cfg(not(unix))]
    if links == Links::Refused {
        check(path)?;
    }
    let file = options.open(path).map_err(|error| match obstacle(path, links) {
        // The system says "too many levels of symbolic links" of one, and "no such device or address" of a pipe.
        Some(obstacle) => io::Error::other(obstacle),
        None => error,
    })?;
    if let Some(kind) = other_kind(file.metadata()?.file_type()) {
        return Err(io::Error::other(NotPlain::Other(kind)));
    }
    #[cfg(unix)]
    wait_again(&file)?;
    Ok(file)
}

/// Whoever reads or writes the file waits for it as usual: it is also handed to other processes.
#[cfg(unix)]
fn wait_again(file: &File) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL)?);
    fcntl(file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(())
}

fn obstacle(path: &Path, links: Links) -> Option<NotPlain> {
    let meta = match links {
        Links::Followed => fs::metadata(path),
        Links::Refused => fs::symlink_metadata(path),
    };
    let kind = meta.ok()?.file_type();
    if kind.is_symlink() { Some(NotPlain::Link) } else { other_kind(kind).map(NotPlain::Other) }
}

/// What people call it, if it is no regular file.
fn other_kind(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        return None;
    }
    if kind.is_dir() {
        return Some("a folder");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
        if kind.is_block_device() || kind.is_char_device() {
            return Some("a device");
        }
    }
    Some("something else")
}

#[cfg(all(test, unix))]
#[path = "plain_tests.rs"]
mod tests;
