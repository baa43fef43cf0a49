use std::path::Path;

use crate::config::experiment::TokenizerKind;
use crate::data::batches::Batch;
use crate::engine::{Predicted, StepOutput};
use crate::facts::{DeviceInfo, ModelInfo, StepPart};
use crate::generate::*;

/// Always says that the next token is the last one plus one; remembers what it was asked.
struct Counting {
    vocab_size: usize,
    nan: bool,
    contexts: Vec<Vec<u32>>,
}

impl Counting {
    fn with(vocab_size: usize) -> Counting {
        Counting { vocab_size, nan: false, contexts: Vec::new() }
    }
}

impl Engine for Counting {
    fn next_token_logits(&mut self, context: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.contexts.push(context.to_vec());
        let next = context.last().map_or(0, |last| last + 1) as usize % self.vocab_size;
        let likely = if self.nan { f32::NAN } else { 50.0 };
        Ok((0..self.vocab_size).map(|id| if id == next { likely } else { 0.0 }).collect())
    }

    fn device(&self) -> DeviceInfo {
        unreachable!("sampling does not ask")
    }

    fn model(&self) -> ModelInfo {
        unreachable!("sampling does not ask")
    }

    fn train_step(&mut self, _: &[Batch], _: f64) -> Result<StepOutput, EngineError> {
        unreachable!("sampling does not train")
    }

    fn step_parts(&self) -> Vec<StepPart> {
        unreachable!("sampling does not profile")
    }

    fn predict(&mut self, _: &Batch) -> Result<Predicted, EngineError> {
        unreachable!("sampling does not evaluate")
    }

    fn save(&self, _: &Path) -> Result<(), EngineError> {
        unreachable!("sampling does not save")
    }

    fn saved_bytes(&self) -> u64 {
        unreachable!("nothing is saved here")
    }

    fn load(&mut self, _: &Path) -> Result<(), EngineError> {
        unreachable!("sampling does not load")
    }
}

fn plan(max_new_tokens: usize) -> SamplePlan {
    SamplePlan {
        interval: 1,
        prompts: Vec::new(),
        max_new_tokens,
        temperature: 0.8,
        top_k: 3,
        top_p: 1.0,
        seed: 0,
    }
}

fn alphabet() -> Tokenizer {
    Tokenizer::build(TokenizerKind::Char, "abcdefghij\n")
}

#[test]
fn the_continuation_comes_without_the_prompt() {
    let text = continue_prompt(&mut Counting::with(11), &alphabet(), "ab", &plan(4), 1).expect("good logits");
    assert_eq!(text, "cdef");
    assert_eq!(
        continue_prompt(&mut Counting::with(11), &alphabet(), "ab", &plan(0), 1).expect("nothing"),
        ""
    );
}

#[test]
fn an_empty_prompt_starts_from_the_start_token() {
    for prompt in ["", "XYZ"] {
        let mut engine = Counting::with(11);
        assert_eq!(
            continue_prompt(&mut engine, &alphabet(), prompt, &plan(2), 1).expect("good logits"),
            "ab"
        );
        assert_eq!(engine.contexts[0], [alphabet().start_token()]);
    }
}

#[test]
fn ids_beyond_the_tokenizer_are_never_sampled() {
    let mut engine = Counting::with(64);
    let text = continue_prompt(&mut engine, &alphabet(), "j", &plan(30), 1).expect("good logits");
    assert_eq!(text.chars().count(), 30);
    assert!(!text.contains(char::REPLACEMENT_CHARACTER), "{text}");
}

#[test]
fn the_end_of_text_ends_the_continuation() {
    let tokenizer = Tokenizer::Gpt2;
    let prompt = tokenizer.decode(&[50_253]);
    assert_eq!(tokenizer.encode(&prompt), [50_253]);
    let mut engine = Counting::with(50_257);
    let text = continue_prompt(&mut engine, &tokenizer, &prompt, &plan(10), 1).expect("good logits");
    assert_eq!(text, tokenizer.decode(&[50_254, 50_255]));
    assert_eq!(engine.contexts.len(), 3);
}

#[test]
fn a_diverged_model_is_an_error_and_not_a_panic() {
    let mut engine = Counting { nan: true, ..Counting::with(11) };
    let error = continue_prompt(&mut engine, &alphabet(), "a", &plan(4), 1).expect_err("NaN");
    assert!(matches!(error, GenerateError::Logits { .. }), "{error}");
}
