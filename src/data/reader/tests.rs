use std::io::Write as _;
use std::path::PathBuf;

use crate::config::experiment::{DataPlan, DataSource, Paths, TokenizerKind};
use crate::data::tests::{ids, plan_of};
use crate::data::tokenizer::Tokenizer;
use crate::data::{Dataset, load};

struct Shop(tempfile::TempDir);

impl Shop {
    fn new() -> Self {
        Shop(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    fn gzip(&self, name: &str, content: &str) -> PathBuf {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(content.as_bytes()).unwrap();
        self.write(name, packed.finish().unwrap())
    }
}

fn gpt2(path: PathBuf) -> DataPlan {
    DataPlan { tokenizer: TokenizerKind::Gpt2, ..plan_of(DataSource::Path(path)) }
}

fn text_of(data: &Dataset) -> String {
    data.tokenizer.decode(&ids(&data.train))
}

fn refused(plan: &DataPlan) -> String {
    load(plan).expect_err("bad input").to_string()
}

const ROWS: &str = "{\"id\": 1, \"text\": \"One \\u00e9\\n\"}\n\n{\"text\":\"Two\",\"meta\":{\"a\":[1]}}\r\n{\"text\":null}\n";

#[test]
fn rows_of_json_lines_are_documents_packed_or_not() {
    let shop = Shop::new();
    let zstd = shop.write("c.jsonl.zst", zstd::encode_all(ROWS.as_bytes(), 1).unwrap());
    for path in [shop.write("a.jsonl", ROWS), shop.gzip("b.jsonl.gz", ROWS), zstd] {
        let data = load(&gpt2(path)).unwrap();
        assert_eq!(text_of(&data), "One é\n<|endoftext|>Two");
        assert_eq!((data.documents, data.ends), (2, 1));
        assert_eq!(data.notices, ["rows without text, which were passed over: 1"]);
    }
}

#[test]
fn another_column_can_be_named_and_a_wrong_row_is_named_with_its_line() {
    let shop = Shop::new();
    let path = shop.write("a.jsonl", "{\"content\": \"x\", \"n\": 1}\n");
    let plan = DataPlan { text_column: "content".to_owned(), ..gpt2(path.clone()) };
    assert_eq!(text_of(&load(&plan).unwrap()), "x");
    let message = refused(&gpt2(path.clone()));
    assert!(message.contains("a.jsonl, line 1: there is no key `text`: it has `content`, `n`"), "{message}");
    let message = refused(&DataPlan { text_column: "n".to_owned(), ..gpt2(path) });
    assert!(message.contains("`n` is a number and not a string"), "{message}");
    let message = refused(&gpt2(shop.write("b.jsonl", "{\"text\": \"x\"}\n{\"text\": \"y\n")));
    assert!(message.contains("b.jsonl, line 2: this is not a JSON object"), "{message}");
}

#[test]
fn packed_text_is_the_text_and_a_damaged_file_is_an_error() {
    let shop = Shop::new();
    let text = "A line of text.\n".repeat(5000);
    let path = shop.gzip("a.txt.gz", &text);
    let (plain, packed) =
        (load(&gpt2(shop.write("a.txt", &text))).unwrap(), load(&gpt2(path.clone())).unwrap());
    assert_eq!(ids(&packed.train), ids(&plain.train));
    assert_eq!((packed.sha256, packed.bytes), (plain.sha256, plain.bytes));
    let whole = std::fs::read(&path).unwrap();
    let message = refused(&gpt2(shop.write("cut.txt.gz", &whole[..whole.len() / 2])));
    assert!(message.contains("cut.txt.gz could not be read"), "{message}");
    // Two members, one behind the other, are one file.
    let twice = load(&gpt2(shop.write("twice.gz", [whole.clone(), whole].concat()))).unwrap();
    assert_eq!(twice.bytes, 2 * plain.bytes);
}

#[test]
fn files_of_a_folder_are_documents() {
    let shop = Shop::new();
    shop.write("f/a.txt", "One.");
    shop.write("f/b.jsonl", ROWS);
    shop.gzip("f/c.md.gz", "Last.");
    shop.write("f/d.csv", "left,out");
    let folder = shop.0.path().join("f");
    let data = load(&gpt2(folder.clone())).unwrap();
    assert_eq!(text_of(&data), "One.<|endoftext|>One é\n<|endoftext|>Two<|endoftext|>Last.");
    assert_eq!((data.documents, data.ends), (4, 3));
    let data = load(&DataPlan { tokenizer: TokenizerKind::Char, ..gpt2(folder) }).unwrap();
    assert_eq!(text_of(&data), "One.\nOne é\n\nTwo\nLast.");
}

#[test]
fn a_byte_order_mark_at_the_head_of_a_text_is_left_out_and_said() {
    let shop = Shop::new();
    for tokenizer in [TokenizerKind::Gpt2, TokenizerKind::Char, TokenizerKind::Byte] {
        let path = shop.write("a.txt", "\u{feff}ab\u{feff}c");
        let data = load(&DataPlan { tokenizer, ..gpt2(path) }).unwrap();
        assert_eq!(text_of(&data), "ab\u{feff}c", "{tokenizer:?}");
        assert!(data.notices[0].contains("byte order mark (U+FEFF) at the head of"), "{:?}", data.notices);
    }
    shop.write("f/a.txt", "\u{feff}a");
    shop.write("f/b.txt", "\u{feff}b");
    let data = load(&DataPlan { tokenizer: TokenizerKind::Char, ..gpt2(shop.0.path().join("f")) }).unwrap();
    assert_eq!((text_of(&data).as_str(), data.tokenizer.vocab_size()), ("a\nb", 3));
    assert!(data.notices[0].contains("and of 1 more"), "{:?}", data.notices);
    let message = refused(&gpt2(shop.write("only.txt", "\u{feff}")));
    assert!(message.contains("is empty"), "{message}");
}

#[test]
fn a_mark_that_is_read_as_characters_is_said() {
    let shop = Shop::new();
    let path = shop.write("a.txt", "a<|endoftext|>b<|endoftext|>");
    let data = load(&DataPlan { tokenizer: TokenizerKind::Byte, ..gpt2(path.clone()) }).unwrap();
    assert!(
        data.notices[0].contains("in the text 2 times") && data.notices[0].contains("byte"),
        "{:?}",
        data.notices
    );
    let data = load(&gpt2(path.clone())).unwrap();
    assert_eq!((ids(&data.train), data.ends), (vec![64, 50_256, 65, 50_256], 2));
    assert!(data.notices.is_empty());
    let data = load(&DataPlan { special_tokens: false, ..gpt2(path) }).unwrap();
    assert_eq!(data.train.len(), Tokenizer::Gpt2.encode("a<|endoftext|>b<|endoftext|>").len());
    assert!(data.notices[0].contains("data.special_tokens is false"), "{:?}", data.notices);
}

fn shorts(ids: &[u16]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

fn llm_c(ids: &[u16], said: u32) -> Vec<u8> {
    let mut header = [0u32; 256];
    header[..3].copy_from_slice(&[20_240_520, 1, said]);
    let header: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    [header, shorts(ids)].concat()
}

#[test]
fn token_files_of_nanogpt_and_llm_c_are_read_where_they_lie() {
    let shop = Shop::new();
    let tokens = [50_256, 15496, 11, 995, 50_256];
    let raw = load(&gpt2(shop.write("train.bin", shorts(&tokens)))).unwrap();
    let headed = load(&gpt2(shop.write("shard.bin", llm_c(&tokens, 5)))).unwrap();
    for data in [raw, headed] {
        assert_eq!(ids(&data.train), tokens.map(u32::from));
        assert_eq!((data.ends, data.bytes), (2, 10));
    }
    let half =
        load(&DataPlan { val_fraction: 0.4, ..gpt2(shop.write("train.bin", shorts(&tokens))) }).unwrap();
    assert_eq!((ids(&half.train), ids(&half.val)), (vec![50_256, 15496, 11], vec![995, 50_256]));
}

#[test]
fn token_files_that_do_not_fit_are_refused() {
    let shop = Shop::new();
    let message = refused(&gpt2(shop.write("a.bin", shorts(&[1, 60_000, 2]))));
    assert!(message.contains("the id 60000, and the tokenizer gpt2 has 50257"), "{message}");
    let message = refused(&gpt2(shop.write("b.bin", &shorts(&[1, 50_000, 2])[..5])));
    assert!(message.contains("cut short"), "{message}");
    let message = refused(&gpt2(shop.write("c.bin", llm_c(&[1, 2, 3], 7))));
    assert!(message.contains("its header says 7 tokens and 3 are there"), "{message}");
    let wide: Vec<u8> = (100..200u32).flat_map(u32::to_le_bytes).collect();
    let message = refused(&gpt2(shop.write("wide.bin", wide)));
    assert!(message.contains("as if these were ids of 32 or 64 bits"), "{message}");
    let path = shop.write("d.bin", shorts(&[1, 300, 2]));
    let message = refused(&DataPlan { tokenizer: TokenizerKind::Byte, ..gpt2(path.clone()) });
    assert!(message.contains("the id 300, and the tokenizer byte has 256"), "{message}");
    let message = refused(&DataPlan { tokenizer: TokenizerKind::Char, ..gpt2(path.clone()) });
    assert!(message.contains("only numbers"), "{message}");
    let both = Paths(vec![path, shop.write("a.txt", "x")]);
    let message = refused(&DataPlan { path: both, ..gpt2(PathBuf::new()) });
    assert!(message.contains("not joined with other files"), "{message}");
}

#[test]
fn a_list_of_paths_is_joined_or_mixed_by_weights() {
    let shop = Shop::new();
    let source =
        DataSource::Paths(vec![shop.write("a.txt", "a".repeat(400)), shop.write("b.txt", "b".repeat(4000))]);
    let joined = plan_of(source);
    let data = load(&joined).unwrap();
    assert_eq!((data.documents, data.train.len()), (2, 4401));
    let mixed = load(&DataPlan { weights: vec![3.0, 1.0], val_fraction: 0.1, ..joined }).unwrap();
    assert_eq!((mixed.train.len(), mixed.val.len()), (360 + 3600, 440));
    let windows = crate::data::evaluation_batches(&mixed.val, 1, 5, 8).map(|batch| batch.unwrap().inputs[0]);
    let (a, b): (Vec<u32>, Vec<u32>) = windows.partition(|&id| id == u32::from(b'a'));
    assert_eq!((a.len(), b.len()), (6, 2));
}

#[test]
fn files_of_a_folder_that_are_not_read_are_counted() {
    let shop = Shop::new();
    shop.write("f/a.txt", "One.");
    shop.write("f/b.PNG", "x");
    shop.write("f/c.png", "x");
    shop.write("f/LICENSE", "x");
    shop.write("f/.hidden.png", "x");
    shop.write("f/d.txt", "");
    shop.gzip("f/e.txt.gz", "");
    shop.write("f/g.txt", "\u{feff}");
    shop.write("f/h.jsonl", "{\"text\": null}\n");
    let folder = shop.0.path().join("f");
    let data = load(&gpt2(folder.clone())).unwrap();
    assert_eq!((text_of(&data).as_str(), data.documents), ("One.", 1));
    let notices = data.notices.join("\n");
    for part in [
        "3 whose names do not end as those of texts do (.png: 2, no ending: 1); 2 empty",
        "without text, and passed over: ",
        "g.txt, and 1 more",
    ] {
        assert!(notices.contains(part), "{part}: {notices}");
    }
    std::fs::remove_file(folder.join("a.txt")).unwrap();
    let message = refused(&gpt2(folder.clone()));
    assert!(message.contains("g.txt is empty"), "{message}");
    for file in ["g.txt", "h.jsonl"] {
        std::fs::remove_file(folder.join(file)).unwrap();
    }
    let message = refused(&gpt2(folder));
    assert!(message.contains("d.txt is empty"), "{message}");
}
