//! Files that are no safetensors, known by how they begin, and what to do with them.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use memchr::memmem;

use crate::files::plain;

/// What a file is that was given as weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    Empty,
    NanoGpt,
    PyTorch,
    Zip,
    Compressed { with: &'static str, unpack: &'static str },
    LfsPointer,
    WebPage,
    Gguf,
    LlmC,
    Hdf5,
    Tar,
}

/// How much of a file is looked at.
const LOOKED_AT: usize = 4 << 20;

/// Converts nanoGPT's checkpoints. Its layers are `torch.nn.Linear`, which stores matrices the other way round.
const NANOGPT: &str = "\
import torch
from transformers import GPT2Config, GPT2LMHeadModel

saved = torch.load(\"ckpt.pt\", map_location=\"cpu\", weights_only=False)
sizes = saved[\"model_args\"]
config = GPT2Config(vocab_size=sizes[\"vocab_size\"], n_positions=sizes[\"block_size\"], n_layer=sizes[\"n_layer\"],
                    n_head=sizes[\"n_head\"], n_embd=sizes[\"n_embd\"])
turned = (\"attn.c_attn.weight\", \"attn.c_proj.weight\", \"mlp.c_fc.weight\", \"mlp.c_proj.weight\")
weights = {name.removeprefix(\"_orig_mod.\"): tensor for name, tensor in saved[\"model\"].items()}
weights = {name: tensor.t() if name.endswith(turned) else tensor for name, tensor in weights.items()}
model = GPT2LMHeadModel(config)
model.load_state_dict(weights, strict=False)  # a model without biases gets zeros
model.save_pretrained(\"converted\")";

impl Foreign {
    /// What begins with these bytes; `None` if that is nothing known.
    pub fn of(bytes: &[u8]) -> Option<Foreign> {
        let bytes = &bytes[..bytes.len().min(LOOKED_AT)];
        let has = |text: &str| memmem::find(bytes, text.as_bytes()).is_some();
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        let pickle =
            || if has("model_args") && has("iter_num") { Foreign::NanoGpt } else { Foreign::PyTorch };
        let compressed = |with, unpack| Some(Foreign::Compressed { with, unpack });
        if bytes.is_empty() {
            return Some(Foreign::Empty);
        }
        // Safetensors, damaged: the length of a header may be any two bytes.
        if bytes.get(4..9) == Some(b"\0\0\0\0{") {
            return None;
        }
        match bytes {
            _ if starts(b"PK\x03\x04") => Some(if has("data.pkl") { pickle() } else { Foreign::Zip }),
            [0x80, 2..=5, ..] => Some(pickle()),
            _ if starts(&[0x1F, 0x8B]) => compressed("gzip", "gunzip"),
            _ if starts(&[0x28, 0xB5, 0x2F, 0xFD]) => compressed("zstd", "unzstd"),
            _ if starts(b"\xFD7zXZ\0") => compressed("xz", "unxz"),
            _ if starts(b"BZh") => compressed("bzip2", "bunzip2"),
            _ if starts(b"version https://git-lfs.github.com/spec/") => Some(Foreign::LfsPointer),
            _ if starts(b"GGUF") => Some(Foreign::Gguf),
            // A date, as the first number of each of llm.c's models.
            _ if starts(&20_240_326_i32.to_le_bytes()) => Some(Foreign::LlmC),
            _ if starts(b"\x89HDF\r\n\x1A\n") => Some(Foreign::Hdf5),
            _ if bytes.get(257..262) == Some(b"ustar") => Some(Foreign::Tar),
            _ => {
                let start = bytes.trim_ascii_start();
                let start = start[..start.len().min(15)].to_ascii_lowercase();
                let is_page =
                    [b"<!doctype html".as_slice(), b"<html"].iter().any(|tag| start.starts_with(tag));
                is_page.then_some(Foreign::WebPage)
            }
        }
    }

    /// What the file is; `None` if that is nothing known.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Option<Foreign>> {
        let mut start = Vec::new();
        plain::open(path)?.take(LOOKED_AT as u64).read_to_end(&mut start)?;
        Ok(Foreign::of(&start))
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Foreign::Empty => write!(f, "it is empty; copy or download it again"),
            Foreign::NanoGpt => write!(
                f,
                "it is a checkpoint of nanoGPT; this Python program (pip install torch transformers) makes a folder of it, which is then \
                 given instead:\n\n{NANOGPT}\n\nREADME.md says how to bring a character vocabulary (meta.pkl)"
            ),
            Foreign::PyTorch => write!(
                f,
                "it is PyTorch's own format (pickle), and only safetensors are read; of a model of transformers, Python makes them: \
                 GPT2LMHeadModel.from_pretrained(\"FOLDER\").save_pretrained(\"OTHER\"), and OTHER is then given instead"
            ),
            Foreign::Zip => write!(f, "it is a zip archive; unpack it first, and give what was in it"),
            Foreign::Compressed { with, unpack } => write!(
                f,
                "it is compressed with {with}; unpack it first ({unpack}, or tar xf where the name ends with .tar.*), and give what was \
                 in it"
            ),
            Foreign::LfsPointer => write!(
                f,
                "it is a pointer of Git LFS and not the file that it stands for; fetch that: git lfs pull, in the folder's repository"
            ),
            Foreign::WebPage => write!(
                f,
                "it is a web page and not the file; download the file itself (on the Hugging Face Hub its address has /resolve/ where \
                 that of its page has /blob/)"
            ),
            Foreign::Gguf => write!(
                f,
                "it is llama.cpp's format GGUF, which is not read; give the Hugging Face folder that it was made from"
            ),
            Foreign::LlmC => write!(
                f,
                "it is a model of llm.c; that project's dev/eval/export_hf.py --input FILE --output OTHER makes a folder of it, and \
                 OTHER is then given instead"
            ),
            Foreign::Hdf5 => write!(
                f,
                "it is HDF5, as TensorFlow writes weights, which is not read; download the model's safetensors, or let \
                 transformers 4 make them: GPT2LMHeadModel.from_pretrained(\"FOLDER\", from_tf=True).save_pretrained(\"OTHER\")"
            ),
            Foreign::Tar => {
                write!(f, "it is a tar archive; unpack it first (tar xf), and give what was in it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_how_they_begin() {
        let zip = |inside: &str| [b"PK\x03\x04".as_slice(), inside.as_bytes()].concat();
        let tar = [[0; 257].as_slice(), b"ustar\0"].concat();
        for (bytes, says) in [
            (zip("archive/data.pkl ... model_args ... iter_num"), "checkpoint of nanoGPT"),
            (zip("archive/data.pkl ... transformer.wte.weight"), "PyTorch's own format"),
            (zip("model.safetensors"), "zip archive"),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), "PyTorch's own format"),
            (b"\x80\x02}q\0X\x0a\0\0\0model_args iter_num".to_vec(), "checkpoint of nanoGPT"),
            (b"\x1f\x8b\x08\0".to_vec(), "gunzip"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n".to_vec(), "git lfs pull"),
            (b"\n<!DOCTYPE html><html>".to_vec(), "/resolve/"),
            (b"<html>".to_vec(), "/resolve/"),
            (b"GGUF\x03\0\0\0".to_vec(), "llama.cpp"),
            (b"\xc6\xd7\x34\x01\x03\0\0\0".to_vec(), "export_hf.py"),
            (b"\x89HDF\r\n\x1a\n\0".to_vec(), "TensorFlow"),
            (tar, "tar xf"),
            (Vec::new(), "it is empty"),
        ] {
            let found = Foreign::of(&bytes).unwrap_or_else(|| panic!("{says}")).to_string();
            assert!(found.contains(says), "{found}");
        }
        for unknown in [
            b"PK".as_slice(),
            b"{}",
            b"\x80",
            b"<",
            b"\0\0\0\0\0\0\0\0{}",
            b"\x80\x02\0\0\0\0\0\0{\"",
            b"\x1f\x8b\0\0\0\0\0\0{\"",
        ] {
            assert_eq!(Foreign::of(unknown), None, "{unknown:?}");
        }
    }
}
