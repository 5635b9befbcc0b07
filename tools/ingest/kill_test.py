#!/usr/bin/env python3
"""Kills larder-ingest at random moments, with SIGKILL and SIGINT, until it is through: every document
must then be stored, and stored once (version 1).

    tools/ingest/kill_test.py LARDER_INGEST LARDER [SEED]
"""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile

INGEST, LARDER = sys.argv[1:3]
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
DOCUMENTS = 3000


def run(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True, timeout=120).stdout


def versions(db):
    """Version of each document, by id."""
    lines = run(LARDER, "scroll", "docs", "--db", db, "--limit", "1000", "--all", "--json").splitlines()
    documents = [json.loads(line) for line in lines]
    return {document["id"]: document["version"] for document in documents if "id" in document}


def main():
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        corpus, db = os.path.join(folder, "corpus"), os.path.join(folder, "db")
        os.mkdir(corpus)
        for part in range(3):
            with open(os.path.join(corpus, f"{part}.jsonl"), "w", encoding="utf-8") as file:
                for i in range(part, DOCUMENTS, 3):
                    file.write(json.dumps({"_id": str(i), "text": f"text {i}", "vector": [1, i + 1]}) + "\n")
        command = [INGEST, "--db", db, "--collection", "docs", "--create", "--embedder", "none", "--dim", "2",
                   "--batch", "16", "--quiet", corpus]
        kills = {signal.SIGKILL: 0, signal.SIGINT: 0}
        for attempt in range(400):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                # Longer from time to time, so that a slow machine comes through as well.
                _, errors = process.communicate(timeout=rng.uniform(0.02, 0.1 + 0.01 * attempt))
            except subprocess.TimeoutExpired:
                sign = rng.choice(list(kills))
                process.send_signal(sign)
                _, errors = process.communicate(timeout=120)
                kills[sign] += process.returncode in (-sign, 128 + sign)
            if process.returncode == 0:
                break
            if process.returncode not in (-signal.SIGKILL, -signal.SIGINT, 128 + signal.SIGINT):
                raise SystemExit(f"seed {SEED}, attempt {attempt}: exit code {process.returncode}\n{errors}")
        else:
            raise SystemExit(f"seed {SEED}: not through after 400 attempts")
        found = versions(db)
        missing = [i for i in range(DOCUMENTS) if str(i) not in found]
        repeated = {key: version for key, version in found.items() if version != 1}
        if missing or repeated or len(found) != DOCUMENTS:
            raise SystemExit(f"seed {SEED}: {len(missing)} missing {missing[:5]}, {len(repeated)} stored again "
                             f"{dict(list(repeated.items())[:5])}, {len(found)} in all")
    print(f"seed {SEED}: {DOCUMENTS} documents stored once, through {kills[signal.SIGKILL]} kills and "
          f"{kills[signal.SIGINT]} interruptions")


main()
