"""What codecs and new positions cost: SmolLM2's next-token distributions with KV as Larder keeps it.

    python -m larder.quality --text .larder/manpages
    python -m larder.quality --text corpus.jsonl --codecs raw,int4 --json quality.jsonl --plot quality.png
    python -m larder.quality --text .larder/manpages --dump kv

Each prompt is a preamble and chunks of different documents; after them comes what follows the last chunk in its
document, and every distribution there is compared with that of a full prefill (KL in nats, mean; how often the
most probable token is the same). `same place`: each chunk's KV as it was in this very prompt, through the codec.
`new place`: the chunk's KV as computed alone (or, with --context prefix, behind the preamble), through the codec,
with its first k tokens computed again.
"""
import argparse
import glob
import json
import os
from dataclasses import asdict, dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from larder import kv_codec, smollm2
from larder.llama import compute, prefill
from larder.node import divergence

REPAIRS = (0, 8, 16, 32)


@dataclass
class Figures:
    codec: str
    size_ratio: float           # raw f16 bytes / bytes kept
    rms_error: dict             # "k" and "v": of the elements, relative to their rms
    same_place_kl: float
    same_place_top1: float
    new_place_kl: dict          # by k
    new_place_top1: dict


def parser():
    out = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--text", required=True, help="a folder of .md files, or .jsonl with title and text")
    out.add_argument("--codecs", type=lambda text: text.split(","), default=list(kv_codec.names()),
                     help=f"default {','.join(kv_codec.names())}")
    out.add_argument("--context", choices=("none", "prefix"), default="none", help="of new places (see larder.node)")
    out.add_argument("--prompts", type=int, default=4)
    out.add_argument("--chunks", type=int, default=3, help="of a prompt (default 3)")
    out.add_argument("--chunk-tokens", type=int, default=200)
    out.add_argument("--judged-tokens", type=int, default=48, help="that follow the last chunk (default 48)")
    out.add_argument("--seed", type=int, default=1)
    out.add_argument("--threads", type=int, default=1, help="of matrix products (default 1)")
    out.add_argument("--json", metavar="FILE", help="append a line a codec")
    out.add_argument("--plot", metavar="FILE", help="a picture; needs matplotlib")
    out.add_argument("--dump", metavar="PREFIX", help="write the first chunk's K and V to PREFIX.k.f16 and "
                     "PREFIX.v.f16, [layer][token][head][dim], as larder-bench kv reads them, and end")
    return out


def documents(path):
    """Texts in a fixed order; paragraphs of one title are one text."""
    if not path.endswith(".jsonl"):
        for name in sorted(glob.glob(os.path.join(path, "**", "*.md"), recursive=True)):
            with open(name, encoding="utf-8") as file:
                yield file.read()
        return
    by_title = {}
    with open(path, encoding="utf-8") as file:
        for entry in map(json.loads, file):
            by_title.setdefault(entry.get("title", ""), []).append(entry["text"])
    yield from ("\n\n".join(texts) for texts in by_title.values())


def prompts(chat, options):
    """(chunks, judged) token lists: the preamble and a run of each chosen document, and what follows the last."""
    random = np.random.default_rng(options.seed)
    texts = list(documents(options.text))
    needed = options.chunk_tokens + options.judged_tokens
    order = iter(random.permutation(len(texts)))

    def run():
        for index in order:
            tokens = chat.encode(texts[index])
            if len(tokens) >= needed:
                begin = int(random.integers(0, len(tokens) - needed + 1))
                return tokens[begin:begin + needed]
        raise SystemExit(f"quality: {options.text} has too few texts of {needed} tokens")

    for _ in range(options.prompts):
        runs = [run() for _ in range(options.chunks)]
        yield [chat.preamble(), *(tokens[:options.chunk_tokens] for tokens in runs)], runs[-1][options.chunk_tokens:]


class Prompt:
    """One prompt's reference, and its chunks' K and V in place and as entries: [layer][token][head][dim]."""

    def __init__(self, model, dtype, context, chunks, judged):
        self.model, self.dtype, self.judged = model, dtype, judged
        self.tokens = np.concatenate([*chunks, judged])
        self.prefix = chunks[0] if context == "prefix" else []
        cache = model.new_cache(len(self.tokens), dtype)
        self.in_place, self.entries = [], []
        for chunk in chunks:
            begin = cache.length
            prefill(model, cache, chunk)
            self.in_place.append((cache.k[:, begin:cache.length].copy(), cache.v[:, begin:cache.length].copy()))
            self.entries.append(self._entry(chunk, self.prefix if begin > 0 else []))
        self.reference = model.logits(prefill(model, cache, judged))

    def _entry(self, chunk, prefix):
        cache = self.model.new_cache(len(prefix) + len(chunk), self.dtype)
        if len(prefix):
            prefill(self.model, cache, prefix)
        prefill(self.model, cache, chunk)
        return cache.k[:, len(prefix):], cache.v[:, len(prefix):]

    def judge(self, entries, repair):
        """(KL of each judged token, whether the most probable token is the same)."""
        cache = self.model.new_cache(len(self.tokens), self.dtype)
        repaired = []
        for k, v in entries:
            rows = cache.extend(cache.length + np.arange(k.shape[1]))
            for layer in range(len(k)):
                cache.write(layer, rows, k[layer], v[layer])
            if rows[0] > len(self.prefix):  # what stands before it was not all of its context
                repaired.append(rows[:repair])
        rows = np.concatenate([*repaired, cache.extend(cache.length + np.arange(len(self.judged)))])
        logits = self.model.logits(compute(self.model, cache, self.tokens[rows], rows)[-len(self.judged):])
        return divergence(self.reference, logits), logits.argmax(-1) == self.reference.argmax(-1)


