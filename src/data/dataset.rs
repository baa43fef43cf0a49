//! A corpus, tokenized and split.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::DataError;
use super::batches::check_length;
use super::corpus;
use super::tokenizer::Tokenizer;
use crate::config::experiment::{DataPlan, RunPlan, TrainPlan, WindowOrder};
use crate::facts::DataInfo;

/// Everything a run needs to know about its data.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The known corpus's name, or the path as given.
    pub name: String,
    /// SHA-256 of exactly the text that was tokenized, hexadecimal.
    pub sha256: String,
    /// Bytes of the text.
    pub bytes: u64,
    pub tokenizer: Tokenizer,
    /// Token ids to train on.
    pub train: Arc<[u32]>,
    /// Token ids to validate on, from the end of the text; empty without `data.val_fraction`.
    pub val: Arc<[u32]>,
    /// What a person should know about how the corpus was obtained: a damaged copy that was downloaded again, a data
    /// folder that cannot be written to.
    pub notices: Vec<String>,
}

/// Reads the plan's corpus (downloading it if need be), tokenizes it and splits it.
///
/// # Errors
/// When the corpus is missing, empty, not UTF-8, or cannot be downloaded. Whether it is long enough for the run is
/// asked with [`Dataset::check`].
pub fn load(plan: &DataPlan) -> Result<Dataset, DataError> {
    load_with(plan, None)
}

/// As [`load`], with the tokenizer of a model that is to be trained further, if one is given. What its vocabulary lacks of the text
/// is left out, and said in [`Dataset::notices`].
///
/// # Errors
/// As [`load`], and when more than one character in a hundred would be left out.
pub fn load_with(plan: &DataPlan, tokenizer: Option<&Tokenizer>) -> Result<Dataset, DataError> {
    let mut corpus = corpus::read(&plan.source)?;
    let tokenizer = match tokenizer {
        Some(tokenizer) => {
            corpus.notices.extend(left_out(tokenizer, &corpus.text)?);
            tokenizer.clone()
        }
        None => Tokenizer::build(plan.tokenizer, &corpus.text),
    };
    let tokens = tokenizer.encode(&corpus.text);
    corpus.notices.extend(named_tokens(&tokenizer, &tokens));
    let (train, val) = tokens.split_at(train_tokens(tokens.len(), plan.val_fraction));
    Ok(Dataset {
        name: corpus.name,
        sha256: corpus.sha256,
        bytes: corpus.text.len() as u64,
        tokenizer,
        train: train.into(),
        val: val.into(),
        notices: corpus.notices,
    })
}

/// In words, which characters of `text` the tokenizer does not know, and how often they are there; `None` if it knows all.
fn left_out(tokenizer: &Tokenizer, text: &str) -> Result<Option<String>, DataError> {
    /// Beyond this share the text would be another one.
    const MOST: f64 = 0.01;
    /// Characters that are named.
    const NAMED: usize = 20;
    let unknown = tokenizer.unknown_chars(text);
    if unknown.is_empty() {
        return Ok(None);
    }
    let all = text.chars().count();
    let missing = text.chars().filter(|c| unknown.binary_search(c).is_ok()).count();
    let mut named = unknown.iter().take(NAMED).map(|c| format!("{c:?}")).collect::<Vec<_>>().join(", ");
    if unknown.len() > NAMED {
        named.push_str(&format!(" and {} more", unknown.len() - NAMED));
    }
    if missing as f64 > MOST * all as f64 {
        return Err(DataError::UnknownCharacters { missing, all, named });
    }
    Ok(Some(format!(
        "{missing} of the text's {all} characters are left out, because the model of train.init_from does not know them: {named}"
    )))
}

/// In words, which added tokens the text names, and how often; `None` if it names none.
fn named_tokens(tokenizer: &Tokenizer, tokens: &[u32]) -> Option<String> {
    /// Tokens that are named.
    const NAMED: usize = 8;
    let added = tokenizer.added_tokens();
    let mut counts: BTreeMap<u32, usize> = added.iter().map(|token| (token.id, 0)).collect();
    if !counts.is_empty() {
        for token in tokens {
            counts.entry(*token).and_modify(|count| *count += 1);
        }
    }
    let found = added.iter().filter_map(|token| {
        let count = *counts.get(&token.id)?;
        (count > 0).then(|| format!("{} ({count})", token.content))
    });
    let found: Vec<String> = found.collect();
    let more = if found.len() > NAMED { ", ..." } else { "" };
    (!found.is_empty()).then(|| {
        format!(
            "the text names tokens that the model of train.init_from has, and they are read as such: {}{more}",
            found[..found.len().min(NAMED)].join(", ")
        )
    })
}

