"""Records the numbers of a tiny GPT-2 in PyTorch that the Rust tests compare themselves with.

    python record.py            # needs torch, numpy and safetensors; writes tiny*.safetensors and tiny.json

The model is written out in plain torch operations in double precision, so that what is compared is the mathematics and
not somebody's module. Linear weights are stored (in, out). The versions used are written into tiny.json.
"""

import json
import math
import pathlib
import unittest.mock

import numpy
import safetensors.torch
import torch

N_LAYER, N_HEAD, N_EMBD, BLOCK_SIZE, VOCAB_SIZE = 2, 2, 16, 12, 37
BATCH_SIZE, SEQUENCE_LENGTH = 3, 12
STEPS, LEARNING_RATE, BETAS, EPS, WEIGHT_DECAY = 5, 3e-3, (0.9, 0.95), 1e-8, 0.1
SGD_LEARNING_RATE, SGD_MOMENTUM, SGD_WEIGHT_DECAY = 0.1, 0.9, 0.01
MUON_LEARNING_RATE, MUON_ADAMW_LEARNING_RATE, MUON_MOMENTUM, MUON_WEIGHT_DECAY = 0.02, 3e-3, 0.95, 0.1
MAX_NORM = 0.25
HERE = pathlib.Path(__file__).parent


def draw_parameters(generator):
    """Weights that are larger and less even than GPT-2's own start, so that no term of the model is negligible."""

    def normal(*shape, std=0.2, mean=0.0):
        # f32 values, because that is what the file holds.
        return (mean + std * torch.randn(*shape, generator=generator)).float()

    parameters = {
        "wte.weight": normal(VOCAB_SIZE, N_EMBD),
        "wpe.weight": normal(BLOCK_SIZE, N_EMBD),
    }

    def norm(name):
        parameters[name + ".weight"] = normal(N_EMBD, mean=1.0)
        parameters[name + ".bias"] = normal(N_EMBD)

    def linear(name, inputs, outputs):
        parameters[name + ".weight"] = normal(inputs, outputs)
        parameters[name + ".bias"] = normal(outputs)

    for i in range(N_LAYER):
        norm(f"h.{i}.ln_1")
        linear(f"h.{i}.attn.c_attn", N_EMBD, 3 * N_EMBD)
        linear(f"h.{i}.attn.c_proj", N_EMBD, N_EMBD)
        norm(f"h.{i}.ln_2")
        linear(f"h.{i}.mlp.c_fc", N_EMBD, 4 * N_EMBD)
        linear(f"h.{i}.mlp.c_proj", 4 * N_EMBD, N_EMBD)
    norm("ln_f")
    return parameters


def loss_of(parameters, inputs, targets):
    batch, tokens = inputs.shape
    head_width = N_EMBD // N_HEAD

    def norm(name, x):
        centred = x - x.mean(-1, keepdim=True)
        variance = (centred * centred).mean(-1, keepdim=True)
        unit = centred / torch.sqrt(variance + 1e-5)
        return unit * parameters[name + ".weight"] + parameters[name + ".bias"]

    def linear(name, x):
        return x @ parameters[name + ".weight"] + parameters[name + ".bias"]

    def gelu(x):
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    def heads(x):
        return x.view(batch, tokens, N_HEAD, head_width).transpose(1, 2)

    future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    x = parameters["wte.weight"][inputs] + parameters["wpe.weight"][:tokens]
    for i in range(N_LAYER):
        q, k, v = (heads(part) for part in linear(f"h.{i}.attn.c_attn", norm(f"h.{i}.ln_1", x)).split(N_EMBD, dim=-1))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(head_width)
        weights = torch.softmax(scores.masked_fill(future, -math.inf), dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, tokens, N_EMBD)
        x = x + linear(f"h.{i}.attn.c_proj", mixed)
        x = x + linear(f"h.{i}.mlp.c_proj", gelu(linear(f"h.{i}.mlp.c_fc", norm(f"h.{i}.ln_2", x))))
    logits = norm("ln_f", x) @ parameters["wte.weight"].T
    return torch.nn.functional.cross_entropy(logits.view(-1, VOCAB_SIZE), targets.reshape(-1))


def train(start, batches, optimizer_of, max_norm=None):
    """Losses of the steps, before each update, and norms of the gradient before clipping."""
    parameters = {name: value.double().requires_grad_() for name, value in start.items()}
    optimizer = optimizer_of(parameters)
    losses, norms = [], []
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss = loss_of(parameters, inputs, targets)
        loss.backward()
        limit = math.inf if max_norm is None else max_norm
        norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), limit).item())
        losses.append(loss.item())
        optimizer.step()
    losses.append(loss_of(parameters, *batches[-1]).item())
    return {"losses": losses, "grad_norms": norms}


def adamw(decay_all):
    def build(parameters):
        matrices = [p for p in parameters.values() if p.dim() == 2]
        others = [p for p in parameters.values() if p.dim() != 2]
        groups = [
            {"params": matrices, "weight_decay": WEIGHT_DECAY},
            {"params": others, "weight_decay": WEIGHT_DECAY if decay_all else 0.0},
        ]
        return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, eps=EPS)

    return build


def sgd(parameters):
    return torch.optim.SGD(
        parameters.values(), lr=SGD_LEARNING_RATE, momentum=SGD_MOMENTUM, weight_decay=SGD_WEIGHT_DECAY
    )


