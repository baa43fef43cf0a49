"""Tokens per second of `runner generate` beside Hugging Face's `generate` and CTranslate2, on the same model and threads.

    cargo build --release
    pip install torch transformers ctranslate2
    python benches/generate.py MODEL                 # a folder that `runner export --format hf` wrote, or a GPT-2 from the Hub

All take turns in one run, so that a machine that becomes slower becomes so for all of them. A figure is new tokens of all texts
divided by the seconds of the whole call: reading the prompt of a few tokens is part of it, loading the model is not.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

PROMPT = "The quick brown fox"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder with config.json, model.safetensors and GPT-2's tokenizer")
    parser.add_argument("--runner", default="target/release/runner")
    parser.add_argument("--tokens", type=int, default=100, help="new tokens of each text")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="texts at a time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def of_runner(args, weights):
    def measure(batch):
        command = [args.runner, "generate", str(args.model), PROMPT, "--json", "--seed", "1", "--temperature", "1", "--top-k", "50"]
        command += ["--max-new-tokens", str(args.tokens), "--num-samples", str(batch), "--weights", weights]
        command += ["--threads", str(args.threads)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        last = json.loads(lines[-1])
        new = sum(json.loads(line)["new_tokens"] for line in lines)
        return new, last["first_token_secs"] + (new - batch) / last["tokens_per_sec"]

    return measure


def of_hugging_face(args):
    import torch
    from transformers import AutoTokenizer, GPT2LMHeadModel

    torch.set_num_threads(args.threads)
    model = GPT2LMHeadModel.from_pretrained(args.model).eval()
    ids = AutoTokenizer.from_pretrained(args.model)(PROMPT, return_tensors="pt").input_ids

    def measure(batch):
        with torch.inference_mode():
            started = time.perf_counter()
            written = model.generate(
                ids.repeat(batch, 1),
                attention_mask=torch.ones(batch, ids.shape[1], dtype=torch.long),
                do_sample=True,
                temperature=1.0,
                top_k=50,
                min_new_tokens=args.tokens,
                max_new_tokens=args.tokens,
                use_cache=True,
                pad_token_id=50256,
            )
            secs = time.perf_counter() - started
        return batch * (written.shape[1] - ids.shape[1]), secs

    return measure


def of_ctranslate2(args, folder, kind):
    import ctranslate2
    from transformers import AutoTokenizer

    if not folder.exists():
        ctranslate2.converters.TransformersConverter(str(args.model)).convert(str(folder))
    generator = ctranslate2.Generator(str(folder), compute_type=kind, inter_threads=1, intra_threads=args.threads)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    prompt = tokenizer.convert_ids_to_tokens(tokenizer.encode(PROMPT))

    def measure(batch):
        started = time.perf_counter()
        results = generator.generate_batch(
            [prompt] * batch,
            max_batch_size=batch,
            max_length=args.tokens,
            min_length=args.tokens,
            sampling_topk=50,
            include_prompt_in_result=False,
        )
        secs = time.perf_counter() - started
        return sum(len(result.sequences_ids[0]) for result in results), secs

    return measure


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "ctranslate2"
        systems = {
            "runner f32": of_runner(args, "f32"),
            "Hugging Face f32": of_hugging_face(args),
            "CTranslate2 f32": of_ctranslate2(args, converted, "float32"),
            "runner bf16": of_runner(args, "bf16"),
            "runner int8": of_runner(args, "int8"),
            "CTranslate2 int8": of_ctranslate2(args, converted, "int8"),
        }
        for batch in args.batches:
            rates = {name: [] for name in systems}
            for turn in range(args.rounds + 1):
                for name, measure in systems.items():
                    new, secs = measure(batch)
                    if turn > 0:  # The first one warms caches and pools up.
                        rates[name].append(new / secs)
            base = statistics.median(rates["runner f32"])
            print(f"\n{batch} text(s) of {args.tokens} tokens, {args.threads} threads, medians of {args.rounds}:")
            for name, values in rates.items():
                middle = statistics.median(values)
                print(f"  {name:18} {middle:7.1f} tokens/s  ({min(values):.1f} to {max(values):.1f})  {middle / base:5.2f} of runner f32")


if __name__ == "__main__":
    main()
