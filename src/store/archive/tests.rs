use std::fs;
use std::io::Write;
use std::path::Path;

use super::unpack::{Bounds, unpack_within};
use super::*;
use crate::store::{RunDir, fixture};

/// A run with a checkpoint and with what does not belong into an archive.
fn run(runs: &Path) -> RunDir {
    let mut manifest = fixture::manifest("exp", "lr=0.1,seed=1");
    let dir =
        RunDir::create(runs, "exp", "lr=0.1,seed=1", &mut manifest, "[model]\nn_layer = 2\n", |_| Ok(()))
            .unwrap();
    fs::write(dir.metrics(), "step\n".repeat(5000)).unwrap();
    fs::write(dir.path().join("notes (1).txt"), "mine").unwrap();
    let checkpoint = dir.checkpoints().checkpoint(20);
    fs::create_dir_all(&checkpoint).unwrap();
    fs::write(checkpoint.join("model.safetensors"), [7; 999]).unwrap();
    crate::store::checksums::write(&checkpoint).unwrap();
    fs::create_dir_all(dir.checkpoints().path().join("step-000010.damaged")).unwrap();
    fs::write(dir.path().join("lock"), "").unwrap();
    fs::write(dir.path().join(".tmp-abc"), "half").unwrap();
    dir
}

struct Shop {
    _folder: tempfile::TempDir,
    dir: RunDir,
    file: PathBuf,
    /// Another folder of runs, where nothing is.
    elsewhere: PathBuf,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = run(&folder.path().join("runs"));
        let at = |name: &str| folder.path().join(name);
        Self { dir, file: at("run.tar.zst"), elsewhere: at("elsewhere"), _folder: folder }
    }

    fn refusal(&self) -> String {
        let error = unpack(&self.file, &self.elsewhere).expect_err("it should be refused").to_string();
        let left = fs::read_dir(&self.elsewhere).map_or(0, Iterator::count);
        assert_eq!(left, 0, "something was left behind");
        error
    }

    /// An archive of these files, made by hand.
    fn forge(&self, files: &[(&str, tar::EntryType)]) {
        let mut tar =
            tar::Builder::new(zstd::Encoder::new(fs::File::create(&self.file).unwrap(), 1).unwrap());
        for (name, kind) in files {
            let mut header = tar::Header::new_old();
            // Past the checks of whoever writes archives.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(if *kind == tar::EntryType::Regular { 4 } else { 0 });
            if !matches!(kind, tar::EntryType::Regular | tar::EntryType::Directory) {
                header.set_link_name("../../target").unwrap();
            }
            header.set_cksum();
            tar.append(&header, &b"evil"[..header.size().unwrap() as usize]).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
    }
}

#[test]
fn a_run_comes_out_as_it_went_in_without_its_checkpoints() {
    let shop = Shop::new();
    let packed = pack(&shop.dir, &shop.file, false, false).unwrap();
    assert_eq!((packed.files, packed.left_out.len()), (4, 0));
    assert!(is_archive(&shop.file) && !is_archive(&shop.dir.manifest()) && !is_archive(shop.dir.path()));
    assert!(fs::metadata(&shop.file).unwrap().len() < packed.bytes / 5);

    let unpacked = unpack(&shop.file, &shop.elsewhere).unwrap();
    assert_eq!(unpacked.dir.path(), shop.elsewhere.join("exp/lr=0.1,seed=1"));
    assert!(!unpacked.was_there);
    for name in ["manifest.toml", "config.toml", "metrics.csv", "notes (1).txt"] {
        let read = |dir: &RunDir| fs::read(dir.path().join(name)).unwrap();
        assert_eq!(read(&unpacked.dir), read(&shop.dir), "{name}");
    }
    assert_eq!(fs::read_dir(unpacked.dir.path()).unwrap().count(), 4);
    assert_eq!(fs::read_dir(&shop.elsewhere).unwrap().count(), 1);
}

#[test]
fn checkpoints_go_along_if_they_are_asked_for() {
    let shop = Shop::new();
    let packed = pack(&shop.dir, &shop.file, true, false).unwrap();
    assert_eq!(packed.files, 6);
    assert_eq!(packed.left_out, [shop.dir.checkpoints().path().join("step-000010.damaged")]);
    let unpacked = unpack(&shop.file, &shop.elsewhere).unwrap();
    assert_eq!(unpacked.dir.checkpoints().steps().unwrap(), [20]);
}

