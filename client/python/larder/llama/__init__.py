"""A plain numpy forward pass of Llama-architecture models, batch 1, for tests, figures and demonstrations."""
from larder.llama.cache import ModelCache
from larder.llama.generate import compute, continue_greedily, prefill
from larder.llama.model import Layer, Llama, LlamaConfig, Weights
from larder.llama.rope import Rope

__all__ = ["Layer", "Llama", "LlamaConfig", "ModelCache", "Rope", "Weights", "compute", "continue_greedily", "prefill"]
