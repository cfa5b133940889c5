"""kubectl against the embedded API server: what people type every day, with the words they get back."""
import base64
import json
import os
import subprocess
import threading

import pytest

from harness.cluster import ASSETS, ROOT
from harness.process import WORKER, Process, eventually

pytestmark = pytest.mark.once

BINARY = os.environ.get("GULFSTREAM_BINARY", os.path.join(ROOT, "build", "release", "gulfstream"))

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: "nginx:1", ports: [{containerPort: 80}]}
      - {name: side, image: "side:1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: blue}
"""


class Kubectl:
    def __init__(self, kubeconfig):
        self.env = {**os.environ, "KUBECONFIG": kubeconfig, "KUBECTL_COMMAND_HEADERS": "false"}
        self.home = os.path.dirname(kubeconfig)

    def run(self, *args, stdin=None):
        return subprocess.run([f"{ASSETS}/kubectl", "--cache-dir", os.path.join(self.home, "cache"), *args], input=stdin,
                              capture_output=True, text=True, timeout=30, env=self.env)

    def __call__(self, *args, stdin=None):
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *args, stdin=None):
        done = self.run(*args, stdin=stdin)
        assert done.returncode != 0, f"kubectl {' '.join(args)} should have failed: {done.stdout}"
        return done.stderr

    def authority(self):
        (data,) = self("config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.certificate-authority-data}").split()
        return base64.b64decode(data).decode()

    def get(self, *args):
        return json.loads(self("get", *args, "-o", "json"))


@pytest.fixture(scope="module")
def kubectl():
    yield from serve("embedded_kubectl")


@pytest.fixture(scope="module")
def guarded():
    """An administrator's kubectl where others may only what roles allow."""
    yield from serve("embedded_guarded", "--authorization-mode", "RBAC")


def serve(name, *flags):
    directory = os.path.join(ROOT, "build", "e2e", name + WORKER)
    os.makedirs(directory, exist_ok=True)
    kubeconfig = os.path.join(directory, "kubeconfig")
    if os.path.exists(kubeconfig):
        os.remove(kubeconfig)
    server = Process([BINARY, "apiserver", "--in-memory", "--secure-port", "0", "--write-kubeconfig", kubeconfig, *flags],
                     os.path.join(directory, "apiserver.log"))
    try:
        made = Kubectl(kubeconfig)
        eventually(lambda: os.path.exists(kubeconfig) and made.run("get", "--raw", "/readyz").stdout == "ok", what="the server is ready")
        yield made
    finally:
        server.stop()


def namespace(kubectl, name):
    kubectl("create", "-f", "-", stdin=f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
    return name


def header(text):
    return text.splitlines()[0].split()


def test_it_is_discovered_and_explained(kubectl):
    resources = kubectl("api-resources")
    assert any(line.split()[:3] == ["deployments", "deploy", "apps/v1"] for line in resources.splitlines())
    assert "apps/v1" in kubectl("api-versions").split()
    assert "v1.36" in kubectl("version")
    assert "rollingUpdate" in kubectl("explain", "deployment.spec.strategy")
    recursive = kubectl("explain", "pod.spec.containers", "--recursive")
    assert "limits\t<map[string]Quantity>" in recursive and "containerPort\t<integer> -required-" in recursive
    assert "<IntOrString>" in kubectl("explain", "service.spec.ports")
    assert "[+]ping ok" in kubectl("get", "--raw", "/livez?verbose")
    assert [n["metadata"]["name"] for n in kubectl.get("namespaces")["items"]] == ["default", "kube-node-lease", "kube-public", "kube-system"]
    assert "the server doesn't have a resource type" in kubectl.fails("get", "nonsense")


def test_objects_are_applied_changed_shown_and_deleted(kubectl):
    ns = namespace(kubectl, "daily")
    n = ["-n", ns]
    assert kubectl("apply", *n, "-f", "-", stdin=WEB) == "deployment.apps/web created\nconfigmap/settings created\n"
    assert kubectl("apply", *n, "-f", "-", stdin=WEB) == "deployment.apps/web unchanged\nconfigmap/settings unchanged\n"
    changed = WEB.replace("nginx:1", "nginx:2").replace("      - {name: side, image: \"side:1\"}\n", "")
    assert kubectl("apply", *n, "-f", "-", stdin=changed) == "deployment.apps/web configured\nconfigmap/settings unchanged\n"
    deployment = kubectl.get("deploy", "web", *n)
    assert [c["image"] for c in deployment["spec"]["template"]["spec"]["containers"]] == ["nginx:2"]
    assert deployment["metadata"]["generation"] == 2

    table = kubectl("get", "deploy", *n)
    assert header(table) == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert table.splitlines()[1].split()[:4] == ["web", "0/2", "0", "0"]
    assert header(kubectl("get", "deploy", *n, "-o", "wide"))[5:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert "deployment.apps/web" in kubectl("get", "all", *n)

    kubectl("scale", *n, "deploy/web", "--replicas=5")
    kubectl("label", *n, "deploy", "web", "tier=front")
    kubectl("annotate", *n, "deploy", "web", "note=seen")
    kubectl("set", "image", *n, "deploy/web", "c=nginx:3")
    kubectl("patch", *n, "deploy", "web", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"more","image":"m"}]}}}}')
    kubectl("patch", *n, "cm", "settings", "--type=json", "-p", '[{"op":"add","path":"/data/added","value":"1"}]')
    kubectl("patch", *n, "cm", "settings", "--type=merge", "-p", '{"data":{"mode":null}}')
    deployment = kubectl.get("deploy", "web", *n)
    assert deployment["spec"]["replicas"] == 5
    assert deployment["metadata"]["labels"]["tier"] == "front" and deployment["metadata"]["annotations"]["note"] == "seen"
    assert {c["name"]: c["image"] for c in deployment["spec"]["template"]["spec"]["containers"]} == {"c": "nginx:3", "more": "m"}
    assert kubectl.get("cm", "settings", *n)["data"] == {"added": "1"}
    assert kubectl("get", "deploy", *n, "-l", "tier=front", "-o", "name") == "deployment.apps/web\n"
    assert "Replicas:" in kubectl("describe", *n, "deploy", "web")

    assert "not found" in kubectl.fails("get", *n, "cm", "none")
    assert "(AlreadyExists)" in kubectl.fails("create", *n, "-f", "-", stdin=WEB)
    kubectl("wait", *n, "cm/settings", "--for=jsonpath={.data.added}=1", "--timeout=10s")
    assert kubectl("delete", *n, "deploy", "web") == f'deployment.apps "web" deleted from {ns} namespace\n'
    kubectl("wait", *n, "--for=delete", "deploy/web", "--timeout=10s")


