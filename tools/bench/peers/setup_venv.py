"""Makes .deps/peers-venv from requirements-peers.txt. One package that does not install spoils no other."""
import os
import platform
import re
import shutil
import subprocess
import sys

from venv_python import PYTHON, ROOT, VENV

REQUIREMENTS = os.path.join(ROOT, "tools", "bench", "requirements-peers.txt")


def blocks(text, hashes=True):
    """Each requirement, with its hashes unless they are of another machine's files, on one line."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    if not hashes:
        joined = re.sub(r" --hash=\S+", "", joined)
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def pip(*arguments):
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def install_one(block):
    """None, or why it did not install."""
    path = os.path.join(VENV, "one.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write(block + "\n")
    done = pip("--requirement", path)
    os.remove(path)
    if done.returncode == 0:
        return None
    errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    return (errors or done.stderr.strip().splitlines() or ["pip failed without a word"])[-1][:300]


def set_up():
    """0, or 1 if some package did not install."""
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else shutil.which("python3")
    if not os.path.exists(PYTHON):
        made = subprocess.run([python, "-m", "venv", VENV], check=False)
        if made.returncode != 0:
            sys.exit("peers: could not make a virtual environment; on Debian: apt-get install python3-venv")
    with open(REQUIREMENTS, encoding="utf-8") as file:
        wanted = blocks(file.read(), hashes=platform.machine() == "x86_64")
    failed = 0
    for number, block in enumerate(wanted, 1):
        name = block.split()[0]
        print(f"peers: [{number}/{len(wanted)}] {name}", file=sys.stderr)
        why = install_one(block)
        if why:
            failed += 1
            print(f"peers: {name} did not install, its systems will be skipped: {why}", file=sys.stderr)
    print(f"peers: {len(wanted) - failed} of {len(wanted)} packages are in .deps/peers-venv", file=sys.stderr)
    return 1 if failed else 0
