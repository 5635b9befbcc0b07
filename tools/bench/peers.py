#!/usr/bin/env python3
"""Runs Larder and other embedded vector engines on the same files, in turn, and compares them.

    tools/bench/peers.py --setup
    tools/bench/peers.py --base base.npy --query query.npy --gt gt.npy --metric cosine --out DIR

Reads .npy (float16, float32, integers), .fvecs/.ivecs, .fbin/.ibin; without --gt the exact nearest are
computed. Prints tables, then JSON lines, last the ratios of Larder's QPS to hnswlib's and to the best
peer's at recall 0.95 and 0.99. DIR gets results.jsonl, summary.jsonl and a picture for each number of
threads. A run that was stopped goes on where it was when it is started again.
"""
import argparse
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "peers"))
import setup_venv  # noqa: E402
import venv_python  # noqa: E402

LARDER_BENCH = os.path.join(venv_python.ROOT, "build", "tools", "bench", "larder-bench")


def thread_counts(text):
    counts = [os.cpu_count() if part == "all" else int(part) for part in text.split(",")]
    if min(counts) < 1:
        raise ValueError
    return sorted(set(counts))


def parser():
    out = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--setup", action="store_true", help="install the peers into .deps/peers-venv, then end")
    out.add_argument("--list", action="store_true", help="print the systems' names, then end")
    out.add_argument("--base", metavar="FILE")
    out.add_argument("--query", metavar="FILE")
    out.add_argument("--gt", metavar="FILE", help="row numbers of the true nearest; computed if absent")
    out.add_argument("--metric", choices=["cosine", "dot", "l2"], default="cosine")
    out.add_argument("--systems", default="all", help="names or their beginnings, as larder,hnswlib,faiss")
    out.add_argument("--threads", type=thread_counts, default="1,all", help="of search; default 1,all")
    out.add_argument("--build-threads", type=thread_counts, default="all", help="of the peers; default all")
    out.add_argument("--k", type=int, default=10)
    out.add_argument("--rounds", type=int, default=3)
    out.add_argument("--limit", type=int, default=0, help="only the first rows of the base; 0 = all")
    out.add_argument("--timeout", type=float, default=3_600, help="seconds a system may take in all")
    out.add_argument("--out", default="peers-out", metavar="DIR")
    out.add_argument("--fresh", action="store_true", help="forget what --out holds")
    out.add_argument("--larder-bench", default=LARDER_BENCH, metavar="PATH")
    out.add_argument("--larder-args", type=str.split, default=[], help="more arguments for Larder, in one string")
    out.add_argument("--larder-ef", type=lambda text: [int(ef) for ef in text.split(",")],
                     help="settings of Larder and of C++ hnswlib, in place of 10 to 800")
    return out


def chosen_systems(wanted, known):
    """Known names that equal or begin with one of the wanted, in the known order."""
    if wanted == "all":
        return known
    prefixes = wanted.split(",")
    for prefix in prefixes:
        if not any(name == prefix or name.startswith(prefix + "-") for name in known):
            sys.exit(f"peers: no system {prefix}; there are {', '.join(known)}")
    return [name for name in known if any(name == p or name.startswith(p + "-") for p in prefixes)]


def main():
    options = parser().parse_args()
    if options.setup:
        sys.exit(setup_venv.set_up())
    venv_python.become(threads=os.cpu_count())
    import session
    from larder_bench import INDEXES
    from peer import all_peers
    known = [*INDEXES, *all_peers()]
    if options.list:
        sys.exit(print("\n".join(known)))
    if not (options.base and options.query):
        sys.exit("peers: --base and --query are needed (--help tells more)")
    options.systems = chosen_systems(options.systems, known)
    options.build_threads = max(options.build_threads)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    try:
        sys.exit(session.run(options))
    except KeyboardInterrupt:
        sys.exit("\npeers: stopped; the same command goes on from here")


if __name__ == "__main__":
    main()
