use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn pipe(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        path
    }
}

type Opening = fn(&Path) -> io::Result<File>;

/// All that opens a file by its path.
const OPENINGS: [(&str, Opening); 7] = [
    ("open", open),
    ("open_given", open_given),
    ("open_own", open_own),
    ("append", append),
    ("edit", edit),
    ("open_lock", open_lock),
    ("create", create),
];
/// Those that stay where the path says.
const OWN: [&str; 4] = ["open_own", "append", "edit", "open_lock"];

#[test]
fn pipes_sockets_devices_and_folders_are_refused_without_waiting_for_them() {
    let folder = Folder::new();
    let _socket = UnixListener::bind(folder.at("socket")).unwrap();
    fs::create_dir(folder.at("folder")).unwrap();
    symlink(folder.pipe("pipe"), folder.at("to-a-pipe")).unwrap();
    for (name, opening) in OPENINGS {
        for (path, kind) in [
            (folder.at("pipe"), "a pipe"),
            (folder.at("socket"), "a socket"),
            (folder.at("folder"), "a folder"),
            (PathBuf::from("/dev/zero"), "a device"),
        ] {
            let error = opening(&path).expect_err(name);
            assert_eq!(not_plain(&error), Some(NotPlain::Other(kind)), "{name}: {error}");
        }
        let expected = if OWN.contains(&name) { NotPlain::Link } else { NotPlain::Other("a pipe") };
        let error = opening(&folder.at("to-a-pipe")).expect_err(name);
        assert_eq!(not_plain(&error), Some(expected), "{name}: {error}");
    }
    assert!(read(&folder.at("pipe")).is_err() && read_to_string(&folder.at("pipe")).is_err());
}

#[test]
fn a_pipe_that_somebody_holds_open_at_its_other_end_is_refused_as_well() {
    let folder = Folder::new();
    let pipe = folder.pipe("pipe");
    // For reading and writing, which waits for nobody.
    let _both_ends = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    for (name, opening) in OPENINGS {
        let error = opening(&pipe).expect_err(name);
        assert_eq!(not_plain(&error), Some(NotPlain::Other("a pipe")), "{name}: {error}");
    }
}

#[test]
fn own_files_are_not_written_through_links_and_those_of_people_are_read_through_them() {
    let folder = Folder::new();
    fs::write(folder.at("theirs"), "kept").unwrap();
    symlink(folder.at("theirs"), folder.at("link")).unwrap();
    symlink(folder.at("nowhere"), folder.at("dangling")).unwrap();
    for (name, opening) in OPENINGS.iter().filter(|(name, _)| OWN.contains(name)) {
        for link in ["link", "dangling"] {
            let error = opening(&folder.at(link)).expect_err(name);
            assert_eq!(not_plain(&error), Some(NotPlain::Link), "{name}: {error}");
        }
    }
    assert!(write_new(&folder.at("dangling"), "x").is_err());
    assert!(!folder.at("nowhere").exists());
    assert_eq!(fs::read_to_string(folder.at("theirs")).unwrap(), "kept");
    assert_eq!(read(&folder.at("link")).unwrap(), b"kept");
    assert_eq!(read_to_string(&folder.at("link")).unwrap(), "kept");
    assert_eq!(open(&folder.at("nowhere")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn what_stands_in_the_way_is_seen_before_anything_is_opened() {
    let folder = Folder::new();
    fs::write(folder.at("file"), "").unwrap();
    fs::create_dir(folder.at("folder")).unwrap();
    symlink(folder.at("folder"), folder.at("link")).unwrap();
    let of = |outcome: io::Result<()>| outcome.map_err(|error| not_plain(&error).unwrap());
    assert_eq!(of(check(&folder.at("file"))), Ok(()));
    assert_eq!(of(check(&folder.at("nowhere"))), Ok(()));
    assert_eq!(of(check(&folder.at("folder"))), Err(NotPlain::Other("a folder")));
    assert_eq!(of(check(&folder.at("link"))), Err(NotPlain::Link));
    assert_eq!(of(check_folder(&folder.at("folder"))), Ok(()));
    assert_eq!(of(check_folder(&folder.at("nowhere"))), Ok(()));
    assert_eq!(of(check_folder(&folder.at("file"))), Err(NotPlain::NoFolder));
    assert_eq!(of(check_folder(&folder.at("link"))), Err(NotPlain::LinkedFolder));
}

#[test]
fn whoever_gets_the_file_waits_for_it_as_usual() {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let folder = Folder::new();
    let file = append(&folder.at("output.log")).unwrap();
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL).unwrap());
    assert!(!flags.contains(OFlag::O_NONBLOCK) && flags.contains(OFlag::O_APPEND), "{flags:?}");
}

#[test]
fn advice_is_about_what_stands_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let error = std::fs::write(folder.path(), "x").unwrap_err();
    assert!(advice(&error, "; free space").contains("something else lies in its place"), "{error}");
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    assert_eq!(advice(&full, "; free space"), "; free space");
}
