"""The embedded API server answers as kube-apiserver does: test/differential against a server of our own."""
import os
import subprocess

import pytest

from harness.cluster import ROOT, Cluster

pytestmark = pytest.mark.once

PROGRAM = os.path.join(ROOT, "build", "release", "test", "differential", "differential")
# GULFSTREAM_DIFFERENTIAL_SEED: other sequences than those of every run.
SEED = os.environ.get("GULFSTREAM_DIFFERENTIAL_SEED")
COUNT = os.environ.get("GULFSTREAM_DIFFERENTIAL_COUNT", "400")


@pytest.fixture
def real(run_dir):
    cluster = Cluster("real", os.path.join(run_dir, "real"))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


def test_the_embedded_api_server_answers_as_kube_apiserver_does(real, run_dir):
    done = subprocess.run(
        [PROGRAM, "--kubeconfig", real.kubeconfig(), "--cases", os.path.join(ROOT, "test", "differential", "cases"),
         "--differences", os.path.join(ROOT, "docs", "reference", "apiserver-differences.md"), "--generated", COUNT,
         *(["--seed", SEED] if SEED else [])],
        capture_output=True, text=True, timeout=600)
    with open(os.path.join(run_dir, "differential.log"), "w") as log:
        log.write(done.stdout + done.stderr)
    print(done.stdout[-200:])
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
