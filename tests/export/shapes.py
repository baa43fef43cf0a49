"""Folders in the shapes in which GPT-2s are published, made small, each held against transformers:

    python tests/export/shapes.py RUNNER FOLDER [NAME]

RUNNER is the program, FOLDER one that `runner export` wrote of a model with GPT-2's tokenizer: its vocabulary is used. Each folder
either makes the tokens and the greedy text of transformers, or is refused with what to do. With NAME, only those that have it in their
name are looked at. Needs torch.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

os.environ["HF_HUB_OFFLINE"] = "1"
logging.set_verbosity_error()
logging.disable_progress_bar()
runner, exported = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
only = sys.argv[3] if len(sys.argv) > 3 else ""
work = Path(tempfile.mkdtemp())
VOCABULARY = 50257
NEW_TOKENS = 12
PROMPTS = ["Hello world, it's 1999", "<|user|>Hello", "<|endoftext|>Hello", "a <|user|>  b<|end|>c"]


def token(content, **flags):
    plain = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return {"content": content, **plain, **flags}


def model(rows=VOCABULARY, seed=1, **config):
    """A model whose texts are no repetitions: random weights, larger than one begins with."""
    torch.manual_seed(seed)
    made = GPT2LMHeadModel(GPT2Config(vocab_size=rows, n_positions=64, n_embd=32, n_layer=2, n_head=2, **config)).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "ln_" not in name:
                parameter.copy_(torch.randn_like(parameter) * (0.3 if parameter.dim() > 1 else 0.1))
    made.generation_config.eos_token_id = made.config.eos_token_id
    return made


def folder(name, made, tokens=(), files=True, **save):
    path = work / name
    made.save_pretrained(path, **save)
    if files:
        content = json.loads((exported / "tokenizer.json").read_text())
        content["added_tokens"] = [{"id": VOCABULARY - 1, **token("<|endoftext|>")}]
        content["added_tokens"] += [{"id": VOCABULARY + n, **added} for n, added in enumerate(tokens)]
        put(path / "tokenizer.json", content)
    return path


def put(path, content):
    path.write_text(json.dumps(content))


def edit(path, **keys):
    put(path, {**json.loads(path.read_text()), **keys})


def renamed(path, change):
    file = path / "model.safetensors"
    tensors = {change(name): tensor for name, tensor in load_file(file).items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items() if name}, file, {"format": "pt"})


def call(path, prompt, *more):
    command = [runner, "generate", path, "--json", "--temperature", "0", "--repetition-penalty", "1", *more, "--", prompt]
    return subprocess.run(command, capture_output=True, text=True)


def agrees(name, path, reference=None, dtype=torch.float32):
    """Tokens of each prompt and greedy text as in transformers, which reads `reference` where it cannot read `path`."""
    if only not in name:
        return
    theirs = GPT2LMHeadModel.from_pretrained(reference or path, dtype=dtype).float().eval()
    tokenizer = AutoTokenizer.from_pretrained(reference or path)
    known = len(tokenizer)
    stopped = 0
    for prompt in PROMPTS:
        inputs = tokenizer(prompt, return_tensors="pt")
        # Rows that no token has: transformers would write them, and only from weights that nobody trained.
        empty = list(range(known, theirs.config.vocab_size)) or None
        with torch.inference_mode():
            written = theirs.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False, suppress_tokens=empty, pad_token_id=0)
        ids = written[0, inputs.input_ids.shape[1]:].tolist()
        ends = theirs.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        stops = ids[-1] in ends
        ids = ids[:-1] if stops else ids
        stopped += stops
        answer = call(path, prompt, "--max-new-tokens", str(NEW_TOKENS))
        assert answer.returncode == 0, f"{name}: {answer.stderr}"
        ours = json.loads(answer.stdout)
        assert ours["prompt_tokens"] == inputs.input_ids.shape[1], f"{name}: {prompt!r} is {inputs.input_ids.tolist()}, and {ours['prompt_tokens']} tokens here"
        expected = (len(ids), tokenizer.decode(ids), "stop" if stops else "length")
        found = (ours["new_tokens"], ours["text"], ours["finish_reason"])
        assert found == expected, f"{name}, {prompt!r}: {found} is not {expected}"
    print(f"{name}: the tokens and texts of transformers" + (f", {stopped} of which an end token ends" if stopped else ""))


def refused(name, path, *says):
    if only not in name:
        return
    answer = call(path, "Hello")
    assert answer.returncode == 2, f"{name}: exit code {answer.returncode}, {answer.stderr}"
    for words in says:
        assert words in answer.stderr, f"{name}: {words!r} is not in {answer.stderr}"
    assert answer.stderr.count(str(path)) <= 1, f"{name}: the path is there twice: {answer.stderr}"
    print(f"{name}: refused: {answer.stderr.splitlines()[0][:160]}")


user, end = token("<|user|>"), token("<|end|>", lstrip=True, rstrip=True)

agrees("as saved", folder("plain", model()))
agrees("f16", folder("f16", model().half()))
agrees("bf16", folder("bf16", model().bfloat16()))
agrees("shards", folder("shards", model(), max_shard_size="1MB"))
assert len(list((work / "shards").glob("model-*.safetensors"))) > 1

path = folder("compiled", model(seed=2))
shutil.copytree(path, work / "reference")
renamed(path, lambda name: f"_orig_mod.{name}")
agrees("_orig_mod.", path, work / "reference")
path = work / "distributed"
shutil.copytree(work / "reference", path)
renamed(path, lambda name: f"module.{name}")
agrees("module.", path, work / "reference")
path = work / "openai"
shutil.copytree(work / "reference", path)
renamed(path, lambda name: name.removeprefix("transformer."))
agrees("names without transformer.", path)
path = work / "head"
shutil.copytree(work / "reference", path)
renamed(path, lambda name: "lm_head.weight" if name == "transformer.wte.weight" else name)
agrees("a lone lm_head", path, work / "reference")

path = folder("masks", model(seed=3))
tensors = load_file(path / "model.safetensors")
for layer in range(2):
    tensors[f"transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, 64, 64, dtype=torch.uint8).tril()
    tensors[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
save_file(tensors, path / "model.safetensors", {"format": "pt"})
agrees("old masks", path)

agrees("added tokens", folder("added", model(VOCABULARY + 2), [user, end]))
path = folder("legacy", model(VOCABULARY + 2), files=False)
for name in ["vocab.json", "merges.txt"]:
    shutil.copy(exported / name, path / name)
put(path / "added_tokens.json", {"<|user|>": VOCABULARY, "<|end|>": VOCABULARY + 1})
put(path / "special_tokens_map.json", {"additional_special_tokens": ["<|user|>"], "pad_token": token("<|end|>", lstrip=True)})
put(path / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 64})
agrees("vocab.json and merges.txt", path)
path = folder("decoder", model(VOCABULARY + 2), [user])
put(path / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True, "added_tokens_decoder": {
    str(VOCABULARY - 1): token("<|endoftext|>"), str(VOCABULARY + 1): end, str(VOCABULARY): token("<|user|>", special=False, normalized=True)}})
agrees("added_tokens_decoder and add_prefix_space", path)
path = folder("backend", model(VOCABULARY + 2), [user, end])
put(path / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<|pad|>", "split_special_tokens": True})
agrees("split_special_tokens", path)
agrees("50,304 rows", folder("padded", model(50304), [user]))

# What the first prompt's text has as second token ends it, and a token that was added ends others.
made = model(VOCABULARY + 2, seed=5)
with torch.no_grad():
    made.transformer.wte.weight[VOCABULARY + 1] = 0
    made.transformer.wte.weight[VOCABULARY + 1] += made.transformer.ln_f.bias.sign() * 3
path = folder("ends", made, [user, end])
theirs, tokenizer = GPT2LMHeadModel.from_pretrained(path), AutoTokenizer.from_pretrained(path)
inputs = tokenizer(PROMPTS[0], return_tensors="pt")
second = theirs.generate(**inputs, max_new_tokens=2, do_sample=False, pad_token_id=0, eos_token_id=None)[0, -1].item()
edit(path / "generation_config.json", eos_token_id=[VOCABULARY + 1, second])
agrees("a list of ends", path)
# A head of its own.
made = model(seed=6, tie_word_embeddings=False)
refused("an untied head", folder("untied", made), "`lm_head.weight` differs from `wte.weight`", "tie_word_embeddings")
with torch.no_grad():
    made.lm_head.weight.copy_(made.transformer.wte.weight)
agrees("an untied head that is the table", folder("untied-equal", made))

path = work / "missing-shard"
shutil.copytree(work / "shards", path)
last = sorted(path.glob("model-*.safetensors"))[-1]
last.unlink()
refused("a missing shard", path, last.name, "download that too")
path = work / "pickle"
shutil.copytree(work / "reference", path)
torch.save(load_file(path / "model.safetensors"), path / "pytorch_model.bin")
(path / "model.safetensors").unlink()
refused("pytorch_model.bin", path, "pytorch_model.bin", "from_pretrained")
torch.save(load_file(work / "reference/model.safetensors"), path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
refused("a legacy pickle", path, "PyTorch's own format")
(path / "pytorch_model.bin").unlink()
(path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
refused("a pointer of Git LFS", path, "git lfs pull")
(path / "model.safetensors").write_text("<!DOCTYPE html><html></html>")
refused("a web page", path, "web page")


class NanoGPT(torch.nn.Module):
    """The names and shapes of nanoGPT's model, and what it computes, written anew for this test."""

    def __init__(self, rows, positions, width, layers, heads, bias):
        super().__init__()
        linear = lambda a, b: torch.nn.Linear(a, b, bias=bias)
        norm = lambda: torch.nn.ParameterDict({"weight": torch.ones(width), **({"bias": torch.zeros(width)} if bias else {})})
        block = lambda: torch.nn.ModuleDict({
            "ln_1": norm(), "ln_2": norm(),
            "attn": torch.nn.ModuleDict({"c_attn": linear(width, 3 * width), "c_proj": linear(width, width)}),
            "mlp": torch.nn.ModuleDict({"c_fc": linear(width, 4 * width), "c_proj": linear(4 * width, width)}),
        })
        self.transformer = torch.nn.ModuleDict({
            "wte": torch.nn.Embedding(rows, width), "wpe": torch.nn.Embedding(positions, width),
            "h": torch.nn.ModuleList([block() for _ in range(layers)]), "ln_f": norm(),
        })
        self.lm_head = torch.nn.Linear(width, rows, bias=False)
        self.transformer.wte.weight = self.lm_head.weight
        self.heads = heads

    def forward(self, ids):
        function = torch.nn.functional
        normed = lambda norm, x: function.layer_norm(x, x.shape[-1:], norm["weight"], norm["bias"] if "bias" in norm else None, 1e-5)
        part = self.transformer
        x = part.wte(ids) + part.wpe(torch.arange(len(ids)))
        for block in part.h:
            q, k, v = block["attn"]["c_attn"](normed(block["ln_1"], x)).chunk(3, -1)
            split = lambda y: y.view(len(ids), self.heads, -1).transpose(0, 1)
            y = function.scaled_dot_product_attention(split(q), split(k), split(v), is_causal=True)
            x = x + block["attn"]["c_proj"](y.transpose(0, 1).reshape(len(ids), -1))
            x = x + block["mlp"]["c_proj"](function.gelu(block["mlp"]["c_fc"](normed(block["ln_2"], x))))
        return self.lm_head(normed(part.ln_f, x[-1]))


