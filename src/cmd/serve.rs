//! `runner serve`: trained models as a web page and behind an interface like OpenAI's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use super::generate::{ModelArgs, describe, pool, say_unused};
use super::signals;
use crate::error::{Error, Exit};
use crate::files::plain;
use crate::generate::Model;
use crate::pretrained;
use crate::serve::{Limits, Origin, Served, Server};
use crate::terminal;

/// Where a token is looked for that is in no file.
const TOKEN_VARIABLE: &str = "RUNNER_TOKEN";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Runs, tags, run directories, checkpoints (RUN@500), or folders with a GPT-2 from Hugging Face. All are loaded into memory.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    /// Address to listen on; 0.0.0.0: all interfaces.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = host)]
    host: IpAddr,
    /// Port to listen on; 0: any free port.
    #[arg(long, value_name = "PORT", default_value = "7860")]
    port: u16,
    /// File with the token that requests must send (`Authorization: Bearer TOKEN`). Default: the environment variable RUNNER_TOKEN. If
    /// neither is set, no token is required.
    #[arg(long, value_name = "FILE", value_parser = super::args::path())]
    token_file: Option<PathBuf>,
    /// Let pages of this origin (like http://localhost:3000, or *) read the answers in browsers. Repeatable.
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<Origin>,
    #[command(flatten)]
    model: ModelArgs,
    // Last, because its heading is that of every option after it.
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Most tokens per text.
    #[arg(long, value_name = "N", default_value = "2048")]
    limit_new_tokens: NonZeroUsize,
    /// Most texts per request (prompts times samples).
    #[arg(long, value_name = "N", default_value = "8")]
    limit_samples: NonZeroUsize,
    /// Most prompts per request that asks for one text of each, as evaluations do.
    #[arg(long, value_name = "N", default_value = "128")]
    limit_prompts: NonZeroUsize,
    /// Largest request body, prompt included.
    #[arg(long, value_name = "BYTES", default_value = "1048576")]
    limit_bytes: NonZeroUsize,
    /// Longest time per request, in seconds.
    #[arg(long, value_name = "SECS", default_value = "300", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    limit_secs: u64,
    /// Most requests that wait; more get 503 with Retry-After.
    #[arg(long, value_name = "N", default_value = "32")]
    queue: NonZeroUsize,
    /// Most texts generated at the same time.
    #[arg(long, value_name = "N", default_value = "16")]
    texts: NonZeroUsize,
    /// Most open connections.
    #[arg(long, value_name = "N", default_value = "512", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    connections: u32,
    /// Memory for request bodies, prompts and answers that clients have not read yet. One answer may use half of it, and always
    /// 64 KiB; a client that does not read is disconnected when its answer needs more. Each connection takes up to 64 KiB and sixteen
    /// events beside that, and the system up to 256 KiB for what was sent.
    #[arg(long, value_name = "BYTES", default_value = "67108864")]
    waiting_bytes: NonZeroUsize,
    /// Memory for keys and values of prompts that were scored, of each model: what the next ones have in common with them is not read
    /// again.
    #[arg(long, value_name = "BYTES", default_value = "268435456")]
    kept_bytes: usize,
}

const AFTER_HELP: &str = "\
Standard output is the address of the page. POST /v1/completions works with OpenAI's client libraries (base URL: that \
address and /v1); GET /v1/models, /health and /metrics (Prometheus) are there as well. Ctrl-C lets running texts finish, \
a second one stops at once.

Examples:
  runner serve quickstart
  runner serve quickstart --cors-origin http://localhost:3000
  runner serve runs/quickstart/seed=1337 runs/finetune/seed=1337 --port 8000
  RUNNER_TOKEN=secret runner serve gpt2/ --host 0.0.0.0 --weights int8";

