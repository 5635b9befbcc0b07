"""What pyproject.toml cannot say: gRPC's stubs are made before the package is put together."""
import os
import sys

from setuptools import setup

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_stubs  # noqa: E402

make_stubs.make()
setup()