def test_a_namespace_has_what_controllers_give_it(kubectl):
    ns = namespace(kubectl, "furnished")
    for there in (ns, "default", "kube-system"):
        eventually(lambda: kubectl.run("get", "sa", "default", "-n", there).returncode == 0, what=f"the service account in {there}")
        published = eventually(lambda: kubectl.get("cm", "kube-root-ca.crt", "-n", there)["data"]["ca.crt"], what=f"the authority in {there}")
        assert published == kubectl.authority(), "what verifies this server"
    kubectl("delete", "sa", "default", "-n", ns)
    eventually(lambda: kubectl.run("get", "sa", "default", "-n", ns).returncode == 0, what="it is made again")


def test_a_watch_shows_rows_as_they_change(kubectl):
    ns = namespace(kubectl, "watched")
    watch = subprocess.Popen([f"{ASSETS}/kubectl", "get", "cm", "-n", ns, "-w", "--output-watch-events"], stdout=subprocess.PIPE,
                             text=True, env=kubectl.env)
    lines = []
    threading.Thread(target=lambda: lines.extend(line.split() for line in watch.stdout), daemon=True).start()
    try:
        kubectl("create", "-n", ns, "-f", "-", stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n")
        eventually(lambda: ["ADDED", "a", "1"] in [line[:3] for line in lines], what="the object appears")
        kubectl("patch", "-n", ns, "cm", "a", "--type=merge", "-p", '{"data":{"l":"w"}}')
        kubectl("delete", "-n", ns, "cm", "a")
        eventually(lambda: "DELETED" in [line[0] for line in lines], what="its change and its end appear")
        shown = [line[:3] for line in lines if line[1] != "kube-root-ca.crt"]
        assert shown == [["EVENT", "NAME", "DATA"], ["ADDED", "a", "1"], ["MODIFIED", "a", "2"], ["DELETED", "a", "2"]]
    finally:
        watch.kill()
        watch.wait()


def test_a_namespace_says_what_holds_it_and_goes_with_the_last_of_it(kubectl):
    ns = namespace(kubectl, "leaving")
    kubectl("create", "-n", ns, "-f", "-", stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [example.com/f]}\n")
    kubectl("create", "-n", ns, "-f", "-", stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: free}\n")
    kubectl("delete", "ns", ns, "--wait=false")
    eventually(lambda: [c["metadata"]["name"] for c in kubectl.get("cm", "-n", ns)["items"]] == ["held"], what="what is free goes")
    assert "is being terminated" in kubectl.fails("create", "-n", ns, "-f", "-", stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late}\n")
    conditions = {c["type"]: c for c in kubectl.get("ns", ns)["status"]["conditions"]}
    assert "example.com/f in 1 resource instances" in conditions["NamespaceFinalizersRemaining"]["message"]
    kubectl("patch", "-n", ns, "cm", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    kubectl("wait", "--for=delete", f"ns/{ns}", "--timeout=10s")
    assert "this namespace may not be deleted" in kubectl.fails("delete", "ns", "default")


def test_what_needs_nodes_or_metrics_is_refused_in_words(kubectl):
    ns = namespace(kubectl, "nodeless")
    n = ["-n", ns]
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {{name: {}}}\nspec: {{{} containers: [{{name: c, image: i}}]}}\n"
    kubectl("create", *n, "-f", "-", stdin=pod.format("waits", "") + "---\n" + pod.format("runs", "nodeName: node-1,"))
    assert "pod waits does not have a host assigned" in kubectl.fails("logs", *n, "waits")
    assert "pods/log is not served by this server" in kubectl.fails("logs", *n, "runs")
    assert "pods/exec is not served by this server" in kubectl.fails("exec", *n, "runs", "--", "ls")
    assert "pods/attach is not served by this server" in kubectl.fails("attach", *n, "runs")
    assert "Metrics API not available" in kubectl.fails("top", "pods", *n)


def test_waits_and_rollouts_follow_what_a_controller_says(kubectl):
    ns = namespace(kubectl, "rolled")
    n = ["-n", ns]
    kubectl("apply", *n, "-f", "-", stdin=WEB)
    assert "timed out" in kubectl.fails("rollout", "status", *n, "deploy/web", "--timeout=1s")
    status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
              "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}]}
    kubectl("patch", *n, "deploy", "web", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    assert kubectl("rollout", "status", *n, "deploy/web", "--timeout=5s") == 'deployment "web" successfully rolled out\n'
    kubectl("wait", *n, "--for=condition=Available", "deploy/web", "--timeout=5s")
    kubectl("wait", *n, "--for=create", "cm/settings", "--timeout=5s")
    kubectl("rollout", "restart", *n, "deploy/web")
    assert "timed out" in kubectl.fails("rollout", "status", *n, "deploy/web", "--timeout=1s"), "nobody acts on it"


def test_whoever_applies_a_part_disputes_nothing_else(kubectl):
    ns = namespace(kubectl, "parts")
    n = ["-n", ns, "--server-side", "--field-manager"]
    assert kubectl("apply", *n, "one", "-f", "-", stdin=WEB) == "deployment.apps/web serverside-applied\nconfigmap/settings serverside-applied\n"
    part = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, annotations: {note: mine}}\n"
    assert kubectl("apply", *n, "two", "-f", "-", stdin=part) == "deployment.apps/web serverside-applied\n"
    assert kubectl.get("deploy", "web", "-n", ns)["spec"]["replicas"] == 2
    assert 'conflict with "one": .spec.replicas' in kubectl.fails("apply", *n, "two", "-f", "-", stdin=part + "spec: {replicas: 3}\n")
    kubectl("apply", *n, "two", "--force-conflicts", "-f", "-", stdin=part + "spec: {replicas: 3}\n")
    assert kubectl.get("deploy", "web", "-n", ns)["spec"]["replicas"] == 3


def test_a_service_account_may_what_its_roles_allow(guarded):
    ns = namespace(guarded, "team")
    n = ["-n", ns]
    guarded("create", *n, "-f", "-", stdin=WEB)
    guarded("create", "serviceaccount", *n, "robot")
    token = guarded("create", "token", *n, "robot", "--duration=10m").strip()
    robot = Kubectl(os.path.join(guarded.home, "robot"))
    config = json.loads(guarded("config", "view", "--raw", "-o", "json"))
    config["users"][0]["user"] = {"token": token}
    with open(robot.env["KUBECONFIG"], "w") as f:
        json.dump(config, f)
    me = f"system:serviceaccount:{ns}:robot"
    assert me in robot("auth", "whoami")
    assert f'deployments.apps is forbidden: User "{me}" cannot list resource "deployments" in API group "apps" in the namespace "{ns}"' in robot.fails("get", *n, "deploy")
    assert robot.run("auth", "can-i", *n, "list", "deploy").stdout == "no\n"
    guarded("create", "rolebinding", *n, "robot", "--clusterrole=view", f"--serviceaccount={ns}:robot")
    assert robot.run("auth", "can-i", *n, "list", "deploy").stdout == "yes\n"
    assert "web" in robot("get", *n, "deploy") and "settings" in robot("get", *n, "cm")
    assert "forbidden" in robot.fails("get", *n, "secrets") and "forbidden" in robot.fails("get", "cm", "-n", "default")
    assert "pods" in robot("auth", "can-i", "--list", *n)
    assert "cannot create resource" in robot.fails("create", "rolebinding", *n, "more", "--clusterrole=cluster-admin", f"--serviceaccount={ns}:robot")
    guarded("auth", "can-i", "list", "pods", *n, "--as", me)
    guarded("delete", "serviceaccount", *n, "robot")
    assert "logged in" in robot.fails("get", *n, "cm"), "the token ends with its account"


def test_tokens_are_told_why_they_are_not_made(guarded):
    ns = namespace(guarded, "tokens")
    assert 'serviceaccounts "none" not found' in guarded.fails("create", "token", "-n", ns, "none")
    guarded("create", "serviceaccount", "-n", ns, "sa")
    assert "may not specify a duration less than 10 minutes" in guarded.fails("create", "token", "-n", ns, "sa", "--duration=1m")
    assert 'secrets "none" not found' in guarded.fails("create", "token", "-n", ns, "sa", "--bound-object-kind=Secret", "--bound-object-name=none")
