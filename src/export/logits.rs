//! Logits to hold other programs' against.

use std::path::Path;

use super::ExportError;
use crate::infer::{Cache, Decoder, Feed, WeightKind};
use crate::model::tensor_file::{Entry, write_about};
use crate::pretrained::{self, Pretrained, Which};

/// Tokens that are computed at most.
const MOST_TOKENS: usize = 128;
/// What is hard about texts: words and numbers, white space, letters of several bytes.
const TEXT: &str = "The 1st of 12,345 lines isn't long;  the 2nd\n\n\tis: d\u{e9}j\u{e0} vu \u{2014} \u{4f60}\u{597d}, \u{1f642}! \
                    She'll SAY so, won't she?\n";

/// Computes the logits after each token of a text with the model in `folder`, and writes them to `out`: a safetensors file with
/// `tokens` (t) and `logits` (t, v) in f32, and the text in its header, of which these are the first tokens.
///
/// # Errors
/// When the model cannot be read, or the file cannot be written.
pub fn write(folder: &Path, out: &Path) -> Result<(), ExportError> {
    let model = pretrained::open(folder, Which::Best)?;
    let text = text(&model);
    let mut tokens = model.tokenizer.encode(&text);
    tokens.truncate(MOST_TOKENS.min(model.model.block_size));
    let decoder = Decoder::open(&model.weights, &model.model, WeightKind::F32)?;
    let mut cache = Cache::try_new(&model.model, tokens.len())?;
    let logits_tv = decoder.all_logits(Feed { cache: &mut cache, tokens: &tokens })?;
    let as_numbers: Vec<f32> = tokens.iter().map(|&token| token as f32).collect();
    let entries = vec![
        ("tokens".to_owned(), Entry::new(&(tokens.len(),), || Ok::<_, String>(as_numbers.clone()))),
        (
            "logits".to_owned(),
            Entry::new(&(tokens.len(), model.model.vocab_size), || Ok::<_, String>(logits_tv.clone())),
        ),
    ];
    write_about(out, entries, &[("text", &text)])
        .map_err(|source| ExportError::Weights { path: out.to_owned(), source })
}

/// The model's prompts and what is hard about texts, again and again, as far as the tokenizer can hold it.
fn text(model: &Pretrained) -> String {
    let once = format!("{}{TEXT}", model.sampling.prompts.concat());
    let unknown = model.tokenizer.unknown_chars(&once);
    let mut known: String = once.chars().filter(|c| !unknown.contains(c)).collect();
    if known.is_empty() {
        known = model.tokenizer.decode(&[model.tokenizer.start_token()]);
    }
    // A token has one character at least, or is part of one.
    known.repeat(MOST_TOKENS / known.chars().count() + 1)
}
