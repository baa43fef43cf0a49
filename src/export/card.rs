//! The model card: `README.md` of a Hugging Face folder.

use std::path::Path;

use serde_json::Value;

use super::{ExportError, slug};
use crate::data::tokenizer::AddedToken;
use crate::markdown::{code, fence};
use crate::model::params::model_info;
use crate::pretrained::Pretrained;
use crate::report;
use crate::store::RunRecord;
use crate::units;

/// The card of a model, of which `record` is the run, if there is one. Its plot is drawn into `folder`.
pub fn render(model: &Pretrained, record: Option<&RunRecord>, folder: &Path) -> Result<String, ExportError> {
    let front = front_matter(model, record);
    let about = format!("{}\n\n{}", weights(model), usage(model));
    let body = match record {
        Some(record) => report::run::card(record, &format!("{about}\n\n{LIMITS}"), folder)?,
        None => format!("# {}\n\n{about}\n", slug(&model.name)),
    };
    Ok(format!("{front}\n{body}"))
}

/// What the Hub reads. No licence: which one fits depends on the text that the model was trained on.
fn front_matter(model: &Pretrained, record: Option<&RunRecord>) -> String {
    let mut text =
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- gpt2\n- runner\n"
            .to_owned();
    for tag in record.into_iter().flat_map(|record| &record.manifest.run.tags) {
        text.push_str(&format!("- {}\n", yaml(tag)));
    }
    let mut prompts = model.sampling.prompts.iter().filter(|prompt| !prompt.is_empty()).peekable();
    if prompts.peek().is_some() {
        text.push_str("widget:\n");
    }
    for prompt in prompts {
        text.push_str(&format!("- text: {}\n", yaml(prompt)));
    }
    text + "---\n"
}

/// A text in YAML, of which JSON is a part.
pub fn yaml(text: &str) -> String {
    Value::from(text).to_string()
}

/// Which weights these are.
fn weights(model: &Pretrained) -> String {
    let parameters = units::count(model_info(&model.model).parameters);
    let vocabulary = match model.tokenizer.name() {
        "char" => "whose tokens are the characters of its training text",
        "byte" => "whose tokens are bytes",
        _ => "with GPT-2's tokenizer",
    };
    let biases = if model.model.bias {
        ""
    } else {
        " It was trained without biases; those in the file are zeros, because the format wants some."
    };
    match &model.origin {
        None => format!("A GPT-2 of {parameters} parameters, {vocabulary}."),
        Some(origin) => format!(
            "These are the weights of {}, of a GPT-2 of {parameters} parameters, {vocabulary}, trained with `runner`. Numbers \
             below are of the whole run.{biases}",
            origin.describe(),
        ),
    }
}

/// How to use the folder, here and with Hugging Face's library.
fn usage(model: &Pretrained) -> String {
    let prompt = model.sampling.prompts.iter().find(|prompt| !prompt.is_empty());
    let prompt = prompt.map_or("The", String::as_str);
    let new_tokens = model.sampling.max_new_tokens.unwrap_or(100);
    let python = format!(
        "from transformers import AutoTokenizer, GPT2LMHeadModel\n\n\
         tokenizer = AutoTokenizer.from_pretrained(\".\")  # or the name of the repository\n\
         model = GPT2LMHeadModel.from_pretrained(\".\")\n\
         inputs = tokenizer({}, return_tensors=\"pt\")\n\
         print(tokenizer.decode(model.generate(**inputs, max_new_tokens={})[0]))\n",
        yaml(prompt),
        new_tokens
            .min(model.model.block_size.saturating_sub(model.tokenizer.encode_prompt(prompt).len()).max(1)),
    );
    let whose = if model.origin.is_some() { "those of the training run, in " } else { "in " };
    format!(
        "## Use\n\n{}{}\n`runner generate .` and `runner serve .` take this folder as well. The context length is {}; default \
         sampling settings are {whose}{}.",
        fence("python", &python),
        special_tokens(model),
        units::count(model.model.block_size as u64),
        code("generation_config.json"),
    )
}

/// Inline code where a bar needs no escape.
fn outside_tables(text: &str) -> String {
    code(text).replace("\\|", "|")
}

/// Which added tokens are read where a text writes them out, and which are not; empty where there are none.
fn special_tokens(model: &Pretrained) -> String {
    let parts = model.tokenizer.parts();
    let (read, split): (Vec<&AddedToken>, Vec<&AddedToken>) =
        parts.tokens.iter().filter(|token| !token.only_written).partition(|token| parts.reads(token));
    let names = |tokens: &[&AddedToken]| {
        let names: Vec<String> = tokens.iter().map(|token| outside_tables(&token.content)).collect();
        names.join(", ")
    };
    let mut text = String::new();
    if !read.is_empty() {
        text.push_str(&format!("\nIn a text these are read as one token each: {}.\n", names(&read)));
    }
    if !split.is_empty() {
        let why = if model.origin.is_some() { ", as they were in training" } else { "" };
        let how = match split.iter().any(|token| token.special) {
            true => format!(" ({} in {})", code("split_special_tokens"), code("tokenizer_config.json")),
            false => String::new(),
        };
        text.push_str(&format!(
            "\nWritten out in a text these are ordinary characters{why}{how}: {}.\n",
            names(&split)
        ));
    }
    text
}

const LIMITS: &str = "## What it is for\n\n\
    A model of this kind continues texts like the one that it was trained on. It follows no instructions, states nothing \
    reliably, and has no filter: passages of its training text can come out verbatim, as the section on copied text \
    shows where it was measured. It was trained for study and comparison.";
