#!/usr/bin/env bash
# A generation_config.json that says nothing of the end of a text takes away the end that config.json names.
#
# Versions: torch 2.15.0, transformers 5.24.0 (Python 3.10 or newer; about 6 GB to download and unpack).
#
# What one would guess: generation_config.json holds settings for generate(), each optional, and what it leaves out is as the model
# says. A folder whose config.json has `eos_token_id` ends its texts there; adding a file with nothing but
# {"max_new_tokens": 24} changes the length and nothing else.
#
# What happens: the file as a whole replaces what is derived from config.json. `model.config.eos_token_id` still shows the token, but
# generate() no longer stops at it and writes on to the limit, without a word. Deleting the file brings the end back. Loading and
# saving the folder makes it lasting: save_pretrained() writes the generation_config.json without an end. What was asked for in
# the call itself (eos_token_id=...) still works.
#
# Seen: greedy text from a random GPT-2 whose config.json names its third token as the end: 3 tokens without the file, 24 with it,
# 24 again after a round trip, 3 with eos_token_id given in the call; model.config.eos_token_id is the same all the while.
# Exits 0 while that is so, 1 if it changes, 2 where the packages cannot be installed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -q torch==2.15.0 transformers==5.24.0 numpy==2.4.6 || exit 2

"$work/venv/bin/python" - "$work" <<'PY'
import json
import pathlib
import sys

import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel

transformers.logging.set_verbosity_error()
work = pathlib.Path(sys.argv[1])
LENGTH = 24
prompt = torch.tensor([[1, 2, 3]])


def written(model, **asked):
    with torch.no_grad():
        return model.generate(prompt, attention_mask=torch.ones_like(prompt), **asked)[0, prompt.shape[1]:].tolist()


torch.manual_seed(0)
sizes = dict(n_layer=2, n_head=2, n_embd=32, n_positions=64, vocab_size=97, initializer_range=0.6)
model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)).eval()
free = written(model, max_new_tokens=LENGTH, do_sample=False)
place = next(at for at in range(2, LENGTH) if free[at] not in free[:at])
end = free[place]
print(f"free: {free}, the end is to be {end}")

folder, again = work / "folder", work / "again"
model.config.eos_token_id = end
model.generation_config.eos_token_id = None
model.save_pretrained(folder)
settings = folder / "generation_config.json"


def load(folder):
    return GPT2LMHeadModel.from_pretrained(folder).eval()


settings.unlink()
plain = load(folder)
settings.write_text(json.dumps({"max_new_tokens": LENGTH}))
limited = load(folder)
limited.save_pretrained(again)
kept = load(again)

lengths = {
    "without the file": len(written(plain, max_new_tokens=LENGTH)),
    "with {max_new_tokens}": len(written(limited)),
    "after a round trip": len(written(kept)),
    "asked for in the call": len(written(limited, eos_token_id=end)),
}
ends = {model.config.eos_token_id for model in (plain, limited, kept)}
for what, length in lengths.items():
    print(f"{what}: {length} tokens")
print(f"config.eos_token_id: {ends}; generation_config.json after the round trip: {json.loads((again / 'generation_config.json').read_text())}")
expected = [place + 1, LENGTH, LENGTH, place + 1]
sys.exit(0 if list(lengths.values()) == expected and ends == {end} else 1)
PY
