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

    #[test]
    fn a_mark_in_a_prompt_is_its_token_as_in_the_corpus() {
        let marks = Tokenizer::Gpt2.as_trained(true);
        assert_eq!(marks.encode("a<|endoftext|>b"), [64, 50256, 65]);
        for text in [Tokenizer::Gpt2.as_trained(false), marks.clone().as_trained(false)] {
            assert_eq!(text.encode("a<|endoftext|>b").len(), 9);
        }
        assert_eq!((marks.vocab_size(), marks.name()), (50_257, "gpt2"));
        assert_eq!(marks.clone().as_trained(false).as_trained(true), marks);
        assert_eq!(Tokenizer::Byte.as_trained(true), Tokenizer::Byte);
    }
}
