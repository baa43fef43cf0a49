//! What other programs call things. Only errors and `runner explain` read this table: other names are never accepted,
//! they are answered with the key that is meant. Edit distance alone would answer `lr` with `min_lr`.

mod keys;

pub(super) use keys::COMMON;
pub use keys::FOREIGN;

use crate::facts::optimizer::{Facts, OptimizerKind};

/// A name from elsewhere.
#[derive(Debug)]
pub struct ForeignName {
    pub name: &'static str,
    /// The dotted key meant; empty when there is none.
    pub key: &'static str,
    /// Who says so.
    pub used_by: &'static str,
    /// Where the meaning differs, or why there is no such key. Empty when it is the same thing.
    pub note: &'static str,
}

/// Other names of the sections.
pub static FOREIGN_SECTIONS: &[(&str, &str)] = &[
    ("run", "experiment"),
    ("meta", "experiment"),
    ("project", "experiment"),
    ("gpt", "model"),
    ("network", "model"),
    ("architecture", "model"),
    ("model_args", "model"),
    ("dataset", "data"),
    ("corpus", "data"),
    ("training", "train"),
    ("trainer", "train"),
    ("training_args", "train"),
    ("train_args", "train"),
    ("optim", "optimizer"),
    ("optimiser", "optimizer"),
    ("adamw", "optimizer"),
    ("muon", "optimizer"),
    ("opt", "optimizer"),
    ("scheduler", "schedule"),
    ("lr_scheduler", "schedule"),
    ("lr_schedule", "schedule"),
    ("lr", "schedule"),
    ("goal", "target"),
    ("early_stopping", "target"),
    ("checkpoints", "checkpoint"),
    ("checkpointing", "checkpoint"),
    ("save", "checkpoint"),
    ("sampling", "sample"),
    ("samples", "sample"),
    ("generate", "sample"),
    ("generation", "sample"),
    ("device", "hardware"),
    ("system", "hardware"),
    ("compute", "hardware"),
    ("resources", "hardware"),
    ("grid", "sweep.grid"),
    ("zip", "sweep.zip"),
    ("hparams", "sweep.grid"),
    ("parameters", "sweep.grid"),
];

/// Other names of values: key, word from elsewhere, word here.
pub fn foreign_values() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let of_kind =
        |facts: &'static Facts| facts.other_words.iter().map(|word| ("optimizer.kind", *word, facts.word));
    FOREIGN_VALUES
        .iter()
        .copied()
        .chain(OptimizerKind::ALL.iter().flat_map(move |kind| of_kind(kind.facts())))
}

/// Those that are not an optimizer's.
static FOREIGN_VALUES: &[(&str, &str, &str)] = &[
    ("schedule.kind", "wsd", "warmup-stable-decay"),
    ("schedule.kind", "warmup_stable_decay", "warmup-stable-decay"),
    ("schedule.kind", "trapezoidal", "warmup-stable-decay"),
    ("schedule.kind", "constant_with_warmup", "constant"),
    ("schedule.kind", "none", "constant"),
    ("schedule.kind", "cosine_with_min_lr", "cosine"),
    ("schedule.kind", "cosine_annealing", "cosine"),
    ("model.preset", "gpt2-small", "gpt2"),
    ("model.preset", "gpt2-124m", "gpt2"),
    ("model.preset", "gpt2-124M", "gpt2"),
    ("model.preset", "openai-community/gpt2", "gpt2"),
    ("data.tokenizer", "bpe", "gpt2"),
    ("data.tokenizer", "tiktoken", "gpt2"),
    ("data.tokenizer", "gpt-2", "gpt2"),
    ("data.tokenizer", "character", "char"),
    ("data.tokenizer", "chars", "char"),
    ("data.tokenizer", "bytes", "byte"),
    ("data.corpus", "shakespeare", "tinyshakespeare"),
    ("data.corpus", "shakespeare_char", "tinyshakespeare"),
    ("data.corpus", "tiny_shakespeare", "tinyshakespeare"),
    ("data.order", "chunks", "fixed_windows"),
    ("data.order", "shuffled_chunks", "fixed_windows"),
    ("data.order", "shuffle", "shuffled_epochs"),
    ("data.order", "shuffled", "shuffled_epochs"),
    ("target.metric", "loss", "train_loss"),
    ("target.metric", "eval_loss", "val_loss"),
    ("target.metric", "validation_loss", "val_loss"),
    ("hardware.dtype", "float32", "f32"),
    ("hardware.dtype", "fp32", "f32"),
    ("hardware.dtype", "float16", "f16"),
    ("hardware.dtype", "fp16", "f16"),
    ("hardware.dtype", "half", "f16"),
    ("hardware.dtype", "16-mixed", "f16"),
    ("hardware.dtype", "bfloat16", "bf16"),
    ("hardware.dtype", "bf16-mixed", "bf16"),
    ("hardware.device", "gpu", "cuda"),
];

