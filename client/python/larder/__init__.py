"""Larder from Python: `Client` (collections, documents, search, KV cache), and a small generation node.

`larder.llama` is a plain forward pass, `larder.node` generates with KV entries from Larder,
`python -m larder.quality` measures what codecs and new positions cost.
"""
from larder.client import Client
from larder.errors import (AlreadyExists, DataLoss, FailedPrecondition, InvalidArgument, LarderError, NotFound,
                           Unavailable)
from larder.kv import (KvClient, KvKey, KvLayer, KvLookup, KvOwner, KvPlan, KvPlanItem, KvProfile, KvReadRequest,
                       KvVariant)
from larder.values import Chunk, Document, GivenChunk, Hit, SearchResult, UpsertResult

__all__ = [
    "AlreadyExists", "Chunk", "Client", "DataLoss", "Document", "FailedPrecondition", "GivenChunk", "Hit",
    "InvalidArgument", "KvClient", "KvKey", "KvLayer", "KvLookup", "KvOwner", "KvPlan", "KvPlanItem", "KvProfile",
    "KvReadRequest", "KvVariant", "LarderError", "NotFound", "SearchResult", "Unavailable", "UpsertResult",
]
