"""Trains the built-in static table from all-MiniLM-L6-v2 and writes it, its checksum
and a record of the run. See README.md."""

import argparse
import hashlib
import json
import struct
import time
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

import corpus
import teacher

DIMENSION = 256
MAX_BYTES = 12_000_000
COMMON = 0.5  # what the first axis counts: all texts are alike on it, of one language most
CLIP = 99.9  # per cent of the values; larger ones are cut to it
ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "internal" / "embed" / "static"


def encode(texts, args, name):
    """The teacher's vectors of lists of piece ids, kept in the work folder."""
    digest = hashlib.sha256(repr(texts).encode()).hexdigest()[:16]
    path = args.work / f"{name}-{digest}.npy"
    if path.exists():
        return np.load(path)
    model = teacher.Teacher(args.threads, args.precision)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = np.zeros((len(texts), teacher.WIDTH), np.float32)
    began = time.time()
    for n, start in enumerate(range(0, len(order), 64)):
        batch = order[start : start + 64]
        out[batch] = model.encode([texts[i][: teacher.MAX_TOKENS] for i in batch])
        if n % 500 == 0:
            print(f"{name}: {start} of {len(order)} texts, {time.time() - began:.0f} s", flush=True)
    np.save(path, out)
    return out


def principal(vectors):
    """The projection on the first principal axes, not centred."""
    values, axes = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)
    axes = axes[:, ::-1][:, :DIMENSION]
    axes *= np.sign(axes[np.abs(axes).argmax(0), np.arange(DIMENSION)])
    return axes.astype(np.float32), values[::-1][:DIMENSION].sum() / values.sum()


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)


def initial(rows, stem_words, flat, args, axes):
    """The rows to begin with: vectors of single pieces, weighed by how rare they are."""
    tokens = unit(encode([[i] for i in rows.pieces], args, "pieces") @ axes)
    table = np.zeros((len(rows), DIMENSION), np.float32)
    table[: len(tokens)] = tokens
    for i, word in enumerate(stem_words, len(tokens)):
        known = [rows.of_piece[p] for p in word if rows.of_piece[p] >= 0]
        table[i] = tokens[known].sum(0)
    table = unit(table)
    share = np.bincount(flat, minlength=len(rows)) / len(flat)
    return table * (1e-3 / (1e-3 + share)).astype(np.float32)[:, None]


