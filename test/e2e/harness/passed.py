"""What passed with the same bytes is not run again (as tools/dev/passed.sh has it for test programs): for ./dev test, which sets
GULFSTREAM_E2E_UNLESS_PASSED. With CI or GULFSTREAM_TEST_ALL set everything runs."""
import hashlib
import os
import subprocess

import pytest

from .cluster import ROOT
from .plane import BINARY

# What every test may reach, beside the programs.
SHARED = ["test/e2e/harness", "test/e2e/conftest.py", "test/e2e/pytest.ini", "test/requirements.txt", "test/interop", "tools/kube", "deploy",
          "samples", "proto", "dev", "tools/dev"]
# What some read, too.
READS = {"test_guides.py": ["README.md", "docs"], "test_differential.py": ["docs/reference"], "test_schema_table.py": ["src/schema", "tools/schema"]}
PROGRAMS = [BINARY, *(os.path.join(ROOT, "build", "release", *path) for path in (
    ("test", "differential", "differential"), ("test", "reviews_interop"), ("src", "schema", "schema_test")))]


def digest(*paths):
    """Of files, and of what git knows or would know below directories."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *paths], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout
    out = hashlib.sha256()
    for name in sorted(filter(None, listed.split("\0"))):
        path = os.path.join(ROOT, name)
        if os.path.exists(path):
            out.update(name.encode())
            out.update(file_digest(path))
    return out.digest()


def file_digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").digest()


class Passed:
    """Stamps in `directory`, one for each file of tests that passed. For the process that pytest-xdist's workers report to."""

    def __init__(self, directory):
        self.directory = directory
        base = digest(*SHARED) + b"".join(file_digest(program) for program in PROGRAMS)
        # What a stamp holds if nothing that its tests reach is another.
        self.stamps = {name: hashlib.sha256(base + digest(f"test/e2e/{name}", *READS.get(name, []))).hexdigest()
                       for name in os.listdir(os.path.join(ROOT, "test", "e2e")) if name.startswith("test_")}
        self.run, self.failed = set(), set()

    def before(self):
        """The files of tests that passed as everything is now."""
        return [name for name, stamp in self.stamps.items() if self._read(name) == stamp]

    def _read(self, name):
        try:
            with open(os.path.join(self.directory, name)) as f:
                return f.read()
        except FileNotFoundError:
            return None

    def pytest_runtest_logreport(self, report):
        name = os.path.basename(report.location[0])
        self.run.add(name)
        if report.failed:
            self.failed.add(name)

    def pytest_sessionfinish(self, session, exitstatus):
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or session.config.option.keyword:
            return  # some tests of a file may not have run
        os.makedirs(self.directory, exist_ok=True)
        for name in self.run:
            with open(os.path.join(self.directory, name), "w") as f:
                f.write("" if name in self.failed else self.stamps[name])
