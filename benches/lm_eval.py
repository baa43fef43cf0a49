"""Tokens per second that `runner serve` scores for lm-eval, beside lm-eval's own `hf` model, and how far their log-likelihoods differ.

    cargo build --release
    pip install "lm-eval[api,hf]"
    python benches/lm_eval.py MODEL                  # a folder that `runner export --format hf` wrote, or a GPT-2 from the Hub

Both get the same requests from lm-eval, one at a time, in turns in one run on the same threads. A figure is the tokens of all
requests, contexts and continuations, divided by the seconds of the whole call.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.pop(0)  # This file is called as the package is.


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder with config.json, model.safetensors and a tokenizer")
    parser.add_argument("--text", type=Path, required=True, help="what contexts and continuations are taken from")
    parser.add_argument("--runner", default="target/release/runner")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--context", type=int, nargs=2, default=[10, 100], help="tokens of a context, from and to")
    parser.add_argument("--continuation", type=int, nargs=2, default=[1, 12])
    parser.add_argument("--choices", type=int, default=1, help="continuations of each context")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def items(args, tokenizer, round):
    """(context, continuation) as lm-eval hands them to a model: with their texts, and as tokens."""
    tokens = tokenizer(args.text.read_text()).input_ids
    draw = random.Random(round)
    made = []
    while len(made) < args.items:
        context = draw.randint(*args.context)
        at = draw.randrange(len(tokens) - context - args.continuation[1])
        for _ in range(args.choices):
            # The right one, and others from elsewhere.
            length = draw.randint(*args.continuation)
            begin = at + context if len(made) % args.choices == 0 else draw.randrange(len(tokens) - length)
            made.append((("", ""), tokens[at : at + context], tokens[begin : begin + length]))
    return made[: args.items]


def main():
    args = arguments()
    os.environ |= {"OMP_NUM_THREADS": str(args.threads), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    import torch
    from lm_eval.models.huggingface import HFLM
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    torch.set_num_threads(args.threads)
    hf = HFLM(pretrained=str(args.model), device="cpu", dtype="float32", batch_size=1)
    command = [args.runner, "serve", str(args.model), "--port", "0", "--threads", str(args.threads)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().strip()
        length = json.loads((args.model / "config.json").read_text())["n_positions"]
        served = LocalCompletionsAPI(base_url=f"{address}/v1/completions", model=args.model.name, tokenizer=str(args.model), tokenizer_backend="huggingface", max_length=length)
        contenders = {"hf": hf, "runner": served}
        found, rates = {}, {name: [] for name in contenders}
        for round in range(args.rounds + 1):
            # Others each time: the server remembers what it has read.
            requests = items(args, hf.tokenizer, round)
            tokens = sum(len(context) + len(continuation) for _, context, continuation in requests)
            for name, model in contenders.items():
                started = time.perf_counter()
                found[name] = model._loglikelihood_tokens(requests, disable_tqdm=True)
                if round > 0:  # The first one warms up.
                    rates[name].append(tokens / (time.perf_counter() - started))
                    print(f"round {round}: {name} {rates[name][-1]:.0f} tokens/s", flush=True)
    finally:
        server.terminate()
    worst = max(abs(a[0] - b[0]) for a, b in zip(found["hf"], found["runner"], strict=True))
    greedy = sum(a[1] != b[1] for a, b in zip(found["hf"], found["runner"], strict=True))
    medians = {name: statistics.median(rates[name]) for name in rates}
    print(f"{len(requests)} items, {tokens} tokens; largest difference of a log-likelihood {worst:.2e}; {greedy} differ in is_greedy")
    print(f"medians: hf {medians['hf']:.0f}, runner {medians['runner']:.0f} tokens/s: {medians['runner'] / medians['hf']:.2f} times")


main()