/// Tokens of the training split: the share that is not for validation, rounded down, as nanoGPT does.
fn train_tokens(tokens: usize, val_fraction: f64) -> usize {
    ((tokens as f64 * (1.0 - val_fraction)) as usize).min(tokens)
}

impl Dataset {
    /// Tokens of both splits.
    pub fn tokens(&self) -> u64 {
        (self.train.len() + self.val.len()) as u64
    }

    /// What the manifest says about the data.
    pub fn info(&self) -> DataInfo {
        DataInfo {
            name: self.name.clone(),
            sha256: self.sha256.clone(),
            bytes: self.bytes,
            tokenizer: self.tokenizer.name().to_owned(),
            vocab_size: self.tokenizer.vocab_size(),
            train_tokens: self.train.len() as u64,
            val_tokens: self.val.len() as u64,
        }
    }

    /// Looks whether the run's batches can be cut from this data and its ids fit the model.
    ///
    /// # Errors
    /// A split too short for the plan's windows; a model with fewer ids than the tokenizer.
    pub fn check(&self, plan: &RunPlan) -> Result<(), DataError> {
        self.check_vocabulary(plan.model.vocab_size)?;
        self.check_lengths(plan.data.order, &plan.train, plan.data.val_fraction > 0.0)
    }

    fn check_vocabulary(&self, model: Option<usize>) -> Result<(), DataError> {
        let tokenizer_size = self.tokenizer.vocab_size();
        match model {
            Some(model) if model < tokenizer_size => {
                Err(DataError::VocabularyTooSmall { model, tokenizer: self.tokenizer.name(), tokenizer_size })
            }
            _ => Ok(()),
        }
    }

