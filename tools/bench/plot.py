#!/usr/bin/env python3
"""plot.py LINES.jsonl OUT.png: draws what `larder-bench codes --json` prints."""
import json
import sys


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("plot.py: matplotlib is not installed (apt install python3-matplotlib, "
                         "or pip install matplotlib); no picture was drawn")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with open(sys.argv[1], encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 5.5))
    for key, label in (("recall10", "no rerank"), ("recall10_rerank20", "rerank 20"),
                       ("recall10_rerank100", "rerank 100")):
        left.scatter([r["bytes_per_vector"] for r in rows], [r[key] for r in rows], label=label, s=22)
    for r in rows:
        left.annotate(r["code"], (r["bytes_per_vector"], r["recall10"]), fontsize=7)
        right.annotate(r["code"], (r["scan_per_s"] / 1e6, r["recall10"]), fontsize=7)
    right.scatter([r["scan_per_s"] / 1e6 for r in rows], [r["recall10"] for r in rows], s=22)
    left.set(xscale="log", xlabel="bytes per vector", ylabel="recall@10")
    right.set(xscale="log", xlabel="million vectors scanned per second", ylabel="recall@10, no rerank")
    left.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(sys.argv[2], dpi=120)


main()
