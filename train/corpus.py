"""The training text, and its words as rows of the table."""

import gzip
import math
import re
import subprocess
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PIECES = 30522
STEMMABLE = re.compile("[a-z]{3,20}")


@dataclass
class Sample:
    """A text, the English text whose teacher's vector is its target, and its weight
    in the loss."""

    text: str
    target: str
    weight: float
    portuguese: bool


def read(folder, lexicon_weight):
    """All samples of the training text."""
    samples = []
    for english, portuguese, _ in _lines(folder / "pairs.tsv.gz"):
        samples.append(Sample(english, english, 1, False))
        samples.append(Sample(portuguese, english, 1, True))
    for lemma, english, _, _, _, tagged in _lines(folder / "lexicon.tsv.gz"):
        weight = lexicon_weight * (1 + math.log1p(int(tagged))) / 4
        samples.append(Sample(lemma, english.replace(";", ","), weight, True))
    for english, _ in _lines(folder / "english.tsv.gz"):
        samples.append(Sample(english, english, 1, False))
    return samples


def _lines(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as f:
        for line in f:
            yield line.rstrip("\n").split("\t")


def words(tokenizer, texts):
    """Per text its words, each a tuple of piece ids; unknown words are left out."""
    unknown, out = tokenizer.token_to_id("[UNK]"), []
    for start in range(0, len(texts), 20000):
        for e in tokenizer.encode_batch(texts[start : start + 20000], add_special_tokens=False):
            text, last = [], None
            for piece, word in zip(e.ids, e.word_ids):
                if word == last:
                    text[-1] += (piece,)
                else:
                    text.append((piece,))
                last = word
            out.append([w for w in text if w[0] != unknown])
    return out


def spelling(word, vocabulary):
    """The word that the pieces make."""
    return "".join(vocabulary[p].removeprefix("##") for p in word)


def stems(spellings):
    """The Portuguese terms of words, as the Go side makes them."""
    root = Path(__file__).resolve().parent.parent
    spellings = [s for s in spellings if STEMMABLE.fullmatch(s)]
    out = subprocess.run(
        ["go", "run", "./train/stems"],
        cwd=root,
        input="\n".join(spellings) + "\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split("\n")[:-1]
    if len(out) != len(spellings):
        raise SystemExit(f"go run ./train/stems printed {len(out)} terms for {len(spellings)} words")
    return dict(zip(spellings, out))


def has_row(piece):
    """Whether a piece of the vocabulary has a row: not the special and unused ones,
    nor those with a letter that is not Latin."""
    if piece.startswith("["):
        return piece == "["
    return all(not c.isalpha() or unicodedata.name(c, "").startswith("LATIN") for c in piece)


class Rows:
    """The table's rows: those of pieces, by id, then those of stems."""

    def __init__(self, vocabulary, stem_names, stem_of):
        self.vocabulary, self.stems, self.stem_of = vocabulary, stem_names, stem_of
        self.pieces = [i for i, p in enumerate(vocabulary) if has_row(p)]
        self.of_piece = np.full(PIECES, -1)
        self.of_piece[self.pieces] = np.arange(len(self.pieces))
        self.of_stem = {s: len(self.pieces) + i for i, s in enumerate(stem_names)}
        self.of_word = {}

    def __len__(self):
        return len(self.pieces) + len(self.stems)

    def word(self, word):
        """The rows of a word: the piece it is, else its stem, else its pieces."""
        rows = self.of_word.get(word)
        if rows is None:
            rows = self.of_word[word] = self._word(word)
        return rows

    def _word(self, word):
        if len(word) > 1:
            spelling_ = spelling(word, self.vocabulary)
            stem = self.of_stem.get(self.stem_of.get(spelling_, ""))
            if stem is not None:
                return [stem]
        return [int(r) for r in self.of_piece[list(word)] if r >= 0]

    def bags(self, texts):
        """The rows of texts, and where each text's begin."""
        flat, starts = [], [0]
        for text in texts:
            for word in text:
                flat.extend(self.word(word))
            starts.append(len(flat))
        return np.array(flat, np.int32), np.array(starts, np.int64)


def choose_stems(samples, texts, vocabulary, stem_of, limit):
    """The stems that get a row, in alphabetical order: those that weigh most, of the
    Portuguese words that are no piece, and that the English side does not have too,
    as names and code. Each stem has also the pieces of its most frequent word."""
    weight, pieces = Counter(), {}
    for sample, text in zip(samples, texts):
        if not sample.portuguese:
            continue
        english = sample.target.lower()
        for word in text:
            spelled = spelling(word, vocabulary) if len(word) > 1 else ""
            stem = stem_of.get(spelled)
            if stem and spelled not in english:
                weight[stem] += sample.weight
                pieces.setdefault(stem, Counter())[word] += 1
    print(f"{len(weight)} stems, {min(limit, len(weight))} kept", flush=True)
    names = sorted(sorted(weight, key=lambda s: (-weight[s], s))[:limit])
    return names, [pieces[s].most_common(1)[0][0] for s in names]
