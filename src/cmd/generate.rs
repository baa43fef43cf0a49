//! `runner generate`: a trained model continues a text.

mod interactive;
pub(super) mod interrupt;
mod prompt;
mod writer;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;

use crate::error::{Error, Exit};
use crate::generate::{Batch, Model, Settings, What};
use crate::infer::WeightKind;
use crate::pretrained::{self, Pretrained, Wanted, Which};
use crate::terminal;
use crate::threads::Pool;
use crate::units;
use interrupt::Interrupt;
use writer::{Sample, Writer};

/// Samples that are written at the same time; more come after these.
const TOGETHER: usize = 16;
/// Characters of a vocabulary that an error lists: all that most alphabets have.
const LISTED: usize = 150;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A run (`quickstart/seed=1337`, or `quickstart`: its single or best one), a tag, its directory, a checkpoint's directory, or a
    /// folder with a GPT-2 from Hugging Face (config.json and model.safetensors). RUN@500, RUN@last: the checkpoint too.
    #[arg(value_name = "RUN")]
    run: String,
    /// The text to continue. Default: standard input; at a terminal, no prompt at all. Put `--` before a prompt that begins
    /// with `-`.
    #[arg(value_name = "PROMPT", conflicts_with = "interactive")]
    prompt: Option<OsString>,
    /// Read prompts line by line. Ctrl-C stops a text, Ctrl-D quits.
    #[arg(long, short)]
    interactive: bool,
    #[command(flatten)]
    sampling: Sampling,
    /// Print one line of JSON per sample.
    #[arg(long, conflicts_with = "interactive")]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// Which model, and how it is held.
#[derive(Clone, Debug, clap::Args)]
pub struct ModelArgs {
    /// Checkpoint of a run: best, last, or a step.
    #[arg(long, value_name = "WHICH", default_value = "best")]
    pub checkpoint: Which,
    /// Of several runs that a name means, take the best: by validation loss, or else the train loss that all have.
    #[arg(long)]
    pub best: bool,
    /// Number format of the weights: smaller is faster and a little less exact.
    #[arg(long, value_enum, default_value = "f32")]
    pub weights: Weights,
    /// Threads that compute. Default: all cores.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub threads: Option<u16>,
    /// Folder of the run directories.
    #[arg(long, value_name = "DIR", default_value = "runs", value_parser = super::args::path())]
    pub runs_dir: PathBuf,
}

