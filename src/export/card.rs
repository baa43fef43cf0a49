//! The model card: `README.md` of a Hugging Face folder.

use std::path::Path;

use serde_json::Value;

use super::{ExportError, slug};
use crate::data::tokenizer::{AddedToken, END_OF_TEXT_NAME, Tokenizer};
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
        new_tokens.min(model.model.block_size.saturating_sub(model.tokenizer.encode(prompt).len()).max(1)),
    );
    format!(
        "## Use\n\n{}{}\n`runner generate .` and `runner serve .` take this folder as well. The context length is {}; default \
         sampling settings are those of the training run, in {}.",
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

/// Which special tokens a text can name; empty where there are none.
fn special_tokens(model: &Pretrained) -> String {
    let tokenizer = &model.tokenizer;
    let named: Vec<String> = match tokenizer {
        Tokenizer::Extended(extended) => {
            let is_named = |token: &&AddedToken| {
                !(token.only_written || (token.special && extended.parts().split_special_tokens))
            };
            extended.tokens().iter().filter(is_named).map(|token| outside_tables(&token.content)).collect()
        }
        _ => Vec::new(),
    };
    let split = match tokenizer {
        Tokenizer::Extended(extended) => extended.parts().split_special_tokens,
        _ => tokenizer.end_token().is_some(),
    };
    let mut text = String::new();
    if !named.is_empty() {
        text.push_str(&format!("\nIn a text these are read as one token each: {}.\n", named.join(", ")));
    }
    if split {
        text.push_str(&format!(
            "\n{} and other special tokens that are written out in a text are ordinary text, as they were in training \
             ({} in {}).\n",
            outside_tables(END_OF_TEXT_NAME),
            code("split_special_tokens"),
            code("tokenizer_config.json")
        ));
    }
    text
}

const LIMITS: &str = "## What it is for\n\n\
    A model of this kind continues texts like the one that it was trained on. It follows no instructions, states nothing \
    reliably, and has no filter: passages of its training text can come out verbatim, as the section on copied text \
    shows where it was measured. It was trained for study and comparison.";
