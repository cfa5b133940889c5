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


def test_protobuf_is_what_kubernetes_own_library_writes_for_every_field_of_every_type():
    if not inputs_are_present():
        pytest.skip("the module k8s.io/kubernetes is not in the module cache")
    found = [subprocess.run(["go", "list", "-m", "-f", "{{.Dir}}", module], cwd=os.path.join(ROOT, "tools", "kube"), capture_output=True, text=True,
                            check=True, env={**os.environ, "GOPROXY": "off"}).stdout.strip()
             for module in ("k8s.io/api", "k8s.io/apiextensions-apiserver")]
    directories = [os.path.join(found[0], "testdata", "HEAD"), os.path.join(found[1], "pkg", "apis", "testdata", "HEAD")]
    done = subprocess.run([os.path.join(ROOT, "build", "release", "src", "schema", "schema_test"), "--gtest_filter=ProtobufTest.*EveryField*"],
                          capture_output=True, text=True, env={**os.environ, "KUBERNETES_TESTDATA": ":".join(directories)})
    assert done.returncode == 0 and "[       OK ]" in done.stdout, done.stdout[-4000:]


def test_the_checked_in_tables_are_what_their_generators_write():
    if not inputs_are_present():
        pytest.skip("the module k8s.io/kubernetes is not in the module cache")
    for generator in ("generate.py", "bootstrap_policy.py"):
        check = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "schema", generator), "--check"], capture_output=True, text=True)
        assert check.returncode == 0, check.stderr
