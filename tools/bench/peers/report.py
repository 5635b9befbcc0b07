"""Results as a table, JSON lines and pictures."""
import json
import os

from pareto import front, points_by_system, ratio_line

COLUMNS = (("system", "system", "{}"), ("setting", "setting", "{}"), ("recall", "recall", "{:.4f}"),
           ("qps", "QPS", "{:,.0f}"), ("qps_min", "min", "{:,.0f}"), ("qps_max", "max", "{:,.0f}"),
           ("p50_us", "p50 us", "{:,.0f}"), ("p99_us", "p99 us", "{:,.0f}"), ("build_s", "build s", "{:.1f}"),
           ("build_threads", "thr", "{}"), ("bytes_per_vector", "B/vec", "{:,.0f}"),
           ("peak_rss_mb", "peak MB", "{:,.0f}"), ("cores", "cores", "{:.2f}"))
JSON_FIELDS = ("system", "setting", "recall", "qps", "build_s", "bytes_per_vector", "threads", "p50_us", "p99_us",
               "peak_rss_mb", "build_threads", "qps_min", "qps_max", "cores", "rounds")


def table(lines):
    """Text; what was not measured is a dash."""
    cells = [[title for _, title, _ in COLUMNS]]
    for line in lines:
        cells.append(["-" if line.get(key) is None else form.format(line[key]) for key, _, form in COLUMNS])
    widths = [max(len(row[i]) for row in cells) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) if i < 2 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in cells)


def json_lines(lines, threads):
    """One a system and setting, then the ratios."""
    rounded = [{key: round(line[key], 5) if isinstance(line.get(key), float) else line.get(key)
                for key in JSON_FIELDS} for line in lines]
    return [json.dumps(line) for line in [*rounded, ratio_line(lines, threads)]]


def plot(lines, threads, title, path):
    """Recall against QPS, each system's Pareto front. False where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(10, 7))
    colors = pyplot.get_cmap("tab20").colors
    for i, (system, points) in enumerate(sorted(points_by_system(lines).items())):
        shown = [point for point in front(points) if point[0] >= 0.8]
        if shown:
            ours = system.startswith("larder")
            axes.plot(*zip(*shown), marker="os^vD"[i // len(colors) % 5], markersize=4, label=system,
                      linewidth=3 if ours else 1.2, color="black" if ours else colors[i % len(colors)])
    axes.set(xlabel="recall@10", ylabel="queries a second", yscale="log", xlim=(0.8, 1.005),
             title=f"{title}, {threads} thread{'s' if threads > 1 else ''}")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
    return True


def write_report(results, options, title):
    """Prints tables and JSON lines and writes DIR/threads-N.png and DIR/summary.jsonl."""
    every = []
    for threads in options.threads:
        lines = results.medians(threads)
        print(f"\n{title}, {threads} thread(s), median of rounds\n{table(lines)}")
        path = os.path.join(options.out, f"threads-{threads}.png")
        if lines and plot(lines, threads, title, path):
            print(f"picture: {path}")
        every.append((threads, lines))
    print()
    text = [line for threads, lines in reversed(every) for line in json_lines(lines, threads)]
    with open(os.path.join(options.out, "summary.jsonl"), "w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in text))
    print("\n".join(text))
