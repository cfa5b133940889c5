"""./dev demo as a reader follows it: what it says is run in a shell, and --down leaves nothing."""
import os
import re
import subprocess

import pytest
import yaml

from harness.cluster import ASSETS, ROOT

pytestmark = pytest.mark.once


@pytest.fixture(params=[True, False], ids=["with_kubectl", "without_kubectl"])
def demo(run_dir, request):
    directory = os.path.join(run_dir, "demo")
    # Empty: as if there were none.
    env = {**os.environ, "GULFSTREAM_DEMO_DIR": directory, "PATH": f"{ASSETS}:{os.environ['PATH']}"}
    if not request.param:
        env["GULFSTREAM_DEMO_KUBECTL"] = ""

    def run(*args):
        done = subprocess.run(["./dev", "demo", *args], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.directory, run.env, run.kubectl = directory, env, request.param
    yield run
    run("--down")


def processes(demo):
    """The command lines of what the demo started."""
    found = {}
    for name in os.listdir(f"{demo.directory}/pids"):
        pid = open(f"{demo.directory}/pids/{name}").read().split()[0]
        found[name] = open(f"/proc/{pid}/cmdline").read() if os.path.exists(f"/proc/{pid}") else None
    return found


def ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(") ", 1)[1].startswith("Z")
    except FileNotFoundError:
        return True


def steps(said):
    """[(command, what it prints)] as shown."""
    shown = re.findall(r"^  \$ (.*)\n((?:    .*\n)*)", said, flags=re.M)
    return [(command, re.sub("^    ", "", printed, flags=re.M)) for command, printed in shown]


def test_the_demo_says_what_is_true_and_goes_without_a_trace(demo):
    said = demo()
    assert "0.1 GB of memory" in said.splitlines()[0]
    exports = "\n".join(re.findall(r"^  (export .*)$", said, flags=re.M))
    todo = steps(said)
    assert len(todo) == 4
    for command, printed in todo:
        # A person's fingers are slower than the plane.
        assert command.startswith("kubectl ") == demo.kubectl
        done = subprocess.run(["bash", "-c", f"{exports}\nsleep 1\n{command}"], env=demo.env, capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr) == (printed, ""), command
    with open(re.search("KUBECONFIG=(.*)", exports)[1]) as f:
        assert [context["name"] for context in yaml.safe_load(f)["contexts"]] == ["hub", "cluster-1", "cluster-2"]

    before = processes(demo)
    assert len(before) == 2 and all(before.values()), before
    assert "it already runs" in demo(), "a second run starts nothing"
    assert processes(demo) == before

    pids = [open(f"{demo.directory}/pids/{name}").read().split()[0] for name in before]
    assert "ended and removed" in demo("--down")
    assert not os.path.exists(demo.directory)
    assert all(ended(pid) for pid in pids)
    assert "there is none" in demo("--down")