/// Keys that other programs know by the same leaf, and which ones.
pub static SHARED: &[(&str, &str)] = &[
    ("model.n_layer", "nanoGPT, Hugging Face GPT-2, OpenAI GPT-2"),
    ("model.n_head", "nanoGPT, Hugging Face GPT-2, OpenAI GPT-2"),
    ("model.n_embd", "nanoGPT, Hugging Face GPT-2, OpenAI GPT-2"),
    ("model.block_size", "nanoGPT"),
    ("model.vocab_size", "nanoGPT, Hugging Face"),
    ("model.dropout", "nanoGPT, PyTorch"),
    ("model.bias", "nanoGPT, PyTorch"),
    ("train.batch_size", "nanoGPT, PyTorch, Keras"),
    ("train.sequence_length", "llm.c, DeepSpeed"),
    ("train.gradient_accumulation_steps", "nanoGPT, Hugging Face, DeepSpeed"),
    ("train.max_steps", "Hugging Face, Lightning"),
    ("train.max_time", "Lightning"),
    ("train.eval_interval", "nanoGPT, Megatron"),
    ("optimizer.learning_rate", "nanoGPT, Hugging Face, Keras"),
    ("optimizer.beta1", "nanoGPT"),
    ("optimizer.beta2", "nanoGPT"),
    ("optimizer.eps", "PyTorch"),
    ("optimizer.momentum", "PyTorch, Keras"),
    ("optimizer.weight_decay", "nanoGPT, Hugging Face, PyTorch"),
    ("optimizer.grad_clip", "nanoGPT"),
    ("optimizer.nesterov", "PyTorch"),
    ("optimizer.ns_steps", "PyTorch, Optax, Keras"),
    ("optimizer.ns_coefficients", "PyTorch"),
    ("optimizer.adjust_lr_fn", "PyTorch"),
    ("schedule.warmup_steps", "Hugging Face"),
    ("schedule.min_lr", "nanoGPT, Megatron"),
    ("sample.max_new_tokens", "nanoGPT, Hugging Face"),
    ("sample.temperature", "nanoGPT, Hugging Face"),
    ("sample.top_k", "nanoGPT, Hugging Face"),
    ("sample.top_p", "Hugging Face"),
    ("hardware.device", "nanoGPT, PyTorch"),
    ("hardware.dtype", "nanoGPT, PyTorch"),
    ("experiment.seed", "Hugging Face, Megatron"),
];

/// What other programs call `key`.
pub fn foreign_names_of(key: &str) -> impl Iterator<Item = &'static ForeignName> {
    FOREIGN.iter().filter(move |foreign| foreign.key == key)
}

/// The entry of a name from elsewhere.
pub fn foreign_name(name: &str) -> Option<&'static ForeignName> {
    FOREIGN.iter().find(|foreign| foreign.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::{self, Kind};

    #[test]
    fn every_foreign_name_leads_to_a_key_or_says_why_not() {
        for (index, foreign) in FOREIGN.iter().enumerate() {
            let name = foreign.name;
            assert!(
                schema::key(foreign.key).is_some() || foreign.key.is_empty(),
                "{name} -> {}",
                foreign.key
            );
            assert!(!(foreign.key.is_empty() && foreign.note.is_empty()), "{name} leads nowhere");
            assert!(FOREIGN[..index].iter().all(|other| other.name != name), "{name} stands there twice");
            assert!(
                schema::KEYS.iter().all(|key| key.leaf != name || key.section == "reference"),
                "{name} is ours"
            );
        }
    }

    #[test]
    fn every_shared_name_is_a_key() {
        assert!(SHARED.iter().all(|(key, _)| schema::key(key).is_some()));
    }

    #[test]
    fn every_foreign_section_and_value_leads_to_one_of_ours() {
        for (name, section) in FOREIGN_SECTIONS {
            assert!(
                schema::SECTIONS.contains(section) || section.starts_with("sweep."),
                "{name} -> {section}"
            );
            assert!(!schema::SECTIONS.contains(name), "{name} is a section");
        }
        for (key, word, ours) in foreign_values() {
            match schema::key(key).expect(key).kind {
                Kind::Choice(words) => {
                    assert!(words.contains(&ours) && !words.contains(&word), "{key} = {word}");
                }
                Kind::Device => assert_eq!(ours, "cuda"),
                kind => panic!("{key} is {kind:?}"),
            }
        }
    }
}