#[test]
fn notes_and_tagged_checkpoints_go_along_and_are_looked_at_too() {
    let shop = Shop::new();
    fs::write(shop.dir.notes(), "mine").unwrap();
    let tag =
        crate::store::tags::add(&shop._folder.path().join("runs"), &shop.dir, 20, "v1", "x", false).unwrap();
    pack(&shop.dir, &shop.file, true, false).unwrap();
    let unpacked = unpack(&shop.file, &shop.elsewhere).unwrap().dir;
    assert_eq!(fs::read(unpacked.notes()).unwrap(), b"mine");
    let there = crate::store::tags::find(&shop.elsewhere, "v1").unwrap();
    assert_eq!((there.sha256, there.note, there.dir), (tag.sha256.clone(), "x".to_owned(), unpacked));
    // The links would be damaged together.
    fs::remove_file(tag.path().join("model.safetensors")).unwrap();
    fs::write(tag.path().join("model.safetensors"), "other").unwrap();
    let packed = pack(&shop.dir, &shop.file, true, true).unwrap();
    assert_eq!(packed.damaged.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(), [tag.path()]);
}

#[test]
fn an_archive_is_replaced_only_on_demand() {
    let shop = Shop::new();
    pack(&shop.dir, &shop.file, false, false).unwrap();
    let error = pack(&shop.dir, &shop.file, false, false).unwrap_err();
    assert!(matches!(error, ArchiveError::OutExists { .. }));
    pack(&shop.dir, &shop.file, true, true).unwrap();
}

#[test]
fn a_run_that_is_there_already_is_used_and_another_one_is_not_touched() {
    let shop = Shop::new();
    pack(&shop.dir, &shop.file, false, false).unwrap();
    unpack(&shop.file, &shop.elsewhere).unwrap();
    let again = unpack(&shop.file, &shop.elsewhere).unwrap();
    assert!(again.was_there);
    fs::write(again.dir.manifest(), "another").unwrap();
    let error = unpack(&shop.file, &shop.elsewhere).unwrap_err();
    assert!(matches!(error, ArchiveError::OtherRun { .. }), "{error}");
    assert_eq!(fs::read_to_string(again.dir.manifest()).unwrap(), "another");
}

#[test]
fn nothing_is_written_outside_of_the_run() {
    use tar::EntryType::{Directory, Link, Regular, Symlink};
    let shop = Shop::new();
    for (name, kind, reason) in [
        ("exp/run/../../../evil", Regular, "outside of the run"),
        ("/exp/run/evil", Regular, "outside of the run"),
        ("exp/run/link", Symlink, "neither a file nor a folder"),
        ("exp/run/link", Link, "neither a file nor a folder"),
        ("exp/run/fifo", tar::EntryType::Fifo, "neither a file nor a folder"),
        ("exp/evil", Regular, "belongs to no run"),
        (".git/hooks/evil", Regular, "whose name"),
        ("exp/run/c:evil", Regular, "whose name"),
        ("a/b/c/d/e/f/g/h/i/j/k/l/m", Regular, "too deep"),
        ("../evil", Directory, "outside of the run"),
    ] {
        shop.forge(&[("exp/run/manifest.toml", Regular), (name, kind)]);
        let error = shop.refusal();
        assert!(error.contains(reason), "{name}: {error}");
    }
    shop.forge(&[("exp/run/manifest.toml", Regular), ("exp/other/manifest.toml", Regular)]);
    assert!(shop.refusal().contains("another run"));
}

#[test]
fn damaged_archives_are_told_from_archives_of_something_else() {
    let shop = Shop::new();
    pack(&shop.dir, &shop.file, true, false).unwrap();
    let whole = fs::read(&shop.file).unwrap();
    for len in [4, 10, whole.len() / 2, whole.len() - 5] {
        fs::write(&shop.file, &whole[..len]).unwrap();
        assert!(shop.refusal().contains("damaged, or no archive of a run"), "{len} bytes");
    }
    for place in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x20;
        fs::write(&shop.file, bytes).unwrap();
        // What no checksum covers may still come out; nothing may panic or lie elsewhere.
        if unpack(&shop.file, &shop.elsewhere).is_ok() {
            fs::remove_dir_all(&shop.elsewhere).unwrap();
        }
    }
    shop.forge(&[("exp/run/metrics.csv", tar::EntryType::Regular)]);
    assert!(shop.refusal().contains("no manifest.toml"));
    shop.forge(&[]);
    assert!(shop.refusal().contains("it is empty"));
    let mut text = zstd::Encoder::new(fs::File::create(&shop.file).unwrap(), 1).unwrap();
    text.write_all(&b"just a text\n".repeat(100)).unwrap();
    text.finish().unwrap();
    assert!(shop.refusal().contains("no archive of a run"));
}

/// Small ones, so that harmless archives go beyond them.
fn small() -> Bounds {
    Bounds { header_bytes: 4 << 10, bytes: 10_000, bytes_per_byte: 0 }
}