class Kept:
    """Passes entries through a codec, and counts what they weigh and lose."""

    def __init__(self, codec):
        self.codec = codec
        self.raw_bytes = self.bytes = 0
        self.error, self.energy = {"k": 0.0, "v": 0.0}, {"k": 0.0, "v": 0.0}

    def through(self, entries):
        return [(self._side(k, "k"), self._side(v, "v")) for k, v in entries]

    def _side(self, tensors, side):
        out = np.empty_like(tensors)
        for layer, tensor in enumerate(tensors):
            payload = kv_codec.encode(self.codec, side, tensor)
            out[layer] = kv_codec.decode(self.codec, side, payload, tensor.shape, tensor.dtype)
            self.raw_bytes += tensor.nbytes
            self.bytes += len(payload)
        exact = tensors.astype(np.float64)
        self.error[side] += np.square(out - exact).sum()
        self.energy[side] += np.square(exact).sum()
        return out

    def rms_error(self):
        return {side: float(np.sqrt(self.error[side] / self.energy[side])) for side in "kv"}


def measure(codec, all_prompts):
    kept = Kept(codec)
    judged = {"same": [], **{k: [] for k in REPAIRS}}
    for prompt in all_prompts:
        judged["same"].append(prompt.judge(kept.through(prompt.in_place), 0))
        moved = kept.through(prompt.entries)
        for repair in REPAIRS:
            judged[repair].append(prompt.judge(moved, repair))
    kl = {name: float(np.mean([pair[0] for pair in pairs])) for name, pairs in judged.items()}
    top1 = {name: float(np.mean([pair[1] for pair in pairs])) for name, pairs in judged.items()}
    return Figures(codec, kept.raw_bytes / kept.bytes, kept.rms_error(), kl.pop("same"), top1.pop("same"), kl, top1)


def show(figures):
    columns = "".join(f"{f'k = {k}':>14}" for k in REPAIRS)
    print(f"{'':8}{'size':>8}{'error of':>16}{'same place':>18}   new place, first k tokens computed again")
    print(f"{'codec':8}{'ratio':>8}{'K':>8}{'V':>8}{'KL':>10}{'top 1':>8}   {columns}")
    for f in figures:
        moved = "".join(f"{f.new_place_kl[k]:>8.4f}{f.new_place_top1[k]:>6.0%}" for k in REPAIRS)
        print(f"{f.codec:8}{f.size_ratio:>7.2f}x{f.rms_error['k']:>8.2%}{f.rms_error['v']:>8.2%}"
              f"{f.same_place_kl:>10.5f}{f.same_place_top1:>8.0%}   {moved}")


def plot(path, figures):
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("quality: --plot needs matplotlib (pip install matplotlib)") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for f in figures:
        left.plot(f.size_ratio, max(f.same_place_kl, 1e-7), "o")
        left.annotate(f.codec, (f.size_ratio, max(f.same_place_kl, 1e-7)), textcoords="offset points", xytext=(6, 4))
        right.plot(REPAIRS, [f.new_place_kl[k] for k in REPAIRS], "o-", label=f.codec)
    left.set(xlabel="times smaller than f16", ylabel="KL, nats", yscale="log", title="same place")
    right.set(xlabel="first tokens computed again", ylabel="KL, nats", ylim=(0, None), title="new place")
    right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def dump(path, prompt):
    """Of the first chunk of a document; K before RoPE."""
    for side, tensors in zip("kv", prompt.entries[1]):
        np.ascontiguousarray(tensors).tofile(f"{path}.{side}.f16")
        print(f"{path}.{side}.f16: {len(tensors)} layers, {' x '.join(map(str, tensors.shape[1:]))}")


def main():
    options = parser().parse_args()
    chat = smollm2.load()
    with threadpool_limits(options.threads):
        made = (Prompt(chat.model, np.float16, options.context, *prompt) for prompt in prompts(chat, options))
        if options.dump:
            return dump(options.dump, next(made))
        made = list(made)
        figures = [measure(codec, made) for codec in options.codecs]
    show(figures)
    if options.json:
        with open(options.json, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(f)) + "\n" for f in figures)
    if options.plot:
        plot(options.plot, figures)


if __name__ == "__main__":
    main()
