//! `runner eval`: how well a trained model predicts texts.

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::generate::interrupt::Interrupt;
use super::generate::{ModelArgs, describe, pool, say_unused};
use crate::data;
use crate::data::tokenizer::TokenLengths;
use crate::error::{Error, Exit};
use crate::facts::Score;
use crate::files::plain;
use crate::generate::{Model, score};
use crate::pretrained;
use crate::terminal;
use crate::units;

/// How many characters that are not known an error lists.
const LISTED: usize = 12;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A run (`quickstart/seed=1337`, or `quickstart`: its single or best one), a tag, its directory, a checkpoint's directory, or a
    /// folder with a GPT-2 from Hugging Face (config.json and model.safetensors). RUN@500, RUN@last: the checkpoint too.
    #[arg(value_name = "RUN")]
    run: String,
    /// Text to predict, UTF-8; `-` is standard input. Repeatable: each is a text of its own.
    #[arg(long, value_name = "FILE", required = true)]
    file: Vec<PathBuf>,
    /// Tokens from the beginning of a window to that of the next, at most the model's context length, which is the default: windows
    /// then do not overlap. With fewer, tokens are predicted from more of the text before them, and it takes longer.
    #[arg(long, value_name = "N")]
    stride: Option<NonZeroUsize>,
    /// Print an object for each text as a line of JSON, and one for all of several.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
}

const AFTER_HELP: &str = "\
loss is in nats per token (the mean of -ln p), perplexity is e to the loss, accuracy the share of tokens that the model
held for the likeliest. bits/byte does not depend on the tokenizer; special tokens stand for no bytes. The first token of a text comes after nothing and
is not predicted.

Examples:
  runner eval quickstart --file text.txt
  runner eval gpt2/ --file a.txt --file b.txt --stride 512 --json
  curl -s https://example.org/text.txt | runner eval quickstart --checkpoint last --file -";

/// A text with its name.
struct Text {
    name: String,
    tokens: Vec<u32>,
    bytes: usize,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    if args.file.iter().filter(|file| is_input(file)).count() > 1 {
        return Err(Error::Usage("--file -: standard input can be read once".to_owned()));
    }
    let found = pretrained::find(&args.model.runs_dir, &args.run, args.model.wanted())?;
    let context = found.model.block_size;
    let stride = args.stride.map_or(context, NonZeroUsize::get);
    if stride > context {
        return Err(Error::Usage(format!(
            "--stride {stride}: between windows of {context} tokens, the model's context length, some would be left out; give at most \
             {context}"
        )));
    }
    let _interrupt = Interrupt::catch()?;
    pool(args.model.threads)?.install(|| {
        let model = Model::open(found, args.model.weights.into())?;
        terminal::err(describe(&model));
        say_unused(&model.pretrained);
        // What is wrong with the last text should not be found after hours.
        let texts = args.file.iter().map(|file| text(file, &model)).collect::<Result<Vec<_>, _>>()?;
        if !args.json {
            terminal::out(row(
                "text",
                ["tokens", "loss", "perplexity", "bits/byte", "accuracy"].map(str::to_owned),
            ));
        }
        let lengths = TokenLengths::of(&model.pretrained.tokenizer);
        let mut all = Score::default();
        let (mut bytes, began) = (0, Instant::now());
        for text in &texts {
            let began = Instant::now();
            let found = score(&model.decoder, &lengths, &text.tokens, stride)?;
            say(&args, &model, Some(&text.name), text.bytes, stride, &found, began);
            all.add(&found);
            bytes += text.bytes;
        }
        if texts.len() > 1 {
            say(&args, &model, None, bytes, stride, &all, began);
        }
        if !args.json {
            terminal::out(how(context, stride));
        }
        Ok(Exit::Success)
    })
}

fn is_input(file: &Path) -> bool {
    file == Path::new("-")
}