class Trainer:
    """Fits the sums of rows to targets: the loss is one less the cosine."""

    def __init__(self, table, flat, starts, targets, target_of, weights):
        self.table, self.flat, self.starts = table, flat, starts
        self.targets, self.target_of, self.weights = targets, target_of, weights
        self.square = np.zeros_like(table)
        self.steps = 0

    def step(self, batch, rate):
        """One step of Adam on the rows of a batch, without momentum, as most rows are
        in few batches; its mean loss."""
        lengths = self.starts[batch + 1] - self.starts[batch]
        ends = np.cumsum(lengths)
        at = np.arange(ends[-1]) + np.repeat(self.starts[batch] - ends + lengths, lengths)
        used, columns = np.unique(self.flat[at], return_inverse=True)
        bags = csr_matrix(
            (np.ones(len(columns), np.float32), columns, np.concatenate([[0], ends])),
            (len(batch), len(used)),
        )
        sums = bags @ self.table[used]
        norm = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
        sums /= norm
        target = self.targets[self.target_of[batch]]
        cosine = (sums * target).sum(1, keepdims=True)
        weight = self.weights[batch][:, None] / len(batch)
        gradient = bags.T @ (weight * (cosine * sums - target) / norm)
        self._adam(used, gradient, rate)
        return float((weight * (1 - cosine)).sum())

    def _adam(self, used, gradient, rate):
        self.steps += 1
        square = self.square[used] * 0.999 + gradient**2 * 0.001
        self.square[used] = square
        square /= 1 - 0.999**self.steps
        self.table[used] -= rate * gradient / (np.sqrt(square) + 1e-8)

    def run(self, args, random):
        """All epochs, the rate falling in a line to nothing."""
        kept = np.flatnonzero(self.starts[1:] > self.starts[:-1])
        total = args.epochs * (len(kept) // args.batch)
        for epoch in range(args.epochs):
            order, loss, began = random.permutation(kept), [], time.time()
            for start in range(0, len(order) - args.batch + 1, args.batch):
                rate = args.rate * (1 - self.steps / total)
                loss.append(self.step(order[start : start + args.batch], rate))
            print(f"epoch {epoch + 1}: loss {np.mean(loss):.4f}, {time.time() - began:.0f} s", flush=True)
        return float(np.mean(loss))


def write(rows, table, path):
    """Writes the table: whole numbers of a byte, one scale for all."""
    table = table * np.array([COMMON] + [1] * (DIMENSION - 1), np.float32)
    scale = np.float32(np.percentile(np.abs(table), CLIP) / 127)
    values = np.clip(np.rint(table / scale), -127, 127).astype(np.int8)
    vocabulary = "".join(w + "\n" for w in [*rows.vocabulary, *rows.stems]).encode()
    present = np.zeros((corpus.PIECES + 7) // 8 * 8, np.uint8)
    present[rows.pieces] = 1
    head = struct.pack(
        "<8sIIIIIf", b"LMBTBL01", DIMENSION, corpus.PIECES, len(rows.stems), len(rows), len(vocabulary), scale
    )
    data = head + vocabulary + np.packbits(present, bitorder="little").tobytes() + values.tobytes()
    if len(data) > MAX_BYTES:
        raise SystemExit(f"the table has {len(data)} bytes, at most {MAX_BYTES} are allowed: lower --stems")
    path.write_bytes(data)
    return data


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=Path, required=True, help="the folder of the training text")
    p.add_argument("--work", type=Path, default=ROOT / "train" / "work", help="where the teacher's vectors are kept")
    p.add_argument("--output", type=Path, default=OUTPUT, help="where table.bin and table.sha256 are written")
    p.add_argument("--record", type=Path, default=ROOT / "train" / "output.json", help="the record of the run")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--stems", type=int, default=17_200)
    p.add_argument("--epochs", type=int, default=4)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--lexicon-weight", type=float, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--precision", choices=["bf16", "f32"], default="bf16")
    return p.parse_args()


def main():
    args, began = arguments(), time.time()
    args.work.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(args.seed)
    tokenizer = teacher.tokenizer()
    vocabulary = (teacher.files() / "vocab.txt").read_text("utf-8").split("\n")[: corpus.PIECES]
    samples = corpus.read(args.data, args.lexicon_weight)
    texts = corpus.words(tokenizer, [s.text for s in samples])
    stem_of = corpus.stems(sorted({corpus.spelling(w, vocabulary) for t in texts for w in t if len(w) > 1}))
    names, stem_words = corpus.choose_stems(samples, texts, vocabulary, stem_of, args.stems)
    rows = corpus.Rows(vocabulary, names, stem_of)
    flat, starts = rows.bags(texts)

    unique = {t: i for i, t in enumerate(dict.fromkeys(s.target for s in samples))}
    target_of = np.array([unique[s.target] for s in samples])
    ids = [e.ids for e in tokenizer.encode_batch(list(unique), add_special_tokens=False)]
    print(f"{len(samples)} texts, {len(ids)} targets, {len(rows)} rows, {time.time() - began:.0f} s", flush=True)
    vectors = encode(ids, args, "targets")
    axes, kept = principal(vectors)
    table = initial(rows, stem_words, flat, args, axes)
    weights = np.array([s.weight for s in samples], np.float32)
    trainer = Trainer(table, flat, starts, unit(vectors @ axes), target_of, weights)
    loss = trainer.run(args, random)

    args.output.mkdir(parents=True, exist_ok=True)
    data = write(rows, table, args.output / "table.bin")
    digest = hashlib.sha256(data).hexdigest()
    (args.output / "table.sha256").write_text(f"{digest}  table.bin\n")
    record = {
        "sha256": digest,
        "bytes": len(data),
        "rows": len(rows),
        "pieces": len(rows.pieces),
        "stems": len(names),
        "dimension": DIMENSION,
        "seed": args.seed,
        "precision": args.precision,
        "texts": len(samples),
        "targets": len(ids),
        "principal_share": round(float(kept), 4),
        "loss": round(loss, 4),
    }
    args.record.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record), f"{time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