    fn check_lengths(&self, order: WindowOrder, train: &TrainPlan, validates: bool) -> Result<(), DataError> {
        check_length(self.train.len(), train.batch_size, train.sequence_length, order)?;
        let needed = train.sequence_length.saturating_add(1);
        if validates && train.eval_interval > 0 && self.val.len() < needed {
            return Err(DataError::TooShort {
                split: "validation",
                tokens: self.val.len(),
                needed,
                purpose: format!("one window of train.sequence_length = {}", train.sequence_length),
                advice: "raise data.val_fraction, lower train.sequence_length, or set data.val_fraction = 0 or \
                         train.eval_interval = 0 to train without validation",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::experiment::{DataSource, TokenizerKind};
    use crate::data::tests::tiny_shakespeare;
    use crate::files::sha256;

    fn plan_for(text: &str, tokenizer: TokenizerKind, val_fraction: f64) -> (tempfile::TempDir, DataPlan) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("corpus.txt");
        std::fs::write(&path, text).expect("writable");
        let source = DataSource::Path(path);
        (folder, DataPlan { source, tokenizer, val_fraction, order: WindowOrder::Random })
    }

    fn dataset(text: &str, tokenizer: TokenizerKind, val_fraction: f64) -> Dataset {
        let (_folder, plan) = plan_for(text, tokenizer, val_fraction);
        load(&plan).expect("good text")
    }

    fn train_plan(batch_size: usize, sequence_length: usize, eval_interval: u64) -> TrainPlan {
        TrainPlan {
            batch_size,
            sequence_length,
            gradient_accumulation_steps: 1,
            activation_checkpointing: false,
            max_steps: 1,
            max_time_secs: None,
            init_from: None,
            eval_interval,
            eval_batches: 1,
            ema_decay: 0.9,
            final_eval: false,
        }
    }

    #[test]
    fn the_splits_are_the_text_in_order() {
        let text = "0123456789".repeat(10);
        let data = dataset(&text, TokenizerKind::Byte, 0.1);
        assert_eq!((data.train.len(), data.val.len(), data.tokens()), (90, 10, 100));
        assert_eq!(data.tokenizer.decode(&data.train) + &data.tokenizer.decode(&data.val), text);
        assert!(dataset(&text, TokenizerKind::Byte, 0.0).val.is_empty());
    }

    #[test]
    fn the_manifest_gets_name_hash_and_counts() {
        let (_folder, plan) = plan_for("Ääh\r\n", TokenizerKind::Char, 0.5);
        let info = load(&plan).expect("good text").info();
        let DataSource::Path(path) = &plan.source else { panic!("a path") };
        assert_eq!(info.name, path.display().to_string());
        assert_eq!(info.sha256, sha256("Ääh\r\n".as_bytes()));
        assert_eq!((info.bytes, info.vocab_size, info.train_tokens, info.val_tokens), (7, 5, 2, 3));
        assert_eq!(info.tokenizer, "char");
    }

    #[test]
    fn a_vocabulary_that_is_taken_over_stays_as_it_is() {
        let (_folder, plan) = plan_for(&"abcab".repeat(100), TokenizerKind::Char, 0.0);
        let taken = Tokenizer::build(TokenizerKind::Char, "abcdxyz");
        let data = load_with(&plan, Some(&taken)).expect("all is known");
        assert_eq!((&data.tokenizer, data.notices.len()), (&taken, 0));
        assert_eq!(data.train[..5], [0, 1, 2, 0, 1]);
    }

    #[test]
    fn added_tokens_of_a_taken_over_vocabulary_are_read_and_counted() {
        let json = r#"{ "kind": "extended", "base": { "kind": "byte" }, "tokens": [
            { "id": 256, "content": "<|end|>" }, { "id": 257, "content": "<|user|>" } ] }"#;
        let taken: Tokenizer = serde_json::from_str(json).expect("a tokenizer");
        let (_folder, plan) = plan_for(&"ab<|end|>".repeat(3), TokenizerKind::Byte, 0.0);
        let data = load_with(&plan, Some(&taken)).expect("all is known");
        assert_eq!(data.train[..], [97, 98, 256, 97, 98, 256, 97, 98, 256]);
        assert_eq!(
            data.notices,
            [
                "the text names tokens that the model of train.init_from has, and they are read as such: <|end|> (3)"
            ]
        );
        assert!(load(&plan).expect("all is known").notices.is_empty());
    }

    #[test]
    fn characters_that_a_taken_over_vocabulary_lacks_are_left_out_and_counted_up_to_a_hundredth() {
        let taken = Tokenizer::build(TokenizerKind::Char, "ab");
        let (_folder, plan) = plan_for(&("ab".repeat(99) + "é?"), TokenizerKind::Char, 0.0);
        let data = load_with(&plan, Some(&taken)).expect("one in a hundred");
        assert_eq!(data.train.len(), 198);
        assert_eq!(
            data.notices,
            [
                "2 of the text's 200 characters are left out, because the model of train.init_from does not know them: '?', 'é'"
            ]
        );
        let (_folder, plan) = plan_for(&("ab".repeat(99) + "é??"), TokenizerKind::Char, 0.0);
        let message = load_with(&plan, Some(&taken)).expect_err("too many").to_string();
        assert!(message.starts_with("3 of the text's 201 characters are not in the vocabulary"), "{message}");
    }

    #[test]
    fn the_training_share_never_exceeds_the_tokens() {
        for tokens in [0, 1, 2, 3, 1_000_003] {
            assert_eq!(train_tokens(tokens, 0.0), tokens);
            assert!(train_tokens(tokens, 1e-12) <= tokens);
            assert_eq!(train_tokens(tokens, 0.999_999_999_9), 0);
        }
    }

    #[test]
    fn tiny_shakespeare_splits_as_in_nanogpt() {
        let Some(text) = tiny_shakespeare() else { return };
        let data = dataset(&text, TokenizerKind::Char, 0.1);
        assert_eq!((data.train.len(), data.val.len()), (1_003_854, 111_540));
    }

    #[test]
    fn a_corpus_too_short_to_train_on_is_refused_with_the_numbers() {
        let data = dataset("sixteen letters!", TokenizerKind::Byte, 0.0);
        assert!(data.check_lengths(WindowOrder::Random, &train_plan(4, 15, 0), false).is_ok());
        let error =
            data.check_lengths(WindowOrder::Random, &train_plan(4, 16, 0), false).expect_err("too short");
        let message = error.to_string();
        assert!(message.contains("training split has 16 tokens and 17 are needed"), "{message}");
    }

    #[test]
    fn a_validation_split_too_short_for_one_window_is_refused_only_if_it_is_used() {
        let data = dataset(&"x".repeat(100), TokenizerKind::Byte, 0.1);
        let check = |eval_interval, validates| {
            data.check_lengths(WindowOrder::Random, &train_plan(1, 10, eval_interval), validates)
        };
        let message = check(5, true).expect_err("10 tokens, 11 needed").to_string();
        assert!(message.contains("validation split has 10 tokens and 11 are needed"), "{message}");
        assert!(message.contains("train.eval_interval = 0"), "{message}");
        assert!(check(0, true).is_ok());
        assert!(check(5, false).is_ok());
    }

    #[test]
    fn a_model_with_fewer_ids_than_the_tokenizer_is_refused() {
        let data = dataset("abcdef", TokenizerKind::Char, 0.0);
        assert!(data.check_vocabulary(None).is_ok());
        assert!(data.check_vocabulary(Some(6)).is_ok());
        let message = data.check_vocabulary(Some(5)).expect_err("5 < 6").to_string();
        assert!(message.contains("model.vocab_size = 5") && message.contains("vocabulary of 6"), "{message}");
    }
}
