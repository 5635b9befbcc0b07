"""One run of peers.py: input checked and made uniform, systems measured, report written."""
import dataclasses
import hashlib
import os

from matrix_files import BadFile, read_ids, read_matrix, write_npy
from progress import Progress
from report import write_report
from results import Results
from schedule import Schedule, say
from truth import exact_neighbors


@dataclasses.dataclass
class Files:
    base: str
    query: str
    gt: str
    metric: str
    k: int


def _fingerprint(matrix):
    """Of shape, type and a few rows: enough to notice other data under an old name."""
    some = matrix[::max(1, len(matrix) // 64)]
    return hashlib.sha256(f"{matrix.shape}{matrix.dtype}".encode() + some.tobytes()).hexdigest()[:16]


def _limited(base, options):
    """The base's file, or one in --out with its first rows."""
    if not options.limit or options.limit >= len(base):
        return options.base, base
    path = os.path.join(options.out, f"base-{options.limit}.npy")
    write_npy(path, base[:options.limit])
    return path, base[:options.limit]


def _ground_truth(options, base, query, name):
    """The given file, checked, or a computed one in --out."""
    if options.gt and base.shape[0] == len(read_matrix(options.base)):
        truth = read_ids(options.gt)
        if len(truth) < len(query) or truth.shape[1] < options.k or truth[:len(query)].max() >= len(base):
            raise BadFile(f"{options.gt}: {truth.shape[0]} x {truth.shape[1]}, greatest row {truth.max()}; "
                          f"expected {len(query)} x {options.k} or more, rows below {len(base)}")
        return options.gt
    path = os.path.join(options.out, f"truth-{name}.npy")
    if not os.path.exists(path):
        write_npy(path, exact_neighbors(base, query, options.metric, max(100, options.k),
                                        Progress("exact", len(base))))
    return path


def _open_files(options):
    base, query = read_matrix(options.base), read_matrix(options.query)
    if base.shape[1] != query.shape[1]:
        raise BadFile(f"{options.query}: dimension {query.shape[1]}, but {options.base} has {base.shape[1]}")
    path, base = _limited(base, options)
    name = f"{options.metric}-{_fingerprint(base)}-{_fingerprint(query)}"
    files = Files(path, options.query, _ground_truth(options, base, query, name), options.metric, options.k)
    header = {"data": name, "rows": base.shape[0], "dimension": base.shape[1], "metric": options.metric,
              "k": options.k, "larder_args": options.larder_args}
    return files, header


def run(options):
    """The exit code."""
    os.makedirs(options.out, exist_ok=True)
    try:
        files, header = _open_files(options)
    except (BadFile, OSError) as error:
        say(error)
        return 2
    results = Results(options.out, header, options.fresh)
    with open(os.path.join(options.out, "log.txt"), "a", encoding="utf-8") as log:
        schedule = Schedule(options, files, results, log)
        schedule.run()
    title = f"{header['rows']:,} x {header['dimension']}, {options.metric}"
    write_report(results, options, title)
    for label, why in schedule.failed.items():
        say(f"not measured: {label}: {why}")
    return 0 if results.lines else 1