impl ModelArgs {
    /// Which model is meant where a name leaves it open.
    pub fn wanted(&self) -> Wanted {
        Wanted { which: self.checkpoint, best_run: self.best }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Weights {
    F32,
    Bf16,
    Int8,
}

impl From<Weights> for WeightKind {
    fn from(weights: Weights) -> Self {
        match weights {
            Weights::F32 => Self::F32,
            Weights::Bf16 => Self::Bf16,
            Weights::Int8 => Self::Int8,
        }
    }
}

/// How tokens are chosen. Unset options default to the run's `[sample]` section, or to a folder's `generation_config.json`.
#[derive(Clone, Debug, clap::Args)]
struct Sampling {
    /// Samples per prompt, each with its own seed. Several are separated by a line `---`.
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    num_samples: NonZeroUsize,
    /// Maximum number of new tokens.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_new_tokens: Option<usize>,
    /// Divides the logits: below 1 more likely tokens, above 1 more random ones; 0: greedy.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Sample from this many likeliest tokens; 0: all.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    top_k: Option<usize>,
    /// Nucleus sampling: sample from the likeliest tokens that together have this probability; 1: all.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Above 1, tokens that already occurred become less likely.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    repetition_penalty: Option<f64>,
    /// Stop sequence: the text ends before it. Repeatable.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stop: Vec<String>,
    /// The same seed gives the same text. Default: random, and printed.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<u64>,
}

const AFTER_HELP: &str = "\
Standard output is the prompt and its continuation, nothing else; notes go to standard error.

Examples:
  runner generate quickstart \"King Aldren:\"
  runner generate quickstart \"Maud:\" --num-samples 3 --temperature 0
  cat beginning.txt | runner generate runs/shakespeare-124m/seed=1337 --weights int8
  runner generate lr-sweep --best
  runner generate gpt2/ --interactive";

impl Sampling {
    fn settings(&self, defaults: &Settings) -> Result<Settings, Error> {
        let settings = Settings {
            max_new_tokens: self.max_new_tokens.unwrap_or(defaults.max_new_tokens),
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_k: self.top_k.unwrap_or(defaults.top_k),
            top_p: self.top_p.unwrap_or(defaults.top_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(defaults.repetition_penalty),
            stop: self.stop.clone(),
            // Short enough to be typed again.
            seed: self.seed.unwrap_or_else(|| u64::from(rand::random::<u16>())),
            alternatives: None,
            score_prompt: false,
        };
        match settings.problem() {
            None => Ok(settings),
            Some(unusable) => {
                let option = unusable.setting.replace('_', "-");
                Err(Error::Usage(format!("--{option} {}", unusable.reason)))
            }
        }
    }
}

pub fn run(args: Args) -> Result<Exit, Error> {
    args.sampling.settings(&Settings::default())?;
    let found = pretrained::find(&args.model.runs_dir, &args.run, args.model.wanted())?;
    let pool = pool(args.model.threads)?;
    pool.install(|| {
        let model = Model::open(found, args.model.weights.into())?;
        say_unused(&model.pretrained);
        let settings = args.sampling.settings(&model.defaults)?;
        refuse_unwritable(&settings.stop, &model)?;
        let interrupt = Interrupt::catch()?;
        if args.interactive {
            return interactive::converse(&model, &settings, &args.sampling, &interrupt);
        }
        let prompt = prompt::of(args.prompt)?;
        let format = if args.json { writer::Format::Json } else { writer::Format::Text };
        terminal::err(introduction(&model, settings.seed));
        write(&model, &prompt, &settings, args.sampling.num_samples.get(), format, &interrupt)
    })
}

/// A text that the model cannot write ends nothing: whoever asks for it should know.
fn refuse_unwritable(stops: &[String], model: &Model) -> Result<(), Error> {
    let tokenizer = &model.pretrained.tokenizer;
    for stop in stops {
        let unknown = tokenizer.unknown_chars(stop);
        if let Some(known) = tokenizer.characters().filter(|_| !unknown.is_empty()) {
            let listed: String = known.chars().take(LISTED).flat_map(char::escape_debug).collect();
            let more = known.chars().count().saturating_sub(LISTED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let unknown: String = unknown.iter().flat_map(|c| c.escape_debug()).collect();
            return Err(Error::Usage(format!(
                "--stop {stop:?}: the model never writes {unknown}, so that the text would not end there; it writes these characters: \
                 {listed}{more}"
            )));
        }
    }
    Ok(())
}

/// Says which settings of a model's folder are not used, and what else there is to know of it.
pub fn say_unused(model: &Pretrained) {
    for note in &model.notes {
        terminal::err(format_args!("note: {}: {note}", model.name));
    }
    if let Some(unused) = model.unused() {
        terminal::err(format_args!("note: {unused}"));
    }
}

/// Threads that compute.
pub fn pool(threads: Option<u16>) -> Result<Pool, Error> {
    let threads = threads.map_or(0, usize::from);
    Pool::new(threads, "generate").map_err(|error| {
        Error::Usage(format!("{threads} threads cannot be started: {error}; give --threads a smaller number"))
    })
}

/// `quickstart/seed=1337, step 878, the best; 425,344 parameters, f32; seed 17`
fn introduction(model: &Model, seed: u64) -> String {
    format!("{}; seed {seed}", describe(model))
}

/// Which model it is, how large, and how it is held.
pub fn describe(model: &Model) -> String {
    let found = &model.pretrained;
    let origin = found.origin.as_ref().map(|origin| format!(", {}", origin.describe())).unwrap_or_default();
    let parameters = crate::model::params::model_info(&found.model).parameters;
    format!(
        "{}{origin}; {}, {}",
        found.name,
        units::counted(parameters, "parameter"),
        model.decoder.kind().name()
    )
}

/// Writes `samples` continuations, the first as it comes.
fn write(
    model: &Model,
    prompt: &str,
    settings: &Settings,
    samples: usize,
    format: writer::Format,
    interrupt: &Interrupt,
) -> Result<Exit, Error> {
    let tokens = model.encode(prompt)?;
    if let Some(remark) = model.remark(tokens.len(), settings.max_new_tokens) {
        terminal::err(format_args!("note: {remark}"));
    }
    let mut writer = Writer::new(format, model, prompt, tokens.len(), settings.seed);
    let mut batch = Batch::of(model);
    let working = interrupt.begin();
    let started = Instant::now();
    let mut clock = writer::Clock::start();
    'samples: for first in (0..samples).step_by(TOGETHER) {
        let seed = settings.seed.wrapping_add(first as u64);
        batch.add(0, &tokens, Settings { seed, ..settings.clone() }, TOGETHER.min(samples - first))?;
        while !batch.is_empty() {
            if working.is_stopped() {
                break 'samples;
            }
            let news = batch.step()?;
            clock.tick(news.iter().filter(|news| matches!(news.what, What::Piece(_))).count());
            for news in news {
                let sample = Sample(first + news.sample);
                let goes_on = match news.what {
                    What::Prompt(_) => Ok(()),
                    What::Piece(piece) => writer.piece(sample, &piece),
                    What::End(ending) => writer.end(sample, ending, &clock),
                    What::Failed(error) => return Err(error.into()),
                };
                if let Err(error) = goes_on {
                    return unwritten(error);
                }
            }
        }
    }
    if let Err(error) = writer.finish(&clock) {
        return unwritten(error);
    }
    if io::stderr().is_terminal() {
        terminal::err(clock.summary(started.elapsed()));
    }
    Ok(if working.is_stopped() { Exit::Interrupted } else { Exit::Success })
}

/// What it means that standard output takes no more.
fn unwritten(error: io::Error) -> Result<Exit, Error> {
    match error.kind() {
        // Nobody reads any more (`| head`).
        io::ErrorKind::BrokenPipe => Ok(Exit::Success),
        _ => Err(Error::Output(error)),
    }
}
