"""all-MiniLM-L6-v2 through OpenVINO: the graph, weights and arithmetic of engine/embed/minilm_graph.cc.

Needs `openvino` and the weights (tools/setup puts both into .deps/python) and `tokenizers`.
"""
import json
import os

import numpy as np
import openvino
from openvino import opset13 as ops
from tokenizers import Tokenizer

HIDDEN, HEADS, LAYERS = 384, 12, 6
LENGTH_STEP = 8  # texts of about the same length share a batch


def read_safetensors(path):
    """Name -> float32 array, as views of one buffer."""
    with open(path, "rb") as file:
        contents = file.read()
    size = int.from_bytes(contents[:8], "little")
    header = json.loads(contents[8:8 + size])
    tensors = {}
    for name, tensor in header.items():
        if name == "__metadata__" or tensor["dtype"] != "F32":
            continue
        begin, end = tensor["data_offsets"]
        flat = np.frombuffer(contents[8 + size + begin:8 + size + end], dtype="<f4")
        tensors[name] = flat.reshape(tensor["shape"])
    return tensors


class Graph:
    """Token ids and an additive mask in, one row a token out."""

    def __init__(self, weights):
        self.weights = weights
        ids = ops.parameter([-1, -1], np.int32)
        self.mask = ops.parameter([-1, 1, 1, -1], np.float32)
        x = self.embeddings(ids)
        for layer in range(LAYERS):
            x = self.layer(x, f"encoder.layer.{layer}.")
        self.model = openvino.Model([ops.result(x)], [ids, self.mask], "minilm")

    def weight(self, name):
        return ops.constant(self.weights[name])

    def dense(self, x, name):
        return ops.add(ops.matmul(x, self.weight(name + ".weight"), False, True), self.weight(name + ".bias"))

    def norm(self, x, name):
        normal = ops.mvn(x, np.array([-1], np.int64), True, 1e-12, "inside_sqrt")
        return ops.add(ops.multiply(normal, self.weight(name + ".weight")), self.weight(name + ".bias"))

    def embeddings(self, ids):
        words = ops.gather(self.weight("embeddings.word_embeddings.weight"), ids, np.int64(0))
        table = (self.weights["embeddings.position_embeddings.weight"]
                 + self.weights["embeddings.token_type_embeddings.weight"][0])
        length = ops.gather(ops.shape_of(ids), np.array([1], np.int64), np.int64(0))
        zero, one = np.array([0], np.int64), np.array([1], np.int64)
        return self.norm(ops.add(words, ops.slice(ops.constant(table), zero, length, one, zero)),
                         "embeddings.LayerNorm")

    def heads(self, x):
        split = ops.reshape(x, np.array([0, 0, HEADS, HIDDEN // HEADS], np.int64), True)
        return ops.transpose(split, np.array([0, 2, 1, 3], np.int64))

    def attention(self, x, name):
        query, key, value = (self.heads(self.dense(x, f"{name}self.{part}")) for part in ("query", "key", "value"))
        attended = ops.scaled_dot_product_attention(query, key, value, self.mask)
        rows = ops.transpose(attended, np.array([0, 2, 1, 3], np.int64))
        return self.dense(ops.reshape(rows, np.array([0, 0, HIDDEN], np.int64), True), name + "output.dense")

    def layer(self, x, name):
        x = self.norm(ops.add(self.attention(x, name + "attention."), x), name + "attention.output.LayerNorm")
        wide = ops.gelu(self.dense(x, name + "intermediate.dense"), "erf")
        return self.norm(ops.add(self.dense(wide, name + "output.dense"), x), name + "output.LayerNorm")


class MiniLm:
    """Texts to unit vectors of 384 floats."""

    def __init__(self, model_dir, threads=1, precision="f32", max_tokens=256):
        self.tokenizer = Tokenizer.from_file(os.path.join(model_dir, "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens)
        graph = Graph(read_safetensors(os.path.join(model_dir, "model.safetensors")))
        self.compiled = openvino.Core().compile_model(graph.model, "CPU", {
            "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": precision})

    def tokens(self, texts):
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]

    def embed_tokens(self, token_lists):
        """One unit vector a list. Lists of about equal length cost least."""
        longest = -(-max(map(len, token_lists)) // LENGTH_STEP) * LENGTH_STEP
        ids = np.zeros((len(token_lists), longest), np.int32)
        present = np.zeros((len(token_lists), longest), np.float32)
        for row, tokens in enumerate(token_lists):
            ids[row, :len(tokens)] = tokens
            present[row, :len(tokens)] = 1
        mask = ((present - 1) * 1e9)[:, None, None, :]
        rows = self.compiled([ids, mask])[0]
        sums = (rows * present[:, :, None]).sum(axis=1)
        return sums / np.linalg.norm(sums, axis=1, keepdims=True)