impl From<LimitArgs> for Limits {
    fn from(args: LimitArgs) -> Self {
        Self {
            new_tokens: args.limit_new_tokens.get(),
            samples: args.limit_samples.get(),
            prompts: args.limit_prompts.get(),
            body_bytes: args.limit_bytes.get(),
            time: Duration::from_secs(args.limit_secs),
            queue: args.queue.get(),
            texts: args.texts.get(),
            connections: args.connections as usize,
            waiting_bytes: args.waiting_bytes.get(),
            kept_bytes: args.kept_bytes,
        }
    }
}

/// An address; of names only the one that every machine has for itself.
fn host(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| "this is an address, like 127.0.0.1, 0.0.0.0 or ::1".to_owned())
}

pub fn run(args: Args) -> Result<Exit, Error> {
    let token = token(args.token_file.as_deref())?;
    let found = args
        .runs
        .iter()
        .map(|run| pretrained::find(&args.model.runs_dir, run, args.model.wanted()))
        .collect::<Result<Vec<_>, _>>()?;
    pool(args.model.threads)?.install(|| {
        let models = found
            .into_iter()
            .map(|found| Model::open(found, args.model.weights.into()))
            .collect::<Result<Vec<_>, _>>()?;
        for model in &models {
            terminal::err(describe(model));
            say_unused(&model.pretrained);
        }
        if !args.host.is_loopback() && token.is_none() {
            terminal::err("note: anyone who can reach this address can use it; set --token-file or RUNNER_TOKEN to require a token");
        }
        let address = SocketAddr::new(args.host, args.port);
        let server = Server::bind(address, named(models), args.limits.into(), token)?.allow(args.cors_origin);
        let stop = catch()?;
        terminal::out(format_args!("http://{}", server.address()?));
        server.run(stop)?;
        Ok(Exit::Success)
    })
}

/// Models with names that differ: that of the run, and the step where a run is there more than once.
fn named(models: Vec<Model>) -> Vec<Served> {
    let mut names: Vec<String> = Vec::with_capacity(models.len());
    for model in &models {
        let found = &model.pretrained;
        let is_alone = models.iter().filter(|other| other.pretrained.name == found.name).count() == 1;
        let mut name = match &found.origin {
            // What a person calls it.
            Some(pretrained::Origin { tag: Some(tag), .. }) => tag.clone(),
            Some(origin) if !is_alone => format!("{}@{}", found.name, origin.step),
            _ => found.name.clone(),
        };
        while names.contains(&name) {
            name.push_str("-again");
        }
        names.push(name);
    }
    models.into_iter().zip(names).map(|(model, name)| Served { name, model }).collect()
}

/// The token of the file, or else of the environment.
fn token(file: Option<&Path>) -> Result<Option<String>, Error> {
    let token = match file {
        Some(path) => plain::read_given_to_string(path)
            .map_err(|error| Error::Usage(format!("--token-file {}: {error}", path.display())))?,
        None => match std::env::var(TOKEN_VARIABLE) {
            Ok(token) => token,
            Err(std::env::VarError::NotPresent) => return Ok(None),
            Err(error) => return Err(Error::Usage(format!("{TOKEN_VARIABLE}: {error}"))),
        },
    };
    // Some editors begin a file with a byte order mark, which nobody sees and no client sends.
    let token = token.trim_start_matches('\u{feff}').trim();
    if token.is_empty() {
        return Err(Error::Usage("the token is empty; leave it out to require none".to_owned()));
    }
    Ok(Some(token.to_owned()))
}

/// The first signal asks the server to stop, a Ctrl-C a moment later ends the process.
fn catch() -> Result<watch::Receiver<bool>, Error> {
    let (stop, stopped) = watch::channel(false);
    let first = move |_| {
        stop.send_replace(true);
        terminal::err("stopping once the running texts are finished; Ctrl-C again stops at once");
    };
    #[expect(clippy::exit, reason = "a second signal does not wait for what is under way")]
    signals::listen(first, || std::process::exit(i32::from(Exit::Interrupted.code())))?;
    Ok(stopped)
}
