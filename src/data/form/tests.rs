use std::io::Write as _;
use std::path::PathBuf;

use super::*;

fn file(folder: &tempfile::TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn files_that_are_no_text_are_recognised_by_their_first_bytes_and_get_the_right_advice() {
    let folder = tempfile::tempdir().unwrap();
    let utf16: Vec<u8> = "plain text\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut safetensors = 60u64.to_le_bytes().to_vec();
    safetensors.extend(b"{\"x\":{\"dtype\":\"F32\"}}");
    let mut tar = vec![b'a'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let cases: &[(&str, &[u8], &str, &str)] = &[
        ("model.bin", b"PK\x03\x04..archive/data.pkl..", "a PyTorch file", "train.init_from"),
        ("model.txt", b"\x80\x02\x8a\x0alnt", "a PyTorch file", "train.init_from"),
        ("data.bin", b"\x80\x04\x95\x10\0\0\0\0", "a Python pickle", "train.init_from"),
        ("model.bin", &safetensors, "a safetensors file", "train.init_from"),
        ("a.txt", b"PK\x03\x04\x14\0\0\0notes.txt", "a zip archive", "unpack it"),
        ("a.txt", b"PK\x03\x04\x14\0\0\0word/document.xml", "an office document", "save its text"),
        ("a.txt", b"%PDF-1.7\n%\xe2\xe3", "a PDF document", "pdftotext"),
        ("a.txt", b"SQLite format 3\0\x10\0", "an SQLite database", "json_object"),
        ("a.txt", b"\xff\xfeh\0i\0", "UTF-16", "iconv -f UTF-16 -t UTF-8"),
        ("a.txt", &utf16, "UTF-16", "iconv -f UTF-16LE"),
        ("a.txt", b"\0\0\xfe\xff\0\0\0h", "UTF-32", "iconv -f UTF-32"),
        ("a.txt", b"\x93NUMPY\x01\0", "a NumPy array", "astype(\"uint16\")"),
        ("a.txt", b"BZh91AY&SY\xa3\x07\0", "a bzip2 file", "bunzip2"),
        ("a.txt", b"ORC\n\x03\0\0", "an ORC table", "to_json"),
        ("a.txt", b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS", "git lfs pull"),
        ("a.txt", b"GGUF\x03\0\0\0", "a GGUF model", "train.init_from"),
        ("a.txt", &tar, "a tar archive", "unpack it"),
        ("a.json", b"[{\"text\": \"x\"}]", "one JSON list", "jq -c"),
        ("a.dat", b"\x01\0\xff\xfe\0\x9c", "a binary file", ".jsonl"),
    ];
    for (name, content, what, advice) in cases {
        let message = recognise(&file(&folder, name, content)).expect_err(what).to_string();
        assert!(message.contains(what) && message.contains(advice), "{name}: {message}");
        assert!(what.contains("UTF") || !message.contains("iconv"), "{message}");
    }
}

#[test]
fn what_is_packed_is_recognised_by_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let gzip = |content: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(content).unwrap();
        packed.finish().unwrap()
    };
    let zstd = |content: &[u8]| zstd::encode_all(content, 1).unwrap();
    let text = b"some text\n";
    assert_eq!(recognise(&file(&folder, "a", &gzip(text))).unwrap(), (Form::Text, Packing::Gzip));
    assert_eq!(recognise(&file(&folder, "a.txt", &zstd(text))).unwrap(), (Form::Text, Packing::Zstd));
    let line = b"{\"text\": \"x\"}\n";
    assert_eq!(
        recognise(&file(&folder, "a.jsonl.gz", &gzip(line))).unwrap(),
        (Form::JsonLines, Packing::Gzip)
    );
    assert_eq!(
        recognise(&file(&folder, "a.ndjson.zst", &zstd(line))).unwrap(),
        (Form::JsonLines, Packing::Zstd)
    );
    assert_eq!(recognise(&file(&folder, "a.json", line)).unwrap(), (Form::JsonLines, Packing::None));
    assert_eq!(recognise(&file(&folder, "b.json", b"{\n  \"text\": 1\n}\n")).unwrap().0, Form::Text);
    let mut tar = vec![b'a'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    for name in ["a.tar.gz", "a.tgz"] {
        let message = recognise(&file(&folder, name, &gzip(&tar))).unwrap_err().to_string();
        assert!(message.contains("an archive of several files"), "{message}");
    }
    let message = recognise(&file(&folder, "b.gz", &gzip(b"%PDF-1.4"))).unwrap_err().to_string();
    assert!(message.contains("a PDF document"), "{message}");
}

#[test]
fn a_bin_file_is_text_where_it_is_and_token_ids_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<u8> = [15496u16, 11, 995].into_iter().flat_map(u16::to_le_bytes).collect();
    assert_eq!(recognise(&file(&folder, "train.bin", &ids)).unwrap().0, Form::Tokens(Header::NANOGPT));
    assert_eq!(recognise(&file(&folder, "notes.bin", b"text\n")).unwrap().0, Form::Text);
    let letters: Vec<u8> = "hello".bytes().flat_map(|letter| [letter, 0]).collect();
    assert_eq!(recognise(&file(&folder, "bytes.bin", &letters)).unwrap().0, Form::Tokens(Header::NANOGPT));
    let mut other = 20_240_801u32.to_le_bytes().to_vec();
    other.resize(1024, 0);
    let message = recognise(&file(&folder, "llama.bin", &other)).unwrap_err().to_string();
    assert!(message.contains("Llama 3"), "{message}");
}

#[test]
fn a_text_that_begins_with_the_letters_of_another_form_is_a_text() {
    let folder = tempfile::tempdir().unwrap();
    for text in [
        "ORC CHIEF. To arms!\n",
        "RIFF raff, street rat\n",
        "ID3 tags explained: \u{e9}\n",
        "GGUF and PAR1\n",
    ] {
        assert_eq!(recognise(&file(&folder, "a.txt", text.as_bytes())).unwrap().0, Form::Text, "{text}");
        assert_eq!(plain_text(text.as_bytes().to_vec()).as_deref(), Ok(text));
    }
}

#[test]
fn what_is_wanted_as_plain_text_and_is_not_is_said() {
    assert_eq!(plain_text("\u{feff}a\u{feff}".into()).as_deref(), Ok("a\u{feff}"));
    let utf16: Vec<u8> = "plain text\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, what) in [
        (utf16, "UTF-16"),
        (b"version https://git-lfs.github.com/spec/v1\noid".to_vec(), "git lfs pull"),
        (b"caf\xe9".to_vec(), "byte 3 begins no character"),
    ] {
        let problem = plain_text(bytes).expect_err(what);
        assert!(problem.contains(what), "{problem}");
    }
}
