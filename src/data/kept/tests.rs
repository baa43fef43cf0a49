use std::path::PathBuf;

use super::*;
use crate::config::experiment::{DataSource, Paths, TokenizerKind};
use crate::data::corpus;
use crate::data::tests::plan_of;

struct Shop {
    folder: tempfile::TempDir,
    plan: DataPlan,
}

impl Shop {
    fn new(tokenizer: TokenizerKind) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.txt");
        std::fs::write(&path, "Some words, then <|endoftext|> and others.\n".repeat(3000)).unwrap();
        let plan = DataPlan { tokenizer, ..plan_of(DataSource::Path(path)) };
        Shop { folder, plan }
    }

    fn text(&self) -> PathBuf {
        self.folder.path().join("text.txt")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn load(&self) -> Loaded {
        let sources = corpus::open(&self.plan).unwrap();
        load(&self.plan, None, &sources, &self.data(), &|_| true).unwrap()
    }

    fn find(&self) -> Option<Loaded> {
        let sources = corpus::open(&self.plan).unwrap();
        find(&self.plan, None, &sources, &self.data()).unwrap()
    }

    fn in_memory(&self) -> Loaded {
        in_memory(&self.plan, None, &corpus::open(&self.plan).unwrap(), &|_| true).unwrap()
    }
}

/// Ids, counts and sums, which are the same wherever tokens lie.
fn facts(loaded: &Loaded) -> Vec<(Vec<u32>, String, [u64; 4])> {
    let of_text = |text: &Tokenized| {
        let about = &text.about;
        let counts = [about.bytes, about.documents, about.written_marks, about.ends];
        (text.tokens.to_vec().unwrap(), about.sha256.clone(), counts)
    };
    loaded.texts.iter().map(of_text).collect()
}

#[test]
fn kept_tokens_are_those_that_memory_would_hold_and_are_found_again() {
    for tokenizer in [TokenizerKind::Gpt2, TokenizerKind::Char, TokenizerKind::Byte] {
        let shop = Shop::new(tokenizer);
        assert!(shop.find().is_none(), "nothing is made by looking");
        let (made, held) = (shop.load(), shop.in_memory());
        assert_eq!((made.kept.len(), facts(&made)), (1, facts(&held)), "{tokenizer:?}");
        let found = shop.find().expect("kept");
        assert_eq!((found.kept.len(), facts(&found), &found.tokenizer), (0, facts(&held), &held.tokenizer));
        assert_eq!(shop.load().kept.len(), 0);
    }
}

#[test]
fn a_text_that_changed_is_read_again_also_where_size_and_time_are_as_before() {
    let shop = Shop::new(TokenizerKind::Gpt2);
    let before = facts(&shop.load());
    let time = std::fs::metadata(shop.text()).unwrap().modified().unwrap();
    let text = std::fs::read_to_string(shop.text()).unwrap();
    std::fs::write(shop.text(), text.replace("others", "anyone")).unwrap();
    std::fs::File::options().write(true).open(shop.text()).unwrap().set_modified(time).unwrap();
    assert!(shop.find().is_none());
    let after = shop.load();
    assert_eq!(after.kept.len(), 1);
    assert_ne!(facts(&after), before);
}

#[test]
fn the_same_text_elsewhere_has_the_same_tokens_and_other_settings_have_others() {
    let mut shop = Shop::new(TokenizerKind::Gpt2);
    let before = shop.load();
    let copy = shop.folder.path().join("copy.txt");
    std::fs::rename(shop.text(), &copy).unwrap();
    shop.plan.path = Paths(vec![copy]);
    let moved = shop.load();
    assert_eq!((moved.kept.len(), facts(&moved)), (0, facts(&before)));
    shop.plan.special_tokens = false;
    let other = shop.load();
    assert_eq!(other.kept.len(), 1);
    assert_ne!(facts(&other), facts(&before));
}

#[test]
fn damaged_tokens_are_noticed_said_and_made_again() {
    let damage: [fn(&mut Vec<u8>); 3] =
        [|bytes| bytes[1234] ^= 1, |bytes| bytes.truncate(100), |bytes| bytes.extend([0, 0])];
    for damage in damage {
        let shop = Shop::new(TokenizerKind::Gpt2);
        let made = shop.load();
        let (path, before) = (&made.kept[0].0, facts(&made));
        let mut bytes = std::fs::read(path).unwrap();
        damage(&mut bytes);
        std::fs::write(path, bytes).unwrap();
        assert!(shop.find().is_none());
        let again = shop.load();
        assert_eq!((again.kept.len(), again.notices.len()), (1, 1));
        assert!(again.notices[0].contains("kept tokens are damaged"), "{:?}", again.notices);
        assert!(facts(&again) == before);
        assert!(shop.find().is_some());
    }
}

#[test]
fn where_nothing_can_be_kept_tokens_are_held_in_memory() {
    let shop = Shop::new(TokenizerKind::Gpt2);
    std::fs::write(shop.data(), "a file, where the folder should be").unwrap();
    let loaded = shop.load();
    assert_eq!(facts(&loaded), facts(&shop.in_memory()));
    assert!(loaded.notices[0].contains("RUNNER_DATA_DIR"), "{:?}", loaded.notices);
}

#[test]
fn a_file_of_tokens_is_not_copied() {
    let mut shop = Shop::new(TokenizerKind::Gpt2);
    let path = shop.folder.path().join("train.bin");
    std::fs::write(&path, [15496u16, 11, 50_256].map(u16::to_le_bytes).concat()).unwrap();
    shop.plan.path = Paths(vec![path]);
    let made = shop.load();
    assert_eq!((made.kept.len(), facts(&made)), (0, facts(&shop.in_memory())));
    assert_eq!(facts(&shop.find().expect("seen")), facts(&made));
}
