"""What README.md and docs/guide show is run as it stands there; only ports are others."""
import os
import re
import socket
import subprocess
import sys

import pytest
import yaml
from harness.cluster import ASSETS, ROOT
from harness.process import Process, eventually, free_port


def text(path):
    with open(os.path.join(ROOT, path)) as f:
        return f.read()


def section(path, title):
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text(path), flags=re.M | re.S).group(1)


def blocks(markdown, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", markdown, flags=re.M | re.S)


@pytest.fixture
def shell(clusters, run_dir):
    """Runs a command where ~/.kube/config and kubectl are those of a test cluster; one that ends with & is ended at the end."""
    home, background = os.path.join(run_dir, "home"), []
    os.makedirs(f"{home}/.kube")
    os.symlink(clusters[0].kubeconfig(), f"{home}/.kube/config")
    env = {**os.environ, "HOME": home, "PATH": f"{ASSETS}:{os.environ['PATH']}", "PYTHON": sys.executable}
    env.pop("KUBECONFIG", None)

    def run(command):
        if command.endswith("&"):
            log = os.path.join(run_dir, f"background-{len(background)}.log")
            background.append(Process(["bash", "-c", f"cd {ROOT} && exec {command.rstrip('&')}"], log, env=env))
            return background[-1]
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, command + "\n" + done.stdout + done.stderr
        return done.stdout

    yield run
    for process in reversed(background):
        process.stop()


def test_the_readme_s_own_cluster_path_is_true(shell, clusters, run_dir):
    port, metrics = free_port(), free_port()
    told = section("README.md", "On your own cluster")
    commands = re.findall(r"^    (\S.*)$", told, flags=re.M)
    assert commands[0] == "./dev build" and len(commands) == 9
    manifest = os.path.join(run_dir, "controller.yaml")
    with open(manifest, "w") as f:
        f.write(text("samples/namespace-baseline/deploy/controller.yaml").replace("9443", str(port)))
    started = []
    for command in commands[1:]:
        command = command.replace("samples/namespace-baseline/deploy/controller.yaml", manifest)
        command = command.replace("run &", f"run ADDRESS=127.0.0.1:{port} &").replace("config &", f"config --metrics-address 127.0.0.1:{metrics} &")
        started.append(shell(command))
    shows, how, takes_away = re.findall(r"`(kubectl [^`]*)`", told)
    kinds = ["networkpolicy", "resourcequota", "limitrange", "rolebinding"]
    eventually(lambda: all(f"{kind}" in shell(shows) for kind in kinds), what="the baseline")
    eventually(lambda: re.search(r"namespace-baseline +True +Ready +1", shell(how)), what="the Controller's status")
    shell(takes_away)
    eventually(lambda: not any(kind in shell(shows) for kind in kinds[:1] + kinds[2:]), what="the baseline's end")
    shell("kubectl delete gsc --all && kubectl delete namespace shop gulfstream --wait=false")
    for process in reversed([p for p in started if isinstance(p, Process)]):
        process.stop()  # as ^C or kill %1: the delegate that make started ends too
    with socket.socket() as s:
        eventually(lambda: s.connect_ex(("127.0.0.1", port)) != 0, what="the delegate's end")


def test_the_guide_s_first_delegate_works(clusters, plane, run_dir):
    guide = text("docs/guide/write-a-delegate.md")
    (program,) = blocks(guide, "python")
    (manifests,) = blocks(guide, "yaml")
    (steps,) = [block for block in blocks(guide, "sh") if "protoc" in block]
    port = free_port()
    with open(f"{run_dir}/greeter.py", "w") as f:
        f.write(program.replace("9443", str(port)))
    protoc = [line for line in steps.splitlines() if "protoc" in line]
    for line in protoc:
        line = line.replace(".venv/bin/python", sys.executable).replace("GULFSTREAM", ROOT)
        subprocess.run(["bash", "-c", line], cwd=run_dir, check=True)
    delegate = Process([sys.executable, f"{run_dir}/greeter.py"], f"{run_dir}/greeter.log")
    try:
        plane.write("greeter.yaml", *yaml.safe_load_all(manifests.replace("9443", str(port))))
        plane.add_cluster(clusters[0])
        plane.start().wait_ready()
        one = clusters[0]
        one.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ada", "namespace": "default", "labels": {"greet": "yes"}}})
        greeting = eventually(lambda: one.get("/api/v1/namespaces/default/secrets/ada-greeting"), what="the greeting")
        assert greeting["metadata"]["ownerReferences"][0]["name"] == "ada"
        one.request("DELETE", "/api/v1/namespaces/default/secrets/ada-greeting")
        eventually(lambda: one.get("/api/v1/namespaces/default/secrets/ada-greeting"), what="the greeting again")
        assert plane.metric('gulfstream_calls_total{result="refused"}') == 0
    finally:
        delegate.kill()


def test_the_guide_s_directory_is_accepted(clusters, plane):
    (manifests,) = [b for b in blocks(text("docs/guide/run-the-plane.md"), "yaml") if "kind: Controller" in b]
    plane.write("guide.yaml", *yaml.safe_load_all(manifests.replace("/home/me/.kube/config", clusters[0].kubeconfig())))
    plane.start().wait_ready()
    shown = eventually(lambda: (s := plane.status("greeter")).get("ClustersSynced", ("",))[0] == "True" and s)
    assert shown["Valid"][0] == "True" and shown["counts"]["desired"] == "1"


def test_the_guide_s_tenant_attaches_a_cluster(hub, clusters, run_dir):
    told = text("docs/guide/run-the-plane.md")
    commands = re.search(r"a tenant\s+does\n\n((?:    .*\n)+)", told).group(1)
    commands = re.sub("^    ", "", commands, flags=re.M)
    with open(clusters[0].kubeconfig()) as kubeconfig, open(f"{run_dir}/east.yaml", "w") as east:
        east.write(kubeconfig.read())
    hub.add_tenant("blue")
    env = {**os.environ, "PATH": f"{ASSETS}:{os.environ['PATH']}", "KUBECONFIG": hub.kubeconfig()}
    plane = hub.plane(run_dir)
    try:
        subprocess.run(["bash", "-ec", commands], cwd=run_dir, env=env, check=True, capture_output=True)
        plane.start().wait_ready()
        eventually(lambda: hub.cluster_status("blue", "east")["conditions"].get("Ready", {}).get("status") == "True", what="the Cluster's status")
    finally:
        plane.stop()
        hub.kubectl("delete", "namespace", "blue", "--wait=false")