impl Shop {
    /// An archive with a header of this kind and length before its only file, of which only `there` bytes follow.
    fn forge_header(&self, kind: tar::EntryType, claimed: u64, there: &[u8]) {
        let mut tar =
            tar::Builder::new(zstd::Encoder::new(fs::File::create(&self.file).unwrap(), 1).unwrap());
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path("header").unwrap();
        header.set_size(claimed);
        header.set_cksum();
        tar.append(&header, there).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_path("exp/run/manifest.toml").unwrap();
        header.set_size(4);
        header.set_cksum();
        tar.append(&header, &b"text"[..]).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
    }

    fn refusal_within(&self, bounds: Bounds) -> String {
        let error = unpack_within(&self.file, &self.elsewhere, bounds).expect_err("it should be refused");
        let left = fs::read_dir(&self.elsewhere).map_or(0, Iterator::count);
        assert_eq!(left, 0, "something was left behind");
        error.to_string()
    }
}

#[test]
fn names_and_notes_are_read_up_to_a_bound_whatever_they_claim() {
    use tar::EntryType::{GNULongLink, GNULongName, XHeader};
    let shop = Shop::new();
    for kind in [GNULongName, GNULongLink, XHeader] {
        for claimed in [20_000, 8 << 30] {
            shop.forge_header(kind, claimed, &[b'a'; 20_000]);
            let error = shop.refusal_within(small());
            assert!(
                error.contains("too long for any run's") && error.len() < 400,
                "{kind:?} {claimed}: {error}"
            );
        }
    }
    // A real one that is longer than a plain header's name, and of another program.
    shop.forge_header(GNULongName, 150, format!("exp/run/{}", "n".repeat(142)).as_bytes());
    assert!(shop.refusal_within(small()).contains("has no manifest.toml"));
    shop.forge_header(XHeader, 24, b"24 path=exp/run/a/b.txt\n");
    assert!(shop.refusal_within(small()).contains("has no manifest.toml"));
}

#[test]
fn the_bounds_of_names_hold_in_the_program_itself() {
    let shop = Shop::new();
    // Zeros pack well: the archive is small.
    shop.forge_header(tar::EntryType::GNULongName, 8 << 30, &[0; 300 << 10]);
    assert!(fs::metadata(&shop.file).unwrap().len() < 4096);
    assert!(shop.refusal().contains("too long for any run's"));
}

#[test]
fn an_archive_that_grows_beyond_measure_is_refused_before_it_is_written() {
    let shop = Shop::new();
    // 30,000 bytes of the same line, packed into some hundreds.
    pack(&shop.dir, &shop.file, false, false).unwrap();
    let error = shop.refusal_within(small());
    assert!(
        error.contains("its files take more than 0 MiB") && error.contains("nothing was unpacked"),
        "{error}"
    );
    // What its own length allows.
    let packed = fs::metadata(&shop.file).unwrap().len();
    let allowing = Bounds { bytes_per_byte: 40_000 / packed, ..small() };
    unpack_within(&shop.file, &shop.elsewhere, allowing).unwrap();
    fs::remove_dir_all(&shop.elsewhere).unwrap();
    // What a file only claims is not waited for either.
    shop.forge_header(tar::EntryType::Regular, 1 << 40, b"");
    assert!(shop.refusal().contains("belongs to no run"));
    shop.forge_claim("exp/run/manifest.toml", 1 << 40);
    assert!(shop.refusal().contains("its files take more than 256 MiB"));
}

impl Shop {
    /// An archive of one file that says to have so many bytes, and has none.
    fn forge_claim(&self, name: &str, claimed: u64) {
        let mut tar =
            tar::Builder::new(zstd::Encoder::new(fs::File::create(&self.file).unwrap(), 1).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_size(claimed);
        header.set_cksum();
        tar.append(&header, io::empty()).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
    }
}

#[test]
fn names_are_shortened_in_messages() {
    let shop = Shop::new();
    let long = format!("exp/run/{}", "n".repeat(3000));
    shop.forge_header(tar::EntryType::GNULongName, long.len() as u64, long.as_bytes());
    let error = shop.refusal();
    assert!(error.contains("nnn...") && error.contains("whose name") && error.len() < 500, "{error}");
}

#[test]
fn a_bit_that_changes_on_the_way_is_noticed() {
    let shop = Shop::new();
    pack(&shop.dir, &shop.file, false, false).unwrap();
    let whole = fs::read(&shop.file).unwrap();
    // Beyond the header of the frame, each change is one of the content or of its sum.
    for place in (16..whole.len()).step_by(whole.len() / 40 + 1) {
        let mut bytes = whole.clone();
        bytes[place] ^= 4;
        fs::write(&shop.file, bytes).unwrap();
        assert!(unpack(&shop.file, &shop.elsewhere).is_err(), "byte {place}");
        assert!(!shop.elsewhere.join("exp/lr=0.1,seed=1").exists(), "byte {place}");
    }
}
