"""A GPT-2 training step in PyTorch: the yardstick that `compare.py` holds `runner` against on the CPU, and `.ci/gpu-proof` on a GPU.

Two models of equal architecture and parameters: Hugging Face's `GPT2LMHeadModel`, which most people use, and `Gpt2`
below, which is as little between a user and PyTorch's kernels as one can write down. A step is forward, backward, AdamW
(fused) and setting the gradients to none, which is what `step.toml` says for `runner`. Tokens are random: a dense model
takes the same time for any text. On a GPU f32 is computed in f32 (TF32 is off), and copying the tokens there is part of a step.

    pip install torch transformers                                                 # the minimal model needs torch alone
    python benches/pytorch.py minimal --layers 4 --heads 4 --width 128 --steps 5    # a line of JSON for each step
    python benches/pytorch.py minimal --device cuda --dtype bf16 --layers 12 --heads 12 --width 768
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

def need(package: str) -> None:
    if find_spec(package) is None:
        raise SystemExit(f"{package} not found; install with `pip install {package}`")


need("torch")

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
    vocabulary: int = VOCABULARY
    block_size: int = BLOCK_SIZE


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
        self.tokens = nn.Embedding(size.vocabulary, size.width)
        self.positions = nn.Embedding(size.block_size, size.width)
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
    need("transformers")
    # Imported here because it takes time and memory that a run of the other model should not pay for.
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=size.vocabulary,
            n_positions=size.block_size,
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


def batches(batch_size: int, length: int, vocabulary: int = VOCABULARY) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless random batches (batch, length): token ids, and for each the id that follows."""
    random = torch.Generator().manual_seed(1337)
    while True:
        windows = torch.randint(vocabulary, (batch_size, length + 1), generator=random)
        yield windows[:, :-1].contiguous(), windows[:, 1:].contiguous()


def loss_of(model: nn.Module, ids: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
    """Mean cross entropy in nats per token, the same for both models.

    Hugging Face's own (`labels=`) is the same number one place shifted, and copies the logits once more.
    """
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        out = model(ids)
        logits = out if isinstance(out, Tensor) else out.logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


@dataclass(frozen=True)
class Step:
    """Seconds that a step took, its loss before the update, and the most GPU memory that tensors have had so far."""

    secs: float
    loss: float
    gpu_bytes: int | None = None


def train(
    model: nn.Module, data: Iterator[tuple[Tensor, Tensor]], dtype: torch.dtype = torch.float32
) -> Iterator[Step]:
    """Endless steps with PyTorch's defaults for AdamW but for the learning rate."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    device = next(model.parameters()).device
    for ids, targets in data:
        start = time.perf_counter()
        loss = loss_of(model, ids.to(device), targets.to(device), dtype)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        # On a GPU this waits for all of the step: it comes after the update in the same queue.
        value = loss.item()
        secs = time.perf_counter() - start
        yield Step(secs, value, torch.cuda.max_memory_allocated() if device.type == "cuda" else None)


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
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--block-size", type=int, default=BLOCK_SIZE)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--sequence-length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32", help="bf16: autocast, weights stay in f32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--check", action="store_true", help="compare the two models instead")
    parser.add_argument("--versions", action="store_true", help="print the versions of the packages instead")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1337)
    if args.check:
        check()
    elif args.versions:
        found = [package for package in ("torch", "transformers") if find_spec(package)]
        print(", ".join(f"{package} {version(package)}" for package in found))
    else:
        if args.device == "cuda" and not torch.cuda.is_available():
            raise SystemExit("PyTorch finds no CUDA device: `python -c 'import torch; torch.zeros(1).cuda()'` says why")
        # The default, but environment and configuration of a machine may have changed it.
        torch.set_float32_matmul_precision("highest")
        size = Size(args.layers, args.heads, args.width, args.vocabulary, args.block_size)
        model = MODELS[args.model](size).train().to(args.device)
        dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
        data = batches(args.batch_size, args.sequence_length, args.vocabulary)
        for step in islice(train(model, data, dtype), args.steps):
            print(json.dumps(asdict(step)), flush=True)


if __name__ == "__main__":
    main()
