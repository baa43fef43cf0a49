#!/usr/bin/env bash
# torch.optim.Muon doubles the learning rate of the wrong half of the MLP in transformers' GPT-2.
#
# Versions: torch 2.15.0, transformers 5.24.0 (Python 3.10 or newer; about 6 GB to download and unpack).
#
# What one would guess: Muon's default, adjust_lr_fn="original", multiplies the learning rate of a matrix by
# sqrt(max(1, outputs / inputs)). GPT-2's MLP widens by four (c_fc, 768 -> 3072) and narrows again (c_proj, 3072 -> 768), so
# c_fc should move by twice the learning rate and c_proj by once, as in the same model made of torch.nn.Linear.
#
# What happens: the other way round. Muon takes the first dimension of a parameter for the outputs, which is true of nn.Linear;
# transformers' GPT-2 keeps its weights in Conv1D, as (inputs, outputs), and neither of the two says a word. c_fc moves by once
# the learning rate and c_proj by twice. c_attn (queries, keys and values in one) should move by sqrt(3) and moves by once.
# Whoever ports a recipe from a model with nn.Linear trains another recipe. Transposing before the update, or
# adjust_lr_fn="match_rms_adamw", whose factor is the same both ways round, avoids it.
#
# Seen: with Conv1D c_attn, attn.c_proj, c_fc and mlp.c_proj move by 0.87, 0.79, 0.88 and 1.78 of the learning rate, with nn.Linear,
# the loss being the same to six digits, by 1.51, 0.79, 1.77 and 0.89 (Muon leaves singular values near 0.9, not at 1).
# Exits 0 while that is so, 1 if it changes, 2 where the packages cannot be installed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -q torch==2.15.0 transformers==5.24.0 numpy==2.4.6 || exit 2

"$work/venv/bin/python" - <<'PY'
import sys

import torch
import transformers

WIDTH, RATE = 96, 0.1
NAMES = ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]
transformers.logging.set_verbosity_error()


def with_linear(model):
    """The same model, each Conv1D in a block replaced by the nn.Linear that computes the same."""
    for block in model.transformer.h:
        for name in NAMES:
            parent, child = name.split(".")
            old = getattr(getattr(block, parent), child)
            inputs, outputs = old.weight.shape
            new = torch.nn.Linear(inputs, outputs)
            new.weight.data, new.bias.data = old.weight.data.T.contiguous(), old.bias.data.clone()
            setattr(getattr(block, parent), child, new)
    return model


def factors(model):
    """By how much each matrix moves in one step, in units of the learning rate: the RMS over its singular directions."""
    weights = {name: dict(model.named_parameters())[f"transformer.h.0.{name}.weight"] for name in NAMES}
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    optimizer = torch.optim.Muon(weights.values(), lr=RATE, weight_decay=0.0)
    tokens = torch.randint(50, (16, 64), generator=torch.Generator().manual_seed(1))
    loss = model(tokens, labels=tokens).loss
    loss.backward()
    optimizer.step()
    moved = {name: (weight.detach() - before[name]) / RATE for name, weight in weights.items()}
    return loss.item(), {name: (move.norm() / WIDTH**0.5).item() for name, move in moved.items()}


def build():
    torch.manual_seed(1)
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            n_layer=1, n_head=2, n_embd=WIDTH, vocab_size=50, n_positions=64, bos_token_id=0, eos_token_id=0,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )
    )


print("torch", torch.__version__, "transformers", transformers.__version__)
loss, as_is = factors(build())
loss_linear, linear = factors(with_linear(build()))
print(f"loss {loss:.6f} with Conv1D, {loss_linear:.6f} with nn.Linear")
for name in NAMES:
    print(f"{name:12} moves by {as_is[name]:.2f} of the learning rate; as nn.Linear by {linear[name]:.2f}")
same_model = abs(loss - loss_linear) < 1e-4
# An iteration of Muon leaves singular values near 0.9, not at 1: ratios tell.
up, down = as_is["mlp.c_fc"] / linear["mlp.c_fc"], as_is["mlp.c_proj"] / linear["mlp.c_proj"]
qkv = as_is["attn.c_attn"] / linear["attn.c_attn"]
print(f"Conv1D against nn.Linear: c_fc {up:.2f}, c_proj {down:.2f}, c_attn {qkv:.2f}")
near = lambda value, wanted: abs(value / wanted - 1) < 0.1
sys.exit(0 if same_model and near(up, 0.5) and near(down, 2.0) and near(qkv, 3**-0.5) else 1)
PY
