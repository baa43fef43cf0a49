//! `runner export RUN --format FORMAT --out PATH`: a trained model for other programs, or a run for another machine.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::generate::say_unused;
use crate::error::{Error, Exit};
use crate::export;
use crate::facts::Status;
use crate::pretrained::{self, Pretrained, Wanted, Which};
use crate::store::archive;
use crate::terminal;
use crate::units;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A run (`quickstart/seed=1337`, or `quickstart`: its single or best one), a tag, its directory, a checkpoint's directory, or a
    /// folder with a GPT-2 from Hugging Face. RUN@500, RUN@last: the checkpoint too.
    #[arg(value_name = "RUN")]
    run: String,
    /// What to write.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Format,
    /// Folder to write, or for `archive` the file: its name ends with .tar.zst.
    #[arg(long, value_name = "PATH", value_parser = super::args::path())]
    out: PathBuf,
    /// Replace existing files of the same names; other files stay.
    #[arg(long)]
    overwrite: bool,
    /// Checkpoint of the run: best, last, or a step. For `hf` and `space`.
    #[arg(long, value_name = "WHICH", default_value = "best")]
    checkpoint: Which,
    /// Of several runs that the name means, take the best: by validation loss, or else the train loss that all have.
    #[arg(long)]
    best: bool,
    /// For `archive`: include the checkpoints, so that the run can be resumed and its model used.
    #[arg(long)]
    with_checkpoints: bool,
    /// For `hf`: also write a test text's tokens and the logits that runner computes for them to this safetensors file, to compare
    /// other programs with.
    #[arg(long, value_name = "FILE", value_parser = super::args::path())]
    logits: Option<PathBuf>,
    /// Folder of the run directories.
    #[arg(long, value_name = "DIR", default_value = "runs", value_parser = super::args::path())]
    runs_dir: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A folder that Hugging Face's transformers loads: weights, configuration, tokenizer, model card.
    Hf,
    /// A Hugging Face Space that builds runner and serves the model.
    Space,
    /// The whole run in one file, without checkpoints unless --with-checkpoints is set; `runner report FILE` reads it on any machine.
    Archive,
}

const AFTER_HELP: &str = "\
Standard output is the path that was written.

Examples:
  runner export quickstart --format hf --out quickstart-hf
  runner export quickstart --format hf --out gpt --checkpoint last
  runner export runs/quickstart/seed=1337 --format space --out my-space
  runner export quickstart --format archive --out quickstart.tar.zst";

pub fn run(args: Args) -> Result<Exit, Error> {
    args.refuse_what_does_not_fit()?;
    let mut exit = Exit::Success;
    match args.format {
        Format::Hf => {
            let model = model(&args)?;
            export::hugging_face(&model, &args.out, args.overwrite)?;
            if let Some(logits) = &args.logits {
                export::write_logits(&args.out, logits)?;
            }
            terminal::err(
                "note: the model card states no licence; add one (`license: ...`) before you publish it",
            );
        }
        Format::Space => export::space(&model(&args)?, &args.out, args.overwrite)?,
        Format::Archive => exit = pack(&args)?,
    }
    terminal::out(args.out.display());
    Ok(exit)
}

impl Args {
    fn refuse_what_does_not_fit(&self) -> Result<(), Error> {
        let is_archive = self.format == Format::Archive;
        let wrong = if self.with_checkpoints && !is_archive {
            "--with-checkpoints goes with --format archive; the others hold one model, see --checkpoint"
        } else if self.checkpoint != Which::Best && is_archive {
            "--checkpoint goes with --format hf and space; --with-checkpoints puts all of them into an archive"
        } else if self.logits.is_some() && self.format != Format::Hf {
            "--logits goes with --format hf"
        } else if is_archive && !self.out.to_string_lossy().ends_with(".tar.zst") {
            "--out is the archive's file, and ends with .tar.zst"
        } else {
            return Ok(());
        };
        Err(Error::Usage(wrong.to_owned()))
    }
}

fn model(args: &Args) -> Result<Pretrained, Error> {
    let wanted = Wanted { which: args.checkpoint, best_run: args.best };
    let model = pretrained::find(&args.runs_dir, &args.run, wanted)?;
    let origin = model.origin.as_ref().map(|origin| format!(", {}", origin.describe())).unwrap_or_default();
    terminal::err(format_args!("{}{origin}", model.name));
    say_unused(&model);
    Ok(model)
}

/// Ends as [`Exit::Internal`] where a checkpoint had to be left out.
fn pack(args: &Args) -> Result<Exit, Error> {
    let (dir, chosen) = pretrained::find_run(&args.runs_dir, &args.run, args.best)?;
    let run = dir.path();
    if let Some(chosen) = chosen {
        terminal::err(format_args!("note: {}: {chosen}", run.display()));
    }
    if dir.read_manifest_now()?.status == Status::Running {
        terminal::err("note: the run is still training; the archive has its state so far");
    }
    let packed = archive::pack(&dir, &args.out, args.with_checkpoints, args.overwrite)?;
    for (path, reason) in &packed.damaged {
        terminal::err(format_args!("error: left out {}, which is damaged: {reason}", below(path, run)));
    }
    for path in &packed.left_out {
        terminal::err(format_args!("note: left out {}", below(path, run)));
    }
    let size = std::fs::metadata(&args.out).map_or(0, |meta| meta.len());
    let checkpoints = if args.with_checkpoints { "" } else { " without checkpoints" };
    terminal::err(format_args!(
        "{}{checkpoints}, {}, in {}",
        units::counted(packed.files, "file"),
        units::bytes(packed.bytes as f64),
        units::bytes(size as f64)
    ));
    Ok(if packed.damaged.is_empty() { Exit::Success } else { Exit::Internal })
}

fn below(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}
