"""A GPT-2 training step in PyTorch on the CPU: the yardstick that `compare.py` holds `runner` against.

Two models of equal architecture and parameters: Hugging Face's `GPT2LMHeadModel`, which most people use, and `Gpt2`
below, which is as little between a user and PyTorch's kernels as one can write down. A step is forward, backward, AdamW
(fused) and setting the gradients to none, which is what `step.toml` says for `runner`. Tokens are random: a dense model
takes the same time for any text.

    pip install torch transformers
    python benches/pytorch.py minimal --layers 4 --heads 4 --width 128 --steps 5    # a line of JSON for each step
    python benches/pytorch.py --check                                               # do the two models agree?
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from itertools import islice

if absent := [package for package in ("torch", "transformers") if find_spec(package) is None]:
    raise SystemExit(f"{' and '.join(absent)} not found; install with `pip install torch transformers`")

import torch
from torch import Tensor, nn
from torch.nn import functional as F

VOCABULARY = 50257
BLOCK_SIZE = 1024


@dataclass(frozen=True)
class Size:
    """What differs between the models compared."""

    layers: int
    heads: int
    width: int


class Attention(nn.Module):
    """Causal self-attention with PyTorch's fused kernel."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.query_key_value = nn.Linear(size.width, 3 * size.width)
        self.out = nn.Linear(size.width, size.width)

    def forward(self, x: Tensor) -> Tensor:
        # (batch, time, 3 * width) -> three of (batch, heads, time, width / heads)
        query, key, value = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a two-layer perceptron, each added to the residual stream after a layer norm of its input."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(size.width), Attention(size))
        self.mlp = nn.Sequential(
            nn.LayerNorm(size.width),
            nn.Linear(size.width, 4 * size.width),
            nn.GELU(approximate="tanh"),
            nn.Linear(4 * size.width, size.width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        return x + self.mlp(x)


class Gpt2(nn.Module):
    """GPT-2 without dropout; the token embedding is also the output head."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, size.width)
        self.positions = nn.Embedding(BLOCK_SIZE, size.width)
        self.blocks = nn.Sequential(*(Block(size) for _ in range(size.layers)))
        self.norm = nn.LayerNorm(size.width)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (batch, time) to logits (batch, time, vocabulary)."""
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        return F.linear(self.norm(self.blocks(x)), self.tokens.weight)


def hugging_face(size: Size) -> nn.Module:
    """`GPT2LMHeadModel` of this size with random weights."""
    # Imported here because it takes time and memory that a run of the other model should not pay for.
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=BLOCK_SIZE,
            n_embd=size.width,
            n_layer=size.layers,
            n_head=size.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            use_cache=False,
        )
    )


MODELS: dict[str, Callable[[Size], nn.Module]] = {"huggingface": hugging_face, "minimal": Gpt2}


def batches(batch_size: int, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless random batches (batch, length): token ids, and for each the id that follows."""
    random = torch.Generator().manual_seed(1337)
    while True:
        windows = torch.randint(VOCABULARY, (batch_size, length + 1), generator=random)
        yield windows[:, :-1].contiguous(), windows[:, 1:].contiguous()


def loss_of(model: nn.Module, ids: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
    """Mean cross entropy in nats per token, the same for both models.

    Hugging Face's own (`labels=`) is the same number one place shifted, and copies the logits once more.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        out = model(ids)
        logits = out if isinstance(out, Tensor) else out.logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


@dataclass(frozen=True)
class Step:
    """Seconds that a step took, and its loss before the update."""

    secs: float
    loss: float


def train(
    model: nn.Module, data: Iterator[tuple[Tensor, Tensor]], dtype: torch.dtype = torch.float32
) -> Iterator[Step]:
    """Endless steps with PyTorch's defaults for AdamW but for the learning rate."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    for ids, targets in data:
        start = time.perf_counter()
        loss = loss_of(model, ids, targets, dtype)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        yield Step(time.perf_counter() - start, loss.item())


def copy_weights(source: nn.Module, target: Gpt2) -> None:
    """Gives `target` the weights of Hugging Face's model, which has its parameters in the same order."""
    pairs = list(zip(source.parameters(), target.parameters(), strict=True))
    with torch.no_grad():
        for theirs, ours in pairs:
            # Its linear layers are stored (in, out); embeddings have equal shapes, and come first.
            transposed = theirs.dim() == 2 and theirs is not pairs[0][0] and theirs is not pairs[1][0]
            ours.copy_(theirs.T if transposed else theirs)


def check() -> None:
    """Holds the two models against each other: same weights and batches must give the same losses, step after step."""
    size = Size(layers=2, heads=4, width=64)
    theirs, ours = hugging_face(size).train(), Gpt2(size).train()
    with torch.no_grad():
        for parameter in theirs.parameters():
            # Far from GPT-2's even start, where the loss is nearly ln(vocabulary) whatever the model does.
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    copy_weights(theirs, ours)
    print(f"{sum(parameter.numel() for parameter in ours.parameters())} parameters each")
    runs = zip(train(theirs, batches(4, 32)), train(ours, batches(4, 32)), strict=True)
    for number, (their, our) in enumerate(islice(runs, 5), start=1):
        print(f"step {number}: loss {their.loss:.6f} and {our.loss:.6f}")
        if not abs(their.loss - our.loss) < 1e-6 * their.loss:
            raise SystemExit("the models disagree")
    print("the models agree")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS, nargs="?", default="minimal")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--sequence-length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32", help="bf16: autocast, weights stay in f32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--check", action="store_true", help="compare the two models instead")
    parser.add_argument("--versions", action="store_true", help="print the versions of the packages instead")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1337)
    if args.check:
        check()
    elif args.versions:
        print(f"torch {version('torch')}, transformers {version('transformers')}")
    else:
        model = MODELS[args.model](Size(args.layers, args.heads, args.width)).train()
        dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
        for step in islice(train(model, batches(args.batch_size, args.sequence_length), dtype), args.steps):
            print(json.dumps(asdict(step)), flush=True)


if __name__ == "__main__":
    main()
