use super::*;
use crate::config::experiment::Separator;
use crate::data::encode::Target;
use crate::data::tests::{plan_of as plan, tiny_shakespeare};
use crate::files::sha256;

impl Target for String {
    fn text(&mut self, text: &str) -> Result<(), DataError> {
        self.push_str(text);
        Ok(())
    }

    fn mark(&mut self) {
        self.push('|');
    }
}

/// The text of a source, documents joined by line breaks.
fn read(source: &DataSource) -> Result<(String, String, Vec<String>), DataError> {
    let mut text = String::new();
    let mut joiner = Joiner::new(Separator::LineBreak, true, true, &mut text);
    let mut notices = Vec::new();
    for source in open(&plan(source.clone()))? {
        notices.extend(source.notices.clone());
        notices.extend(source.read("text", &|_| true, &mut joiner)?);
    }
    let sha256 = joiner.finish().sha256;
    Ok((text, sha256, notices))
}

pub fn text_of(path: &Path) -> Result<String, DataError> {
    read(&DataSource::Path(path.to_owned())).map(|(text, ..)| text)
}

fn embedded() -> DataSource {
    DataSource::Corpus("salt-crown".to_owned())
}

#[test]
fn the_embedded_corpus_is_there_without_files_or_network() {
    assert_eq!(preflight(&plan(embedded())).expect("known"), Found::Embedded);
    let (text, sum, _) = read(&embedded()).expect("embedded");
    assert!(!text.trim().is_empty());
    assert_eq!(sum, sha256(text.as_bytes()));
}

#[test]
fn sha256_is_that_of_the_standard() {
    // FIPS 180-2, appendix B.1.
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
#[cfg_attr(
    not(tiny_shakespeare),
    ignore = "Tiny Shakespeare is not here: set RUNNER_TEST_DATA to the folder of tinyshakespeare/input.txt"
)]
fn the_address_of_tinyshakespeare_goes_with_the_real_file() {
    let text = tiny_shakespeare();
    let Place::Remote(remote) = &known("tinyshakespeare").expect("known").place else {
        panic!("tinyshakespeare is downloaded");
    };
    assert_eq!(remote.bytes, text.len() as u64);
    assert_eq!(remote.sha256, sha256(text.as_bytes()));
}

#[test]
fn an_unknown_corpus_is_answered_with_the_known_ones() {
    let source = DataSource::Corpus("tinyshakespear".to_owned());
    for error in [read(&source).expect_err("unknown"), preflight(&plan(source.clone())).expect_err("unknown")]
    {
        let message = error.to_string();
        assert!(
            message.contains("\"tinyshakespear\"")
                && message.contains("salt-crown, tinyshakespeare, wall-letters")
        );
    }
}

#[test]
fn preflight_finds_what_reading_would_complain_about() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let empty = folder.path().join("empty.txt");
    std::fs::write(&empty, "").expect("writable");
    for path in [folder.path().join("missing.txt"), empty] {
        let source = DataSource::Path(path);
        let reading = read(&source).expect_err("bad input").to_string();
        let looking = preflight(&plan(source)).expect_err("bad input").to_string();
        assert_eq!(reading, looking);
    }
}

#[test]
fn preflight_counts_a_folder_and_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("a.txt"), "1234").expect("writable");
    std::fs::write(folder.path().join("b.md"), "56").expect("writable");
    let found = preflight(&plan(DataSource::Path(folder.path().to_owned()))).expect("text is there");
    assert_eq!(found, Found::Folder { files: 2, bytes: 6 });
    let found = preflight(&plan(DataSource::Path(folder.path().join("a.txt")))).expect("text is there");
    assert_eq!(found, Found::File { bytes: 4 });
}
