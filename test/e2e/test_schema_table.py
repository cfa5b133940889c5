"""The table of Kubernetes' types in the binary is what its generator writes from what Kubernetes publishes."""
import os
import shutil
import subprocess
import sys

import pytest

from harness.cluster import ROOT

pytestmark = pytest.mark.once


def inputs_are_present():
    if shutil.which("go") is None:
        return False
    found = subprocess.run(["go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes"], cwd=os.path.join(ROOT, "tools", "kube"),
                           capture_output=True, text=True, env={**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off"})
    return found.returncode == 0 and os.path.isdir(os.path.join(found.stdout.strip(), "api", "openapi-spec", "v3"))


def test_the_checked_in_table_is_what_the_generator_writes():
    if not inputs_are_present():
        pytest.skip("the module k8s.io/kubernetes is not in the module cache")
    check = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "schema", "generate.py"), "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
