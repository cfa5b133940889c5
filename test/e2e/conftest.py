import os
import shutil

import pytest

from harness import samples
from harness.cluster import ASSETS, EMBEDDED, ROOT, Cluster
from harness.hub import Hub
from harness.passed import Passed
from harness.plane import Plane
from harness.process import WORKER

RUN = os.path.join(ROOT, "build", "e2e-embedded" if EMBEDDED else "e2e")
# The servers that tests share, one set a worker.
SHARED = os.path.join(RUN, "servers", WORKER)


def pytest_configure(config):
    if WORKER:
        return
    if config.getoption("numprocesses", None):
        samples.build_all()
    if "GULFSTREAM_E2E_UNLESS_PASSED" in os.environ:
        passed = Passed(os.path.join(RUN, "passed"))
        config.pluginmanager.register(passed)
        if not any(name in os.environ for name in ("CI", "GULFSTREAM_TEST_ALL")):
            os.environ["GULFSTREAM_E2E_PASSED"] = " ".join(passed.before())  # workers read it


def pytest_collection_modifyitems(config, items):
    # What tests no part of an API server, or needs the real one to compare with, or starts servers of its own.
    if EMBEDDED:
        items[:] = [item for item in items if item.get_closest_marker("once") is None]
    passed = os.environ.get("GULFSTREAM_E2E_PASSED", "").split()
    config.hook.pytest_deselected(items=[item for item in items if item.path.name in passed])
    items[:] = [item for item in items if item.path.name not in passed]


@pytest.fixture(scope="session")
def clusters():
    """Three tenant clusters, started side by side and shared by the session."""
    assert os.path.exists(f"{ASSETS}/kube-apiserver"), "run tools/kube/build.sh build/kube/bin first"
    shutil.rmtree(os.path.join(SHARED, "clusters"), ignore_errors=True)
    made = [Cluster(f"tenant{i}", os.path.join(SHARED, "clusters", f"tenant{i}")) for i in range(3)]
    try:
        for cluster in made:
            cluster.start(wait=False)
        for cluster in made:
            cluster.wait_ready()
        yield made
    finally:
        for cluster in made:
            cluster.stop()


@pytest.fixture(scope="session")
def hub_server():
    """A hub with the CRDs and roles of deploy/, shared by the session."""
    directory = os.path.join(SHARED, "hub")
    shutil.rmtree(directory, ignore_errors=True)
    made = Hub("hub", directory)
    try:
        made.start()
        made.install()
        yield made
    finally:
        made.stop()


@pytest.fixture
def hub(hub_server):
    """The hub, with no Controller and no Cluster of an earlier test."""
    hub_server.kubectl("delete", "gsc,gscl", "--all", "--all-namespaces")
    yield hub_server


@pytest.fixture
def run_dir(request):
    path = os.path.join(RUN, request.node.name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


@pytest.fixture
def plane(run_dir):
    made = Plane(run_dir)
    yield made
    if made.process is not None and made.process.alive:
        made.process.kill()
