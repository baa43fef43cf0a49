#!/usr/bin/env bash
# CTranslate2 converts a model whose tokenizer has no special tokens, and then cannot load what it wrote.
#
# Versions: torch 2.15.0, transformers 5.24.0, tokenizers 0.23.3, ctranslate2 4.8.5 (Python 3.10 or newer; about 6 GB to download and unpack).
#
# What one would guess: a GPT-2 with a vocabulary of characters, and no token for unknown, beginning or end, is a complete model: transformers
# loads it, encodes, generates. A converter either takes it, and then the result can be loaded, or says what is missing.
#
# What happens: ctranslate2's TransformersConverter ends without a word and writes all of its files. Opening them fails with an error of the JSON
# library that names neither file nor key: "[json.exception.type_error.302] type must be string, but is null". In the written config.json
# bos_token, eos_token and unk_token are null. Filling them in there with any token of the vocabulary makes the same folder load, and its greedy text
# is that of transformers: nothing else was wrong with it.
#
# Seen: as described, with a random GPT-2 of 2 layers over 27 characters. Exits 0 while that is so, 1 if it changes, 2 where the packages
# cannot be installed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${FINDING_PYTHON:-}
if [ -z "$python" ]; then
    python=$work/venv/bin/python
    python3 -m venv "$work/venv" || exit 2
    "$python" -m pip install -q torch==2.15.0 transformers==5.24.0 tokenizers==0.23.3 ctranslate2==4.8.5 || exit 2
fi

"$python" - "$work" <<'PY'
import json
import pathlib
import string
import sys

import ctranslate2
import tokenizers
import torch
import transformers
from ctranslate2.converters import TransformersConverter
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

transformers.logging.set_verbosity_error()
work = pathlib.Path(sys.argv[1])
folder, converted = work / "folder", work / "converted"
print(f"torch {torch.__version__}, transformers {transformers.__version__}, ctranslate2 {ctranslate2.__version__}")

letters = {letter: place for place, letter in enumerate(string.ascii_lowercase + " ")}
characters = tokenizers.Tokenizer(tokenizers.models.WordLevel(letters, unk_token=None))
characters.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
characters.decoder = tokenizers.decoders.Fuse()
PreTrainedTokenizerFast(tokenizer_object=characters).save_pretrained(folder)

torch.manual_seed(0)
sizes = dict(n_layer=2, n_head=2, n_embd=32, n_positions=64, vocab_size=len(letters), initializer_range=0.6)
GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)).save_pretrained(folder)

tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
model = GPT2LMHeadModel.from_pretrained(folder).eval()
prompt = tokenizer("the sea").input_ids
with torch.no_grad():
    ids = torch.tensor([prompt])
    text = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=0)
expected = text[0, len(prompt):].tolist()
print("transformers:", expected)

TransformersConverter(str(folder)).convert(str(converted))
config = json.loads((converted / "config.json").read_text())
names = {key: config[key] for key in ("bos_token", "eos_token", "unk_token")}
print("converted without a word:", names)
try:
    ctranslate2.Generator(str(converted))
    said = "it loads"
except RuntimeError as error:
    said = str(error)
print("loading:", said)

(converted / "config.json").write_text(json.dumps({**config, **dict.fromkeys(names, "z")}))
generator = ctranslate2.Generator(str(converted))
tokens = tokenizer.convert_ids_to_tokens(prompt)
found = generator.generate_batch([tokens], max_length=12, min_length=12, sampling_topk=1, include_prompt_in_result=False)
found = found[0].sequences_ids[0]
print("with the three filled in:", found)
sys.exit(0 if set(names.values()) == {None} and "must be string, but is null" in said and found == expected else 1)
PY
echo "as described: converted, and only loadable with the three filled in"
