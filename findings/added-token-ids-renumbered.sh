#!/usr/bin/env bash
# The ids that tokenizer.json gives to added tokens are only their order: what leaves a gap is renumbered, without a word.
#
# Versions: tokenizers 0.23.3, transformers 5.24.0 (Python 3.10 or newer; no PyTorch is needed).
#
# What one would guess: `"added_tokens": [{"id": 60, "content": "<|user|>", ...}]` means that <|user|> is 60, the row of the embedding
# that was trained for it. Files with such gaps come about where a model's rows are padded (GPT-2's 50,257 to 50,304, say) and somebody
# took ids from the padding for new tokens. A file that cannot be kept to would be an error, or at least a warning.
#
# What happens: added tokens get the next free ids behind the vocabulary. Their order is that of the list in tokenizer.json, and with
# transformers' GPT2Tokenizer that of the ids in `added_tokens_decoder` (tokenizer_config.json), so that the two libraries need not agree on one
# folder. Nothing is said, also not where both files give the same ids. The model is asked about rows that were never trained for these
# tokens, and what it says in the old rows decodes to an empty text. Saving writes the new ids. A token that is also an entry of the
# model's `vocab` in tokenizer.json keeps the id that it has there, gap or not.
#
# Seen: a vocabulary of 10 letters with <|user|> = 60 and <|bot|> = 50 in both files. `<|user|>ab<|bot|>` is [10, 0, 1, 11] in both libraries, and
# not [60, 0, 1, 50]; as GPT2Tokenizer it is [11, 0, 1, 10]; decode([60]) is ''; the files that both save have the new ids. Without a gap (10
# and 11 in the file) the ids stay, and with 60 and 50 in the vocabulary too.
# Exits 0 while that is so, 1 if it changes, 2 where the packages cannot be installed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -q tokenizers==0.23.3 transformers==5.24.0 || exit 2

"$work/venv/bin/python" - "$work" 2>"$work/said" <<'PY' || { cat "$work/said" >&2; exit 1; }
import json
import pathlib
import sys

import tokenizers
import transformers

TEXT = "<|user|>ab<|bot|>"
LETTERS = "abcdefghij"


def folder_of(path, user, bot, kind="PreTrainedTokenizerFast", in_vocabulary=False):
    """A byte-level BPE without merges, with two added tokens of these ids."""
    path.mkdir()
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    model = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False,
                 byte_fallback=False, vocab={letter: place for place, letter in enumerate(LETTERS)}, merges=[])
    tokens = {user: "<|user|>", bot: "<|bot|>"}
    if in_vocabulary:
        model["vocab"] |= {content: id for id, content in tokens.items()}
    (path / "tokenizer.json").write_text(json.dumps(dict(
        version="1.0", truncation=None, padding=None, normalizer=None, pre_tokenizer=level, post_processor=None, decoder=level,
        added_tokens=[dict(id=id, content=content, **flags) for id, content in tokens.items()], model=model)))
    (path / "tokenizer_config.json").write_text(json.dumps(dict(
        tokenizer_class=kind,
        added_tokens_decoder={str(id): dict(content=content, **flags) for id, content in tokens.items()})))
    (path / "config.json").write_text(json.dumps(dict(
        model_type="gpt2", vocab_size=64, n_embd=8, n_layer=1, n_head=1, n_positions=16, bos_token_id=None, eos_token_id=None)))
    return path


def saved(file):
    ids = {token["content"]: token["id"] for token in json.loads(file.read_text())["added_tokens"]}
    return [ids["<|user|>"], ids["<|bot|>"]]


def read(path):
    """The ids of TEXT in tokenizers and in transformers, those that each of them saves for the two tokens, and the text of 60."""
    plain = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    plain.save(str(path / "saved.json"))
    whole = transformers.AutoTokenizer.from_pretrained(path)
    whole.save_pretrained(path / "saved")
    found = plain.encode(TEXT).ids, whole(TEXT).input_ids, saved(path / "saved.json"), saved(path / "saved/tokenizer.json"), whole.decode([60])
    print(f"{path.name}:", *found, sep="\n  ")
    return found


work = pathlib.Path(sys.argv[1])
print(f"tokenizers {tokenizers.__version__}, transformers {transformers.__version__}")
as_seen = (
    read(folder_of(work / "a gap", 60, 50)) == ([10, 0, 1, 11], [10, 0, 1, 11], [10, 11], [10, 11], "")
    and read(folder_of(work / "a gap, GPT2Tokenizer", 60, 50, "GPT2Tokenizer")) == ([10, 0, 1, 11], [11, 0, 1, 10], [10, 11], [11, 10], "")
    and read(folder_of(work / "no gap", 10, 11))[:4] == ([10, 0, 1, 11], [10, 0, 1, 11], [10, 11], [10, 11])
    and read(folder_of(work / "in the vocabulary", 60, 50, in_vocabulary=True))
    == ([60, 0, 1, 50], [60, 0, 1, 50], [60, 50], [60, 50], "<|user|>")
)
sys.exit(0 if as_seen else 1)
PY
# What is said on the way is about PyTorch, which is not there, and not about ids.
! grep -iE 'id|token' "$work/said" | grep -viE 'pytorch|unauthenticated' || exit 1
echo "as described: renumbered, and nothing is said"