# The program that the error message brings is run as it is.
for bias in [True, False]:
    place = work / f"nanogpt-{bias}"
    place.mkdir()
    characters = "\n abcdefgh"
    sizes = dict(n_layer=2, n_head=2, n_embd=32, block_size=16, bias=bias, vocab_size=len(characters), dropout=0.0)
    torch.manual_seed(7)
    theirs = NanoGPT(sizes["vocab_size"], 16, 32, 2, 2, bias).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "ln_" not in name:
                parameter.normal_(0, 0.3)
    weights = {f"_orig_mod.{name}": tensor for name, tensor in theirs.state_dict().items()}
    torch.save({"model": weights, "optimizer": {}, "model_args": sizes, "iter_num": 1, "best_val_loss": 1.0, "config": {}}, place / "ckpt.pt")
    refused("nanoGPT's ckpt.pt", place / "ckpt.pt", "nanoGPT")
    program = call(place / "ckpt.pt", "a").stderr.split("\n\n", 1)[1].rsplit("\n\n", 1)[0]
    (place / "convert.py").write_text(program)
    subprocess.run([sys.executable, "convert.py"], cwd=place, check=True, capture_output=True)
    put(place / "converted/runner-tokenizer.json", {"kind": "char", "vocabulary": characters})
    prompt = "abc"
    ids = [characters.index(c) for c in prompt]
    with torch.inference_mode():
        for _ in range(8):
            ids.append(theirs(torch.tensor(ids)).argmax().item())
    answer = call(place / "converted", prompt, "--max-new-tokens", "8")
    assert answer.returncode == 0, answer.stderr
    expected = "".join(characters[id] for id in ids[3:])
    found = json.loads(answer.stdout)["text"]
    assert found == expected, f"{found!r} is not nanoGPT's {expected!r}"
    print(f"nanoGPT's ckpt.pt, converted: its text, {expected!r}")

# What was added is kept by an export.
again = work / "again"
subprocess.run([runner, "export", work / "added", "--format", "hf", "--out", again], check=True, capture_output=True)
agrees("added tokens, exported again", again)
(again / "runner-tokenizer.json").unlink()
agrees("the same without this program's own file", again)
shutil.rmtree(work)