fn text(file: &Path, model: &Model) -> Result<Text, Error> {
    let name = if is_input(file) { "standard input".to_owned() } else { file.display().to_string() };
    let wrong = |why: String| Error::Usage(format!("--file {}: {why}", file.display()));
    let mut bytes = Vec::new();
    let read = if is_input(file) {
        io::stdin().lock().read_to_end(&mut bytes)
    } else {
        plain::open_given(file).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| wrong(error.to_string()))?;
    let text = data::plain_text(bytes).map_err(wrong)?;
    if data::is_named_lines(file) {
        terminal::err(format_args!(
            "note: {} is read as it stands, braces and keys included; as a corpus the texts in it would be read",
            file.display()
        ));
    }
    let tokenizer = &model.pretrained.tokenizer;
    let unknown = tokenizer.unknown_chars(&text);
    if !unknown.is_empty() {
        let listed: String = unknown.iter().take(LISTED).flat_map(|c| c.escape_debug()).collect();
        let more = if unknown.len() > LISTED { " and more" } else { "" };
        return Err(wrong(format!(
            "the model was trained without these characters and cannot predict them: {listed}{more}; take them out of the text"
        )));
    }
    let tokens = tokenizer.encode(&text);
    if tokens.len() < 2 {
        return Err(wrong(format!(
            "a text needs two tokens, one to be predicted from the other, and this has {}",
            tokens.len()
        )));
    }
    Ok(Text { name, tokens, bytes: text.len() })
}

/// Says what was found of a text, or of all of them where it has no name.
fn say(
    args: &Args,
    model: &Model,
    name: Option<&str>,
    bytes: usize,
    stride: usize,
    score: &Score,
    began: Instant,
) {
    if !args.json {
        let figures = [
            units::count(score.tokens),
            format!("{:.4}", score.loss()),
            significant(score.perplexity()),
            shown(score.bits_per_byte(), |bits| format!("{bits:.4}")),
            shown(score.accuracy(), units::percent),
        ];
        return terminal::out(row(name.unwrap_or("all"), figures));
    }
    let found = &model.pretrained;
    terminal::out(json!({
        "model": found.name,
        "step": found.origin.as_ref().map(|origin| origin.step),
        "weights": model.decoder.kind().name(),
        "file": name.map_or_else(|| Value::Null, |name| json!(name)),
        "bytes": bytes,
        "predicted_tokens": score.tokens,
        "predicted_bytes": score.bytes,
        "loss": score.loss(),
        "perplexity": score.perplexity(),
        "bits_per_byte": score.bits_per_byte(),
        "accuracy": score.accuracy(),
        "context": found.model.block_size,
        "stride": stride,
        "secs": began.elapsed().as_secs_f64(),
    }));
}

fn shown(value: Option<f64>, text: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| units::MISSING.to_owned(), text)
}

/// Names are as wide as most are; a longer one moves the rest of its row.
fn row(name: &str, figures: [String; 5]) -> String {
    let [tokens, loss, perplexity, bits, accuracy] = figures;
    format!("{name:<28} {tokens:>12} {loss:>9} {perplexity:>12} {bits:>10} {accuracy:>10}")
}

/// Five digits, also of what is large.
fn significant(value: f64) -> String {
    if value < 1e6 {
        let digits = value.max(1.0).log10().floor() as usize;
        format!("{value:.*}", 4_usize.saturating_sub(digits))
    } else {
        format!("{value:.4e}")
    }
}

/// How the texts were gone through.
fn how(context: usize, stride: usize) -> String {
    if stride == context {
        return format!(
            "windows of {context} tokens, side by side: a token is predicted from the 1 to {context} before it in its window; --stride \
             {} has them overlap",
            (context / 2).max(1)
        );
    }
    format!(
        "windows of {context} tokens, each {stride} after the one before: a token is predicted from at least {} before it, as soon as \
         there are so many",
        context - stride + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perplexity_has_five_digits() {
        assert_eq!(significant(1.0), "1.0000");
        assert_eq!(significant(12.345_678), "12.346");
        assert_eq!(significant(54_321.9), "54322");
        assert_eq!(significant(2e30), "2.0000e30");
        assert_eq!(significant(f64::INFINITY), "inf");
    }
}
