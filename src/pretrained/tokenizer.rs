//! The tokenizer that a model was trained with.

use std::path::Path;

use super::PretrainedError;
use crate::config::experiment::{RunPlan, TokenizerKind};
use crate::data::{self, TOKENIZER_FILE, tokenizer::Tokenizer};
use crate::store::RunDir;

/// The tokenizer that was written into `folder`; `None` if none was.
pub fn read(folder: &Path) -> Result<Option<Tokenizer>, PretrainedError> {
    data::read_tokenizer(folder).map_err(|error| PretrainedError::File {
        path: folder.join(TOKENIZER_FILE),
        reason: error.to_string(),
    })
}

/// The tokenizer of a run. One that was trained before there was a file for it has its characters from its corpus, which must
/// still be there.
///
/// A text that the model is to continue is read as its corpus was.
pub fn of_run(dir: &RunDir, run: &str, plan: &RunPlan) -> Result<Tokenizer, PretrainedError> {
    Ok(of_corpus(dir, run, plan)?.as_trained(plan.data.special_tokens))
}

fn of_corpus(dir: &RunDir, run: &str, plan: &RunPlan) -> Result<Tokenizer, PretrainedError> {
    if let Some(tokenizer) = read(dir.path())? {
        return Ok(tokenizer);
    }
    match plan.data.tokenizer {
        TokenizerKind::Gpt2 => Ok(Tokenizer::Gpt2),
        TokenizerKind::Byte => Ok(Tokenizer::Byte),
        TokenizerKind::Char => {
            let dataset = data::load(&plan.data).map_err(|source| PretrainedError::Corpus {
                run: run.to_owned(),
                source: Box::new(source),
            })?;
            let recorded = dir.read_manifest()?.data.map(|data| data.sha256);
            if recorded.is_some_and(|sha256| sha256 != dataset.sha256) {
                return Err(PretrainedError::CorpusChanged { run: run.to_owned() });
            }
            Ok(dataset.tokenizer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tokenizer::{AddedToken, Parts};

    #[test]
    fn a_mark_in_a_prompt_is_its_token_as_in_the_corpus() {
        let marks = Tokenizer::Gpt2.as_trained(true);
        assert_eq!(marks.encode("a<|endoftext|>b"), [64, 50256, 65]);
        for text in [Tokenizer::Gpt2.as_trained(false), marks.as_trained(false)] {
            assert_eq!(text.encode("a<|endoftext|>b").len(), 9);
        }
        assert_eq!((marks.vocab_size(), marks.name()), (50_257, "gpt2"));
        assert_eq!(marks.as_trained(false), Tokenizer::Gpt2);
        assert_eq!(marks.as_trained(false).as_trained(true), marks);
        assert_eq!(Tokenizer::Byte.as_trained(true), Tokenizer::Byte);
    }

    #[test]
    fn added_tokens_of_any_kind_are_read_or_text_as_the_last_run_says() {
        let other = AddedToken { special: false, ..AddedToken::special(256, "<|a|>") };
        let parts = Parts::new(Tokenizer::Byte, vec![other, AddedToken::special(257, "<|b|>")]);
        let tokens = Tokenizer::of_parts(parts).unwrap();
        assert_eq!(tokens.encode("<|a|><|b|>"), [256, 257]);
        let text = tokens.as_trained(false);
        assert_eq!(text.encode("<|a|><|b|>"), Tokenizer::Byte.encode("<|a|><|b|>"));
        assert_eq!(text.decode(&[256, 257]), "<|a|><|b|>");
        assert_eq!(text.as_trained(true), tokens);
    }
}
