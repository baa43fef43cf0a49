//! A Hugging Face Space: a container that builds this program and serves a model with it.
//!
//! # Source
//! Hugging Face's documentation of Docker Spaces: front matter in `README.md`, a `Dockerfile`, a process of user 1000 that listens
//! on `app_port`.

use std::path::Path;

use super::card::yaml;
use super::hugging_face::{self, GIT_ATTRIBUTES, put};
use super::{ExportError, slug, source};
use crate::pretrained::Pretrained;
use crate::report::ending;
use crate::store::RunRecord;

/// Where Spaces look for a server.
const PORT: u16 = 7860;
/// Longest that the Hub allows for `short_description`.
const LONGEST_DESCRIPTION: usize = 60;

/// Writes everything into `folder`.
pub fn fill(model: &Pretrained, folder: &Path) -> Result<(), ExportError> {
    let name = slug(&model.name);
    let models = folder.join("model").join(&name);
    std::fs::create_dir_all(&models).map_err(|source| ExportError::Write { path: models.clone(), source })?;
    let record = hugging_face::fill(model, &models)?;
    let runner = folder.join("runner");
    source::write(&runner).map_err(|source| ExportError::Write { path: runner, source })?;
    put(folder, "README.md", &readme(&name, record.as_ref()))?;
    put(folder, "Dockerfile", &dockerfile(&name))?;
    put(folder, ".gitattributes", GIT_ATTRIBUTES)?;
    put(folder, ".dockerignore", ".git\n")
}

fn readme(name: &str, record: Option<&RunRecord>) -> String {
    let outcome = record.map(ending::sentence).unwrap_or_default();
    let description: String =
        format!("{name}, a GPT-2 trained with runner").chars().take(LONGEST_DESCRIPTION).collect();
    format!(
        "---\n\
         title: {}\n\
         emoji: \u{1f4dc}\n\
         colorFrom: indigo\n\
         colorTo: blue\n\
         sdk: docker\n\
         app_port: {PORT}\n\
         pinned: false\n\
         short_description: {}\n\
         ---\n\n\
         # {name}\n\n\
         A page to try a language model that was trained with `runner`, and an interface for programs (`/v1/completions`, as \
         OpenAI's). {outcome}\n\n\
         The model is in `model/{name}`, with a [card](model/{name}/README.md) that says how it was trained and how well it does. \
         `runner/` is the source of the program, which the `Dockerfile` builds.\n\n\
         To put it on the Hub, make a Space with the Docker SDK, and in this folder:\n\n\
         ```sh\n\
         hf upload USER/SPACE . --repo-type space\n\
         ```\n\n\
         To run it anywhere else:\n\n\
         ```sh\n\
         docker build -t {image} .\n\
         docker run -p {PORT}:{PORT} {image}\n\
         ```\n",
        yaml(name),
        yaml(&description),
        image = name.to_ascii_lowercase(),
    )
}

/// Smaller weights than f32 are an argument away: `--weights int8`.
fn dockerfile(name: &str) -> String {
    format!(
        "FROM rust:{}-slim-bookworm AS build\n\
         WORKDIR /build\n\
         COPY runner .\n\
         RUN cargo build --release\n\n\
         FROM debian:bookworm-slim\n\
         RUN useradd --create-home --uid 1000 user\n\
         COPY --from=build /build/target/release/runner /usr/local/bin/runner\n\
         USER user\n\
         WORKDIR /home/user\n\
         COPY --chown=user model model\n\
         EXPOSE {PORT}\n\
         # `--weights int8` is faster, takes a quarter of the memory, and is a little less exact.\n\
         CMD [\"runner\", \"serve\", \"model/{name}\", \"--host\", \"0.0.0.0\", \"--port\", \"{PORT}\"]\n",
        env!("CARGO_PKG_RUST_VERSION"),
    )
}