class Muon:
    """torch.optim.Muon on the blocks' matrices and AdamW on the rest.

    Muon takes matrices (out, in), and queries, keys and values each for itself if `split_qkv`. Momentum
    begins at `warmup[0]` and reaches its own value after `warmup[1]` steps. It orthogonalises in bf16 whatever
    it is given; with `exact` the same code does so in double precision.
    """

    def __init__(self, parameters, nesterov=True, adjust_lr_fn="original", split_qkv=True, warmup=(0.0, 0), exact=True):
        self.warmup, self.steps = warmup, 0
        self.exact, self.pieces, others = exact, [], []
        for name, parameter in parameters.items():
            if name.startswith("h.") and parameter.dim() == 2:
                count = 3 if split_qkv and name.endswith("c_attn.weight") else 1
                for columns in parameter.detach().chunk(count, dim=1):
                    self.pieces.append((parameter, columns, torch.nn.Parameter(columns.T.clone())))
            else:
                others.append(parameter)
        muon = torch.optim.Muon(
            [piece for _, _, piece in self.pieces],
            lr=MUON_LEARNING_RATE,
            weight_decay=MUON_WEIGHT_DECAY,
            momentum=MUON_MOMENTUM,
            nesterov=nesterov,
            adjust_lr_fn=adjust_lr_fn,
        )
        groups = [
            {"params": [p for p in others if p.dim() == 2], "weight_decay": MUON_WEIGHT_DECAY},
            {"params": [p for p in others if p.dim() != 2], "weight_decay": 0.0},
        ]
        self.optimizers = [muon, torch.optim.AdamW(groups, lr=MUON_ADAMW_LEARNING_RATE, betas=BETAS, eps=EPS)]
        self.parameters = parameters

    def zero_grad(self):
        for parameter in self.parameters.values():
            parameter.grad = None

    def step(self):
        for parameter, columns, piece in self.pieces:
            start = columns.storage_offset()
            piece.grad = parameter.grad[:, start : start + columns.shape[1]].T.clone()
        start, steps = self.warmup
        share = min(1.0, self.steps / steps) if steps else 1.0
        self.optimizers[0].param_groups[0]["momentum"] = start + share * (MUON_MOMENTUM - start)
        self.steps += 1
        with unittest.mock.patch.object(torch, "bfloat16", torch.float64 if self.exact else torch.bfloat16):
            for optimizer in self.optimizers:
                optimizer.step()
        for _, columns, piece in self.pieces:
            columns.copy_(piece.detach().T)


def muon(**settings):
    return lambda parameters: Muon(parameters, **settings)


def main():
    generator = torch.Generator().manual_seed(20240229)
    start = draw_parameters(generator)
    batches = []
    for _ in range(STEPS):
        tokens = torch.randint(VOCAB_SIZE, (BATCH_SIZE, SEQUENCE_LENGTH + 1), generator=generator)
        batches.append((tokens[:, :-1], tokens[:, 1:]))

    parameters = {name: value.double().requires_grad_() for name, value in start.items()}
    loss_of(parameters, *batches[0]).backward()
    gradients = {name: value.grad.float() for name, value in parameters.items()}
    safetensors.torch.save_file(start, HERE / "tiny.safetensors")
    safetensors.torch.save_file(gradients, HERE / "tiny-gradients.safetensors")

    numbers = {
        "made_with": {
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "safetensors": safetensors.__version__,
        },
        "model": {
            "n_layer": N_LAYER,
            "n_head": N_HEAD,
            "n_embd": N_EMBD,
            "block_size": BLOCK_SIZE,
            "vocab_size": VOCAB_SIZE,
        },
        "optimizer": {
            "learning_rate": LEARNING_RATE,
            "beta1": BETAS[0],
            "beta2": BETAS[1],
            "eps": EPS,
            "weight_decay": WEIGHT_DECAY,
            "max_norm": MAX_NORM,
            "sgd_learning_rate": SGD_LEARNING_RATE,
            "sgd_momentum": SGD_MOMENTUM,
            "sgd_weight_decay": SGD_WEIGHT_DECAY,
            "muon_learning_rate": MUON_LEARNING_RATE,
            "muon_adamw_learning_rate": MUON_ADAMW_LEARNING_RATE,
            "muon_momentum": MUON_MOMENTUM,
            "muon_weight_decay": MUON_WEIGHT_DECAY,
        },
        "batches": [
            {"inputs": inputs.flatten().tolist(), "targets": targets.flatten().tolist()} for inputs, targets in batches
        ],
        "adamw": train(start, batches, adamw(decay_all=False)),
        "adamw_decay_all": train(start, batches, adamw(decay_all=True)),
        "adamw_clipped": train(start, batches, adamw(decay_all=False), MAX_NORM),
        "sgd": train(start, batches, sgd),
        "muon": train(start, batches, muon()),
        "muon_plain_momentum": train(start, batches, muon(nesterov=False)),
        "muon_warm_momentum": train(start, batches, muon(warmup=(0.5, 3))),
        "muon_match_rms_adamw": train(start, batches, muon(adjust_lr_fn="match_rms_adamw")),
        "muon_spectral_unclamped": train(start, batches, muon(adjust_lr_fn="spectral_unclamped")),
        "muon_whole_qkv": train(start, batches, muon(split_qkv=False)),
        "muon_clipped": train(start, batches, muon(), MAX_NORM),
        "muon_bf16": train(start, batches, muon(exact=False)),
    }
    (HERE / "tiny.json").write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
