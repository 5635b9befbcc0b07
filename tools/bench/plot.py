#!/usr/bin/env python3
"""plot.py SUBJECT LINES.jsonl OUT.png: draws what `larder-bench SUBJECT --json` prints; ann, churn, codes,
disk, filters, kv or kv-trace."""
import json
import sys


def draw_codes(pyplot, rows):
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
    return figure


def draw_ann(pyplot, rows):
    """Queries a second against recall, a curve an index."""
    figure, axes = pyplot.subplots(figsize=(8, 5.5))
    for index in dict.fromkeys(r["index"] for r in rows):
        curve = sorted((r["recall"], r["qps"]) for r in rows if r["index"] == index)
        axes.plot([recall for recall, _ in curve], [qps for _, qps in curve], "-o", label=index, markersize=4)
    axes.set(yscale="log", xlabel="recall", ylabel="queries a second")
    axes.legend()
    return figure


def draw_disk(pyplot, rows):
    rows = sorted(rows, key=lambda r: r["recall"])
    figure, panels = pyplot.subplots(1, 3, figsize=(16, 5))
    for axes, keys, label in ((panels[0], ("qps",), "queries a second"), (panels[1], ("p50_us", "p99_us"), "microseconds"),
                              (panels[2], ("reads_per_query", "postings", "candidates"), "a query")):
        for key in keys:
            axes.plot([r["recall"] for r in rows], [r[key] for r in rows], "-o", label=key, markersize=4)
        axes.set(xlabel="recall", ylabel=label, ylim=(0, None))
        axes.legend()
    return figure


def draw_filters(pyplot, rows):
    """Latency and recall against the share of rows that match, beside the two classic designs."""
    rows = sorted((r for r in rows if "post_p50_us" in r), key=lambda r: r["share"])
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(14, 5.5))
    shares = [r["share"] * 100 for r in rows]
    for key, label in (("p50_us", "Larder"), ("post_p50_us", "post-filtering"), ("exact_p50_us", "scan of the matches")):
        left.plot(shares, [r[key] for r in rows], "o", label=label, markersize=4)
    for key, label in (("recall", "Larder"), ("post_recall", "post-filtering")):
        right.plot(shares, [r[key] for r in rows], "o", label=label, markersize=4)
    left.set(xscale="log", yscale="log", xlabel="% of the rows match", ylabel="p50, microseconds")
    right.set(xscale="log", xlabel="% of the rows match", ylabel="recall")
    left.legend()
    right.legend()
    return figure


def draw_churn(pyplot, rows):
    figure, panels = pyplot.subplots(1, 3, figsize=(16, 5))
    for axes, keys, label in ((panels[0], ("p50_us", "p99_us"), "microseconds a search"),
                              (panels[1], ("inserts_per_s", "busy_inserts_per_s"), "inserts a second"),
                              (panels[2], ("disk_mb", "live_mb", "rss_mb"), "MiB")):
        for key in keys:
            axes.plot([r["round"] for r in rows], [r[key] for r in rows], label=key)
        axes.set(xlabel="round", ylabel=label, ylim=(0, None))
        axes.legend()
    return figure


def draw_kv(pyplot, rows):
    """One panel a section: a line over x where its rows have one, else bars."""
    sections = {}
    for row in rows:
        sections.setdefault(row["section"], []).append(row)
    sections.pop("summary", None)
    figure, panels = pyplot.subplots(1, len(sections), figsize=(6.5 * len(sections), 5.5), squeeze=False)
    for axes, (name, lines) in zip(panels[0], sections.items()):
        if "x" in lines[0]:
            axes.plot([line["x"] for line in lines], [line["y"] for line in lines], "-o", markersize=3)
            axes.set(xlabel=lines[0]["x_name"], ylabel=lines[0]["y_name"])
        else:
            axes.bar([line["name"] for line in lines], [line["value"] for line in lines])
        axes.set(title=name, ylim=(0, None))
    return figure


def draw_kv_trace(pyplot, rows):
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 5.5))
    rows = [r for r in rows if not r.get("summary")]
    for policy in dict.fromkeys(r["policy"] for r in rows):
        of = [r for r in rows if r["policy"] == policy]
        style = "--" if policy in ("belady", "offline-bound") else "-o"
        gib = [r["cache_bytes"] / 2 ** 30 for r in of]
        left.plot(gib, [r["recomputed_tokens"] / 1e6 for r in of], style, label=policy, markersize=3)
        right.plot([r["cache_share"] * 100 for r in of], [r["ratio_lru"] for r in of], style, label=policy,
                   markersize=3)
    left.set(xscale="log", xlabel="cache, GiB", ylabel="million tokens computed again", title=rows[0]["trace"])
    right.set(xscale="log", xlabel="cache, % of the distinct bytes", ylabel="computed again, LRU = 1")
    right.set_ylim(0, 1.6)
    left.legend()
    return figure


def main():
    draw = {"ann": draw_ann, "churn": draw_churn, "codes": draw_codes, "disk": draw_disk,
            "filters": draw_filters, "kv": draw_kv, "kv-trace": draw_kv_trace}
    if len(sys.argv) != 4 or sys.argv[1] not in draw:
        raise SystemExit(__doc__)
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("plot.py: matplotlib is not installed (apt install python3-matplotlib, "
                         "or pip install matplotlib); no picture was drawn")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with open(sys.argv[2], encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    figure = draw[sys.argv[1]](pyplot, rows)
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(sys.argv[3], dpi=120)


main()
