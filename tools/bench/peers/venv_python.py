"""Runs the calling script with the Python of .deps/peers-venv, which has the peers and numpy."""
import os
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
VENV = os.path.join(ROOT, ".deps", "peers-venv")
PYTHON = os.path.join(VENV, "bin", "python")
# Libraries read these when they start. OpenMP's threads must not spin: they would take the cores of
# whoever is measured next.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


def thread_environment(threads):
    return {**os.environ, **{name: str(threads) for name in THREAD_VARIABLES}, "OMP_WAIT_POLICY": "passive"}


def become(threads):
    """Starts this script anew under the venv's Python, unless it runs there already."""
    if os.environ.get("LARDER_PEERS_VENV") == VENV:
        return
    if not os.path.exists(PYTHON):
        sys.exit(f"{os.path.basename(sys.argv[0])}: no .deps/peers-venv here; run tools/bench/peers.py --setup first")
    os.execve(PYTHON, [PYTHON, *sys.argv], {**thread_environment(threads), "LARDER_PEERS_VENV": VENV})
