"""Both samples at work, with a hub and three tenants: 200 primaries in each cluster, drift, changed configs, deletion.

The plane's credential in each cluster is a user who may do what the samples' tenant-rbac.yaml grants and nothing else.
"""
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from harness import samples
from harness.hub import kubeconfig_text
from harness.process import eventually

COUNT = 200
LIMITED = {"token": "limited-token"}
LABEL = "baseline.gulfstream.dev/profile"
APPLIED = "baseline.gulfstream.dev/applied"
BASELINE = ("/apis/networking.k8s.io/v1/networkpolicies", "/api/v1/resourcequotas", "/api/v1/limitranges",
            "/apis/rbac.authorization.k8s.io/v1/rolebindings")
MERGE = "application/merge-patch+json"


def everywhere(clusters, work, items):
    """work(cluster, item) for all of them, some at once."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda args: work(*args), [(cluster, item) for cluster in clusters for item in items]))


def listed(cluster, path, query=""):
    return cluster.request("GET", f"{path}?resourceVersion=0{query}")["items"]


def grant(cluster, sample):
    role = f"gulfstream-{sample}"
    cluster.apply(*samples.manifests(sample, "tenant-rbac.yaml"), {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}]})


@pytest.fixture
def plane(hub, clusters, run_dir):
    """A plane on a hub where each cluster is of a tenant of its own; ended in good order, so that the lease is free."""
    for cluster in clusters:
        tenant = f"samples-{cluster.name}"
        hub.add_tenant(tenant)
        hub.add_cluster(tenant, cluster, kubeconfig=kubeconfig_text(cluster, user=LIMITED))
    made = hub.plane(run_dir)
    yield made
    made.stop()
    hub.kubectl("delete", "gsc", "--all", "--wait=false")
    for cluster in clusters:
        hub.kubectl("delete", "gscl,secrets", "--all", "-n", f"samples-{cluster.name}", "--wait=false")


def start(hub, clusters, plane, delegate, sample):
    for cluster in clusters:
        grant(cluster, sample)
    hub.apply(delegate.controller(sample))
    plane.start().wait_ready()
    eventually(lambda: hub.controller_status(sample).get("clusters", {}).get("ready") == 3, what=f"the Controller {sample} in three clusters")


@pytest.fixture
def baseline(run_dir):
    made = samples.namespace_baseline(run_dir).start()
    yield made
    made.process.kill()


def namespace_name(i):
    return f"shop-{i}"


def baselines(cluster):
    """{namespace: number of its objects that are as the profile says}, and all four of them where that is 4."""
    counts = {}
    for path in BASELINE:
        for item in listed(cluster, path, "&labelSelector=app.kubernetes.io/managed-by=namespace-baseline"):
            counts[item["metadata"]["namespace"]] = counts.get(item["metadata"]["namespace"], 0) + 1
    return counts


def reasons(cluster, name):
    """Of the events about an object."""
    return {e["reason"] for e in listed(cluster, "/api/v1/events") if e["involvedObject"]["name"] == name}


def quota_pods(cluster):
    return {item["metadata"]["namespace"]: item["spec"]["hard"].get("pods") for item in listed(cluster, BASELINE[1])}


def test_every_labelled_namespace_in_three_clusters_has_its_baseline(hub, clusters, plane, baseline):
    profiles = samples.manifests("namespace-baseline", "profiles.yaml")
    names = [namespace_name(i) for i in range(COUNT)]
    whole = dict.fromkeys(names, 4)

    def create(cluster, name):
        cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": {LABEL: "restricted"}}})

    hub.kubectl("apply", "-n", "gulfstream", "-f", "-", stdin=yaml.safe_dump_all(profiles))
    start(hub, clusters, plane, baseline, "namespace-baseline")
    everywhere(clusters, create, names)
    for cluster in clusters:
        eventually(lambda: baselines(cluster) == whole, timeout=90, what=f"the baselines in {cluster.name}")
    one, two, three = clusters
    shop = eventually(lambda: (s := one.get("/api/v1/namespaces/shop-0")) and APPLIED in s["metadata"].get("annotations", {}) and s)
    assert shop["metadata"]["annotations"][APPLIED].startswith("restricted@")
    policy = one.get("/apis/networking.k8s.io/v1/namespaces/shop-0/networkpolicies/baseline")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"] and not policy["spec"].get("ingress")
    assert one.manager_of("/apis/networking.k8s.io/v1/namespaces/shop-0/networkpolicies/baseline") in ("gulfstream-namespace-baseline", None)
    assert baselines(one).get("default") is None, "what has no label has no baseline"
    eventually(lambda: "BaselineApplied" in reasons(one, "shop-0"), what="the event on the Namespace")

    # Drift: a child deleted, one edited, a rule added to a default deny.
    one.request("DELETE", "/api/v1/namespaces/shop-1/limitranges/baseline")
    two.request("PATCH", "/api/v1/namespaces/shop-2/resourcequotas/baseline", {"spec": {"hard": {"pods": "999"}}}, content_type=MERGE)
    three.request("PATCH", "/apis/networking.k8s.io/v1/namespaces/shop-3/networkpolicies/baseline", {"spec": {"ingress": [{}]}}, content_type=MERGE)
    eventually(lambda: one.get("/api/v1/namespaces/shop-1/limitranges/baseline"), what="the deleted child")
    eventually(lambda: quota_pods(two)["shop-2"] == "20", what="the edited child")
    eventually(lambda: not three.get("/apis/networking.k8s.io/v1/namespaces/shop-3/networkpolicies/baseline")["spec"].get("ingress"),
               what="the opened default deny")

    # A profile changes: every Namespace that has it follows. One that moves to another profile loses what that does not have.
    profiles[0]["data"]["resourceQuota.yaml"] = 'spec: {hard: {pods: "30"}}'
    profiles[0]["data"]["roleBinding.yaml"] = profiles[1]["data"]["roleBinding.yaml"]
    hub.kubectl("apply", "-n", "gulfstream", "-f", "-", stdin=yaml.safe_dump_all(profiles))
    for cluster in clusters:
        eventually(lambda: quota_pods(cluster) == dict.fromkeys(names, "30"), timeout=60, what=f"the changed profile in {cluster.name}")
        eventually(lambda: {b["roleRef"]["name"] for b in listed(cluster, BASELINE[3]) if b["metadata"]["name"] == "baseline"} == {"edit"},
                   timeout=60, what=f"the changed role in {cluster.name}")
    one.request("PATCH", "/api/v1/namespaces/shop-4", {"metadata": {"labels": {LABEL: "open"}}}, content_type=MERGE)
    eventually(lambda: baselines(one)["shop-4"] == 2, what="the other profile")

    # Labels removed, also while the plane is down; Namespaces deleted.
    assert plane.stop() == 0
    everywhere(clusters, lambda cluster, name: cluster.request(
        "PATCH", f"/api/v1/namespaces/{name}", {"metadata": {"labels": {LABEL: None}}}, content_type=MERGE), names[10:60])
    plane.start().wait_ready()
    everywhere(clusters, lambda cluster, name: cluster.request(
        "PATCH", f"/api/v1/namespaces/{name}", {"metadata": {"labels": {LABEL: None}}}, content_type=MERGE), names[60:])
    for cluster in clusters:
        eventually(lambda: set(baselines(cluster)) == set(names[:10]), timeout=60, what=f"baselines removed in {cluster.name}")
        eventually(lambda: APPLIED not in cluster.get("/api/v1/namespaces/shop-150")["metadata"].get("annotations", {}))
        cluster.start_controller_manager("namespace-controller")
    everywhere(clusters, lambda cluster, name: cluster.request("DELETE", f"/api/v1/namespaces/{name}"), names)
    for cluster in clusters:
        eventually(lambda: baselines(cluster) == {}, timeout=60, what=f"the last baselines' end in {cluster.name}")
        eventually(lambda: not [n for n in listed(cluster, "/api/v1/namespaces") if n["metadata"]["name"] in names], timeout=120,
                   what=f"the end of the Namespaces in {cluster.name}")
        cluster.controller_manager.kill()
    assert plane.metric('gulfstream_calls_total{result="refused"}') == 0
    assert "Traceback" not in baseline.process.output()
    # An orderly end: the plane ends the drained stream, nobody waits for a limit.
    assert baseline.process.stop(timeout=10) == 0


WEBSITES = "/apis/samples.gulfstream.dev/v1alpha1/namespaces/default/websites"
CHILDREN = ("/apis/apps/v1/namespaces/default/deployments", "/api/v1/namespaces/default/services",
            "/apis/networking.k8s.io/v1/namespaces/default/ingresses")


@pytest.fixture
def website(run_dir):
    made = samples.website(run_dir).start()
    yield made
    made.process.kill()


def site(name, replicas=1):
    return {"apiVersion": "samples.gulfstream.dev/v1alpha1", "kind": "Website", "metadata": {"name": name},
            "spec": {"image": "nginx", "replicas": replicas, "host": f"{name}.example.com"}}


def children(cluster, path):
    """{name: owner's uid}"""
    items = listed(cluster, path, "&labelSelector=app.kubernetes.io/name=website")
    return {item["metadata"]["name"]: item["metadata"]["ownerReferences"][0]["uid"] for item in items}


def ready(cluster, name):
    status = cluster.get(f"{WEBSITES}/{name}").get("status", {})
    return {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions", [])}.get("Ready")


def test_every_website_in_three_clusters_has_its_children(hub, clusters, plane, website):
    names = [f"site-{i}" for i in range(COUNT)]
    for cluster in clusters:
        cluster.apply(*samples.manifests("website", "crd.yaml"))
        cluster.kubectl("wait", "--for=condition=Established", "crd/websites.samples.gulfstream.dev", "--timeout=30s")
    start(hub, clusters, plane, website, "website")
    everywhere(clusters, lambda cluster, name: cluster.request("POST", WEBSITES, site(name)), names)
    for cluster in clusters:
        uids = {s["metadata"]["name"]: s["metadata"]["uid"] for s in listed(cluster, WEBSITES)}
        assert len(uids) == COUNT
        for path in CHILDREN:
            eventually(lambda: children(cluster, path) == uids, timeout=90, what=f"{path} in {cluster.name}")
        eventually(lambda: all(s.get("status", {}).get("url") == f"http://{s['metadata']['name']}.example.com/" for s in listed(cluster, WEBSITES)),
                   timeout=60, what=f"status in {cluster.name}")
    one, two, three = clusters

    # The deployment's own controller is not here; the test speaks for it.
    assert ready(one, "site-0") == ("False", "WaitingForReplicas")
    one.request("PATCH", f"{CHILDREN[0]}/site-0/status", {"status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "availableReplicas": 1}}, content_type=MERGE)
    eventually(lambda: ready(one, "site-0") == ("True", "Available"), what="readiness after the Deployment's")
    eventually(lambda: "Published" in reasons(one, "site-0"), what="the event on the Website")

    # Drift and change.
    one.request("DELETE", f"{CHILDREN[1]}/site-1")
    two.request("PATCH", f"{CHILDREN[0]}/site-2", {"spec": {"replicas": 9}}, content_type=MERGE)
    three.request("PATCH", f"{WEBSITES}/site-3", {"spec": {"host": "other.example.com"}}, content_type=MERGE)
    eventually(lambda: one.get(f"{CHILDREN[1]}/site-1"), what="the deleted Service")
    eventually(lambda: two.get(f"{CHILDREN[0]}/site-2")["spec"]["replicas"] == 1, what="the edited Deployment")
    eventually(lambda: three.get(f"{CHILDREN[2]}/site-3")["spec"]["rules"][0]["host"] == "other.example.com", what="the changed Website's Ingress")
    eventually(lambda: three.get(f"{WEBSITES}/site-3")["status"]["url"] == "http://other.example.com/", what="the changed status")

    # A name that somebody else has.
    two.request("POST", CHILDREN[1], {"metadata": {"name": "taken"}, "spec": {"ports": [{"port": 1}]}})
    two.request("POST", WEBSITES, site("taken"))
    eventually(lambda: ready(two, "taken") == ("False", "NameTaken"), what="the refusal to take over")
    two.request("DELETE", f"{WEBSITES}/taken")
    eventually(lambda: two.get(f"{WEBSITES}/taken") is None, what="the refused Website's end")
    assert two.get(f"{CHILDREN[1]}/taken")["spec"]["ports"][0]["port"] == 1

    # Deleted primaries: the finalizer takes every site off line. No garbage collector runs here.
    everywhere(clusters, lambda cluster, name: cluster.request("DELETE", f"{WEBSITES}/{name}"), names)
    for cluster in clusters:
        eventually(lambda: not listed(cluster, WEBSITES), timeout=90, what=f"the Websites' end in {cluster.name}")
        assert [children(cluster, path) for path in CHILDREN] == [{}, {}, {}]
    assert plane.metric('gulfstream_calls_total{result="refused"}') == 0
    assert "panic" not in website.process.output()
    assert website.process.stop(timeout=10) == 0
