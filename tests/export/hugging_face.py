"""Holds what `runner export --format hf --out FOLDER --logits FILE` wrote against Hugging Face's libraries:

    python tests/export/hugging_face.py FOLDER FILE

The tokenizer against `tokenizers`, and where `torch` is installed, the logits against `transformers.GPT2LMHeadModel`.
"""

import importlib.util
import json
import sys
from pathlib import Path

from safetensors import safe_open
from transformers import AutoTokenizer, GenerationConfig
from transformers.utils import logging

logging.disable_progress_bar()
folder, file = Path(sys.argv[1]), sys.argv[2]
with safe_open(file, "numpy") as tensors:
    text = tensors.metadata()["text"]
    expected = tensors.get_tensor("logits")
    tokens = tensors.get_tensor("tokens").astype(int).tolist()

tokenizer = AutoTokenizer.from_pretrained(folder)
ids = tokenizer(text).input_ids
assert ids[: len(tokens)] == tokens, f"other tokens: {ids[:20]} and {tokens[:20]}"
assert tokenizer.decode(ids) == text, "the text does not come back"
size = json.loads((folder / "config.json").read_text())["vocab_size"]
assert len(tokenizer) <= size == expected.shape[1], (len(tokenizer), size, expected.shape)
if (folder / "merges.txt").exists():
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    slow = Tokenizer(BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    slow.pre_tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json")).pre_tokenizer
    assert slow.encode(text).ids == ids, "vocab.json and merges.txt make other tokens than tokenizer.json"
settings = GenerationConfig.from_pretrained(folder)
settings.validate(strict=True)
words = f"{folder.name}: {tokenizer.__class__.__name__} makes the same {len(ids)} tokens of the text and the text of them"

if importlib.util.find_spec("torch") is None:
    print(f"{words}; the logits were not compared, because torch is not installed")
    sys.exit()

import torch
from transformers import GPT2LMHeadModel

model, loading = GPT2LMHeadModel.from_pretrained(folder, output_loading_info=True)
complaints = {key: value for key, value in loading.items() if value and value != {"lm_head.weight"}}
assert not complaints, complaints
model.eval()
with torch.inference_mode():
    found = model(torch.tensor([tokens])).logits[0].numpy()
difference, largest = abs(found - expected).max(), abs(expected).max()
print(f"{words}; largest difference of {found.size:,} logits {difference:.2e}, of at most {largest:.1f}")
assert difference <= 1e-4 * max(1.0, largest / 10), "the logits are others"

inputs = tokenizer(text[:8], return_tensors="pt")
torch.manual_seed(1)
written = model.generate(**inputs, max_new_tokens=8)
assert written.shape[1] > inputs.input_ids.shape[1], "nothing was written"
