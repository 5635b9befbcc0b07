"""Models in llama2.c's checkpoint layout (version 0), such as stories260K, with their tokenizers."""
import os
import struct

import numpy as np

from larder.llama.model import Layer, Llama, LlamaConfig, Weights

BOS = 1


def load(path) -> Llama:
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        dim, hidden, layers, heads, kv_heads, vocabulary, context = struct.unpack("<7i", file.read(28))
    tied, vocabulary = vocabulary > 0, abs(vocabulary)
    head_dim = dim // heads
    kv_dim = kv_heads * head_dim
    shapes = {
        "embedding": (vocabulary, dim), "attention_norm": (layers, dim), "q": (layers, dim, dim),
        "k": (layers, kv_dim, dim), "v": (layers, kv_dim, dim), "o": (layers, dim, dim), "ffn_norm": (layers, dim),
        "gate": (layers, hidden, dim), "down": (layers, dim, hidden), "up": (layers, hidden, dim), "norm": (dim,),
        "old rope tables": (2, context, head_dim // 2),
    }
    if not tied:
        shapes["output"] = (vocabulary, dim)
    expected = 28 + 4 * sum(int(np.prod(shape)) for shape in shapes.values())
    if size != expected:
        raise ValueError(f"{path} has {size} bytes, its header needs {expected}")
    tensors, offset = {}, 28
    for name, shape in shapes.items():
        tensors[name] = np.fromfile(path, "<f4", int(np.prod(shape)), offset=offset).reshape(shape)
        offset += tensors[name].nbytes
    config = LlamaConfig(dim=dim, layers=layers, heads=heads, kv_heads=kv_heads, head_dim=head_dim, hidden=hidden,
                         vocabulary=vocabulary, context=context, rope_style="interleaved")
    per_layer = [Layer(**{name: tensors[name][i] for name in Layer.__dataclass_fields__}) for i in range(layers)]
    return Llama(config, Weights(tensors["embedding"], per_layer, tensors["norm"],
                                 tensors["embedding"] if tied else tensors["output"]))


class Tokenizer:
    """llama2.c's tokenizer file: pieces with scores; encoding merges the best-scored pair until none is left."""

    def __init__(self, path, vocabulary: int):
        with open(path, "rb") as file:
            data = file.read()
        offset, self.pieces, self.scores = 4, [], []
        for _ in range(vocabulary):
            score, length = struct.unpack_from("<fi", data, offset)
            self.pieces.append(data[offset + 8:offset + 8 + length])
            self.scores.append(score)
            offset += 8 + length
        self.ids = {piece: i for i, piece in reversed(list(enumerate(self.pieces)))}

    def encode(self, text: str, bos: bool = True) -> list[int]:
        tokens = []
        for character in " " + text if text else "":
            piece = character.encode()
            known = self.ids.get(piece)
            tokens += [known] if known is not None else [byte + 3 for byte in piece]
        while (best := self._best_merge(tokens)) is not None:
            at, merged = best
            tokens[at:at + 2] = [merged]
        return [BOS] * bos + tokens

    def _best_merge(self, tokens):
        found = [(self.scores[merged], -at, merged) for at in range(len(tokens) - 1)
                 if (merged := self.ids.get(self.pieces[tokens[at]] + self.pieces[tokens[at + 1]])) is not None]
        return (-max(found)[1], max(found)[2]) if found else None

    def decode(self, tokens) -> str:
        pieces = [self.pieces[token] for token in tokens if token > 2]
        raw = b"".join(bytes([int(p[3:5], 16)]) if len(p) == 6 and p.startswith(b"<0x") else p for p in pieces)
        return raw.decode(errors="replace").removeprefix(" ")
