"""Evaluates a model behind `runner serve` with EleutherAI's lm-eval, without a network:

    python tests/serve/lm_eval.py http://127.0.0.1:7860 FOLDER RUNNER

FOLDER is the same model as `runner export --format hf` wrote it: lm-eval takes the tokenizer from it. The figures are held against
those of `RUNNER eval FOLDER`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # This file is called as the package is.
work = Path(tempfile.mkdtemp())
os.environ |= {"HF_HOME": str(work / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}

import lm_eval
import requests
from lm_eval.tasks import TaskManager
from transformers import AutoTokenizer

address, folder, runner = sys.argv[1:4]
tokenizer = AutoTokenizer.from_pretrained(folder)
context = json.loads((Path(folder) / "config.json").read_text())["n_positions"]
start = tokenizer("\n").input_ids[-1]  # what a text without a beginning begins with

SCENES = ["Maud:\n", "King Aldren:\nThe sea ", "Maud:\nI have seen the", "A crown of salt is"]
ENDS = [[" and", " stone", "s"], ["\n", "the king", "salt"], ["e", " crown", "I will not"]]


def completion(**asked):
    answer = requests.post(f"{address}/v1/completions", json={"temperature": 0, **asked})
    answer.raise_for_status()
    return answer.json()["choices"][0]


# One end is what the model itself would write.
ENDS.append([completion(prompt=SCENES[-1], max_tokens=2)["text"], "q"])
questions = [{"ctx": scene, "choices": ends, "gold": 0} for scene in SCENES for ends in ENDS]
texts = [{"text": scene + " ".join(end)} for scene in SCENES for end in ENDS]
(work / "questions.json").write_text("\n".join(map(json.dumps, questions)))
(work / "texts.json").write_text("\n".join(map(json.dumps, texts)))

COMMON = "dataset_path: json\ntest_split: test\ntarget_delimiter: ''\ndataset_kwargs:\n  data_files:\n    test: {file}\n"
(work / "choice.yaml").write_text(
    "task: choice\noutput_type: multiple_choice\ndoc_to_text: '{{ctx}}'\ndoc_to_choice: '{{choices}}'\ndoc_to_target: '{{gold}}'\n"
    "metric_list:\n  - metric: acc\n" + COMMON.format(file=work / "questions.json")
)
(work / "rolling.yaml").write_text(
    "task: rolling\noutput_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: '{{text}}'\n"
    "metric_list:\n  - metric: bits_per_byte\n" + COMMON.format(file=work / "texts.json")
)
(work / "written.yaml").write_text(
    "task: written\noutput_type: generate_until\ndoc_to_text: '{{ctx}}'\ndoc_to_target: '{{choices[0]}}'\n"
    "generation_kwargs:\n  until: ['\\n\\n']\n  max_gen_toks: 12\n  do_sample: false\n"
    "metric_list:\n  - metric: exact_match\n" + COMMON.format(file=work / "questions.json")
)


def evaluate(task, batch_size, concurrent=1):
    options = dict(base_url=f"{address}/v1/completions", tokenizer=folder, tokenizer_backend="huggingface", max_length=context)
    found = lm_eval.simple_evaluate(
        model="local-completions",
        model_args=options | dict(model="quickstart", custom_prefix_token_id=start, num_concurrent=concurrent, max_retries=1),
        tasks=[task],
        batch_size=batch_size,
        task_manager=TaskManager(include_path=str(work), include_defaults=False),
        bootstrap_iters=0,
    )
    samples = sorted(found["samples"][task], key=lambda sample: sample["doc_id"])
    return found["results"][task], [[answer[0] for answer in sample["resps"]] for sample in samples]


def nats(texts):
    """How improbable each text is after its first token, as `runner eval` has it."""
    files = []
    for i, text in enumerate(texts):
        files.append(work / f"{i}.txt")
        files[-1].write_text(text)
    lines = subprocess.run([runner, "eval", folder, "--json", *[word for file in files for word in ("--file", file)]], check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in lines.splitlines()]
    return [line["loss"] * line["predicted_tokens"] for line in lines[: len(texts)]]


_, one_by_one = evaluate("choice", 1)
_, together = evaluate("choice", 16)
_, concurrently = evaluate("choice", 3, concurrent=4)
assert one_by_one == together == concurrently, "the figures depend on the batch"
# lm-eval hands blanks at the end of a context over to the continuation.
pairs = [(ctx.rstrip(), ctx[len(ctx.rstrip()) :] + end) for ctx, end in ((q["ctx"], end) for q in questions for end in q["choices"])]
found = [answer for answers in one_by_one for answer in answers]
whole, part = nats([ctx + end for ctx, end in pairs]), nats([ctx for ctx, _ in pairs])
worst = max(abs(-logprob - (w - p)) for (logprob, _), w, p in zip(found, whole, part, strict=True))
assert worst < 1e-3, worst
for (ctx, end), (_, is_greedy) in zip(pairs, found, strict=True):
    likeliest = completion(prompt=ctx, max_tokens=len(tokenizer(end).input_ids))["text"]
    assert is_greedy == (likeliest == end), (ctx, end, likeliest)
assert any(is_greedy for _, is_greedy in found) and not all(is_greedy for _, is_greedy in found), found

results, rolled = evaluate("rolling", 1)
expected = nats(["\n" + text["text"] for text in texts])
worst = max(abs(-answers[0] - nats) for answers, nats in zip(rolled, expected, strict=True))
assert worst < 1e-3, worst
print(f"  {results['bits_per_byte,none']:.4f} bits per byte")

_, written = evaluate("written", 8)
for question, answers in zip(questions, written, strict=True):
    assert answers[0] == completion(prompt=question["ctx"], max_tokens=12, stop="\n\n")["text"], (question, answers)
print(f"lm-eval {lm_eval.__version__}: {len(found)} choices, {len(texts)} texts and {len(written)} continuations as `runner` has them")
