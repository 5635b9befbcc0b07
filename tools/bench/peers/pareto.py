"""What a system's measured points say about a recall that was not measured, and about a rival."""
import math

RECALLS = (0.95, 0.99)
OURS = "larder"
HNSWLIB = "hnswlib"  # and hnswlib-anything: the fastest counts


def front(points):
    """The (recall, qps) that no other point beats in both, by rising recall."""
    best, kept = 0.0, []
    for recall, qps in sorted(points, reverse=True):
        if qps > best:
            best = qps
            kept.append((recall, qps))
    return kept[::-1]


def qps_at(points, recall):
    """QPS at this recall on the Pareto front, log-linear between points; None if it is not reached."""
    kept = front(points)
    for i, (higher, qps) in enumerate(kept):
        if higher < recall:
            continue
        if i == 0 or higher == recall:
            return qps
        lower, faster = kept[i - 1]
        share = (recall - lower) / (higher - lower)
        return math.exp(math.log(faster) + share * (math.log(qps) - math.log(faster)))
    return None


def points_by_system(lines):
    """System -> (recall, qps) of result lines."""
    points = {}
    for line in lines:
        points.setdefault(line["system"], []).append((line["recall"], line["qps"]))
    return points


def is_larder(system):
    return system.split("-")[0] == OURS


def _ratio(ours, theirs):
    return None if not ours or not theirs else round(ours / theirs, 3)


def ratio_line(lines, threads):
    """Larder's QPS over hnswlib's and over the best peer's; None where either does not get there."""
    at = {recall: {system: qps_at(points, recall) for system, points in points_by_system(lines).items()}
          for recall in RECALLS}
    out, best_peer = {"threads": threads}, None
    for recall in RECALLS:
        rivals = {system: qps for system, qps in at[recall].items() if qps and not is_larder(system)}
        hnswlibs = [qps for system, qps in rivals.items() if system.split("-")[0] == HNSWLIB]
        best = max(rivals, key=rivals.get, default=None)
        best_peer = best_peer or best
        ours = max((qps for system, qps in at[recall].items() if qps and is_larder(system)), default=None)
        out[f"ratio_hnswlib_{recall * 100:03.0f}"] = _ratio(ours, max(hnswlibs, default=None))
        out[f"ratio_best_peer_{recall * 100:03.0f}"] = _ratio(ours, rivals.get(best))
        out[f"best_peer_{recall * 100:03.0f}"] = best
    out["best_peer"] = best_peer
    return out
