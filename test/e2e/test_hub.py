"""A hub and three tenants, as administrators and tenants see them with kubectl."""
import os
import signal
import subprocess
import time

import pytest
import yaml

from harness.cluster import ASSETS
from harness.delegate import Delegate, pb
from harness.hub import DEPLOY, kubeconfig_text
from harness.plane import Plane
from harness.process import eventually
from test_walking_skeleton import make_child, primary, secret_path


@pytest.fixture
def delegate():
    made = Delegate(make_child)
    yield made
    made.stop()


@pytest.fixture
def tenants(hub, request):
    """Two tenants of this test, blue with two clusters and green with one; what the test made is removed."""
    name = request.node.name.replace("_", "-").lower()[:40].strip("-")
    blue, green = f"blue-{name}", f"green-{name}"
    hub.add_tenant(blue, {"tier": "gold", "test": name})
    hub.add_tenant(green, {"tier": "free", "test": name})
    yield blue, green
    hub.kubectl("delete", "gsc", "--all", "--wait=false")
    for namespace in (blue, green):
        hub.kubectl("delete", "gscl,secrets", "--all", "-n", namespace, "--wait=false")


@pytest.fixture
def plane(hub, run_dir):
    made = hub.plane(run_dir)
    yield made
    # Asked to stop, so that the next plane finds the lease free.
    made.stop()


def controller(delegate, name, test=None, selector=None, **spec):
    manifest = {
        "apiVersion": "gulfstream.dev/v1alpha1", "kind": "Controller", "metadata": {"name": name},
        "spec": {"primary": {"version": "v1", "resource": "configmaps", "match": [{"fieldPath": "metadata.labels.test", "value": test or name}]},
                 "secondary": [{"version": "v1", "resource": "secrets"}], "delegate": delegate.url, **spec}}
    if selector is not None:
        manifest["spec"]["clusterSelector"] = selector
    return manifest


def row(hub, *what):
    """The columns of the one object that kubectl get shows, by their titles."""
    title, line = hub.kubectl("get", *what).splitlines()
    starts = [i for i, c in enumerate(title) if c != " " and (i == 0 or title[i - 2:i] == "  ")]
    return {title[a:b].strip(): line[a:b].strip() for a, b in zip(starts, starts[1:] + [None])}


def counts(hub, name):
    got = hub.controller_status(name).get("clusters", {})
    return tuple(got.get(k) for k in ("desired", "synced", "ready", "failing"))


def test_a_controller_is_added_edited_and_removed_live(hub, clusters, tenants, plane, delegate):
    blue, green = tenants
    for cluster in clusters[:2]:
        hub.add_cluster(blue, cluster)
    hub.add_cluster(green, clusters[2])
    plane.start().wait_ready()
    for cluster in clusters:
        cluster.apply(primary("one", "hub-live", a="1"), primary("two", "hub-other", a="2"))
    hub.apply(controller(delegate, "hub-live", selector={"namespaces": [blue]}))
    for cluster in clusters[:2]:
        eventually(lambda: cluster.get(secret_path("one")), what=f"the child in {cluster.name}")
    eventually(lambda: counts(hub, "hub-live") == (2, 2, 2, 0), what="the counts")
    assert clusters[2].get(secret_path("one")) is None
    shown = eventually(lambda: (r := row(hub, "gsc", "hub-live"))["READY"] == "True" and r)
    assert (shown["REASON"], shown["CLUSTERS"], shown["OK"], shown["FAILING"]) == ("Ready", "2", "2", "0")
    # Another selector, and another match: the third cluster is taken in, and the other primary.
    hub.apply(controller(delegate, "hub-live", test="hub-other", selector={"namespaceSelector": {"matchLabels": {"test": hub.get(f"/api/v1/namespaces/{blue}")["metadata"]["labels"]["test"]}}}))
    for cluster in clusters:
        eventually(lambda: cluster.get(secret_path("two")), what=f"the other child in {cluster.name}")
    status = eventually(lambda: counts(hub, "hub-live") == (3, 3, 3, 0) and hub.controller_status("hub-live"))
    assert status["observedGeneration"] == 2
    # A new secondary: what was not watched before is mended now.
    edited = controller(delegate, "hub-live", test="hub-other", selector={"namespaces": [blue]},
                        secondary=[{"version": "v1", "resource": "secrets"}, {"version": "v1", "resource": "serviceaccounts"}])
    hub.apply(edited)
    eventually(lambda: hub.controller_status("hub-live").get("observedGeneration") == 3 and counts(hub, "hub-live") == (2, 2, 2, 0), what="the edited Controller")
    assert plane.metric("gulfstream_informers") >= 6
    hub.kubectl("delete", "gsc", "hub-live")
    eventually(lambda: "Controller hub-live" not in plane.http("/statusz"), what="the end of the Controller")
    seen = delegate.count()
    clusters[0].apply(primary("two", "hub-other", a="3"))
    time.sleep(1)
    assert delegate.count() == seen


def test_a_cluster_is_added_paused_rotated_and_removed_live(hub, clusters, tenants, plane, delegate):
    blue, green = tenants
    hub.apply(controller(delegate, "hub-clusters", selector={"namespaces": [blue, green]}))
    plane.start().wait_ready()
    assert row(hub, "gsc", "hub-clusters")["CLUSTERS"] in ("", "0")
    hub.add_cluster(blue, clusters[0])
    clusters[0].apply(primary("c", "hub-clusters", a="1"))
    eventually(lambda: clusters[0].get(secret_path("c")), what="the child in the new cluster")
    status = eventually(lambda: (s := hub.cluster_status(blue, "tenant0"))["conditions"].get("Ready", {}).get("status") == "True" and s)
    kube_system = clusters[0].get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    assert status["kubernetesVersion"] == "v1.36.3" and status["id"] == kube_system and status["lastSeen"].endswith("Z")
    assert {t: c["status"] for t, c in status["conditions"].items()} == {"Ready": "True", "KubeconfigAccepted": "True", "Connected": "True"}
    shown = row(hub, "gscl", "tenant0", "-n", blue)
    assert (shown["READY"], shown["REASON"], shown["VERSION"]) == ("True", "Ready", "v1.36.3")
    # Another tenant's cluster comes, and the first one is paused: the other goes on.
    hub.add_cluster(green, clusters[1])
    clusters[1].apply(primary("c", "hub-clusters", a="1"))
    eventually(lambda: clusters[1].get(secret_path("c")), what="the other tenant's child")
    hub.kubectl("patch", "gscl", "tenant0", "-n", blue, "--type=merge", "-p", '{"spec":{"paused":true}}')
    eventually(lambda: row(hub, "gscl", "tenant0", "-n", blue)["REASON"] == "Paused", what="the reason Paused")
    paused = hub.cluster_status(blue, "tenant0")
    assert paused["conditions"]["Connected"]["status"] == "Unknown" and paused["id"] == kube_system
    clusters[0].kubectl("delete", "secret", "child-c", "-n", "default")
    clusters[1].kubectl("delete", "secret", "child-c", "-n", "default")
    eventually(lambda: clusters[1].get(secret_path("c")), what="the other tenant's child mended")
    assert clusters[0].get(secret_path("c")) is None
    hub.kubectl("patch", "gscl", "tenant0", "-n", blue, "--type=merge", "-p", '{"spec":{"paused":false}}')
    eventually(lambda: clusters[0].get(secret_path("c")), what="the child after the pause")
    # A Secret that breaks takes its own cluster only, says why, and heals with the next one.
    eventually(lambda: hub.cluster_status(blue, "tenant0")["conditions"]["Ready"]["status"] == "True", what="Ready after the pause")
    before = plane.log().count("cluster is reachable")
    hub.add_cluster(blue, clusters[0], kubeconfig="apiVersion: v1\nkind: Config\n")
    refused = eventually(lambda: (c := hub.cluster_status(blue, "tenant0")["conditions"])["Ready"]["reason"] == "KubeconfigRefused" and c)
    assert refused["KubeconfigAccepted"]["status"] == "False" and 'Secret "tenant0-kubeconfig"' in refused["Ready"]["message"]
    hub.add_cluster(blue, clusters[0])
    eventually(lambda: hub.cluster_status(blue, "tenant0")["conditions"]["Ready"]["status"] == "True", what="the healed cluster")
    assert plane.log().count("cluster is reachable") == before + 1, "the other cluster was not touched"
    hub.kubectl("delete", "gscl", "tenant1", "-n", green)
    eventually(lambda: counts(hub, "hub-clusters") == (1, 1, 1, 0), what="the removed cluster")
    assert f"Cluster {green}/tenant1" not in plane.http("/statusz")


def test_a_secret_that_comes_later_and_a_crd_that_comes_later(hub, clusters, tenants, plane, delegate):
    blue, _ = tenants
    hub.apply(controller(delegate, "hub-later", selector={"namespaces": [blue]},
                         primary={"group": "hub.gulfstream.dev", "version": "v1", "resource": "gadgets"}))
    hub.apply({"apiVersion": "gulfstream.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "tenant0", "namespace": blue},
               "spec": {"connection": {"kubeconfig": {"secretRef": {"name": "tenant0-kubeconfig"}}}}})
    plane.start()
    missing = eventually(lambda: (c := hub.cluster_status(blue, "tenant0")["conditions"]).get("KubeconfigAccepted", {}).get("reason") == "SecretMissing" and c)
    assert missing["Ready"]["message"] == f'spec.connection.kubeconfig.secretRef.name: Secret "tenant0-kubeconfig" is not in namespace "{blue}"'
    assert counts(hub, "hub-later")[0] == 1 or eventually(lambda: counts(hub, "hub-later")[0] == 1)
    hub.add_cluster(blue, clusters[0])
    parked = eventually(lambda: (c := hub.controller_status("hub-later")["conditions"]).get("ClustersSynced", {}).get("reason") == "ResourceMissing" and c)
    assert parked["Ready"]["status"] == "False" and "gadgets.v1.hub.gulfstream.dev" in parked["Ready"]["message"]
    since = parked["Ready"]["lastTransitionTime"]
    clusters[0].apply({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "gadgets.hub.gulfstream.dev"},
        "spec": {"group": "hub.gulfstream.dev", "scope": "Namespaced", "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}})
    healed = eventually(lambda: (c := hub.controller_status("hub-later")["conditions"])["Ready"]["status"] == "True" and c, timeout=90)
    assert healed["Ready"]["lastTransitionTime"] > since and healed["Valid"]["lastTransitionTime"] <= since


def test_a_tenants_kubeconfig_is_untrusted(hub, clusters, tenants, plane):
    blue, _ = tenants
    bad = {
        "exec": ({"user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": ["/tmp/never"]}}}, "users[0].user.exec"),
        "provider": ({"user": {"auth-provider": {"name": "gcp"}}}, "users[0].user.auth-provider"),
        "token-file": ({"user": {"tokenFile": "/etc/passwd"}}, "users[0].user.tokenFile"),
        "certificate": ({"user": {"client-certificate": "/etc/passwd"}}, "users[0].user.client-certificate"),
        "key": ({"user": {"client-key": "/etc/passwd"}}, "users[0].user.client-key"),
        "authority": ({"cluster": {"certificate-authority": "/etc/passwd"}}, "clusters[0].cluster.certificate-authority"),
        "unverified": ({"cluster": {"insecure-skip-tls-verify": True, "certificate-authority-data": None}}, "clusters[0].cluster.insecure-skip-tls-verify"),
        "proxy": ({"cluster": {"proxy-url": "http://127.0.0.1:1"}}, "clusters[0].cluster.proxy-url"),
    }
    for name, (changes, _) in bad.items():
        hub.add_cluster(blue, clusters[0], name=name, kubeconfig=kubeconfig_text(clusters[0], **changes))
    # The same server, where loopback is not lifted.
    plane.source.remove("--cluster-deny-cidrs=")
    hub.add_cluster(blue, clusters[0], name="inside")
    plane.start().wait_ready()
    for name, (_, path) in bad.items():
        ready = eventually(lambda: (c := hub.cluster_status(blue, name)["conditions"]) and c["Ready"], what=name)
        assert (ready["status"], ready["reason"]) == ("False", "KubeconfigRefused") and path in ready["message"], ready
    inside = eventually(lambda: (c := hub.cluster_status(blue, "inside")["conditions"]).get("Connected", {}).get("status") == "False" and c)
    assert "127.0.0.1" in inside["Ready"]["message"], inside
    plane.stop()
    # Only the hub's own address is denied now, which here is every cluster's.
    plane.source += ["--cluster-allow-insecure-skip-tls-verify", "--cluster-deny-cidrs=hub"]
    plane.start()
    accepted = eventually(lambda: (c := hub.cluster_status(blue, "unverified")["conditions"])["KubeconfigAccepted"]["status"] == "True" and c.get("Connected", {}).get("status") == "False" and c)
    assert "127.0.0.1/32" in accepted["Ready"]["message"], accepted
    assert hub.cluster_status(blue, "proxy")["conditions"]["KubeconfigAccepted"]["status"] == "False"


def test_a_tenants_label_does_not_cross_its_namespace(hub, clusters, tenants, plane, delegate):
    blue, green = tenants
    # Both say that they are prod; only one tenant is gold, and that label the tenant cannot write.
    hub.add_cluster(blue, clusters[0], labels={"env": "prod"})
    hub.add_cluster(blue, clusters[1], labels={"env": "test"})
    hub.add_cluster(green, clusters[2], labels={"env": "prod", "tier": "gold"})
    gold = {"matchLabels": {"tier": "gold", "test": hub.get(f"/api/v1/namespaces/{blue}")["metadata"]["labels"]["test"]}}
    prod = {"matchLabels": {"env": "prod"}}
    hub.apply(controller(delegate, "hub-gold", selector={"namespaceSelector": gold, "labels": prod}),
              controller(delegate, "hub-labels-only", selector={"labels": prod}), controller(delegate, "hub-absent"))
    plane.start().wait_ready()
    for cluster in clusters:
        cluster.apply(primary("gold", "hub-gold"), primary("labels", "hub-labels-only"), primary("absent", "hub-absent"))
    eventually(lambda: clusters[0].get(secret_path("gold")), what="the child where both parts hold")
    for name in ("hub-labels-only", "hub-absent"):
        ready = eventually(lambda: hub.controller_status(name)["conditions"].get("Ready"), what=name)
        assert ready["reason"] == "NothingSelected" and "spec.clusterSelector" in ready["message"]
        assert counts(hub, name) == (0, 0, 0, 0)
    assert counts(hub, "hub-gold") == (1, 1, 1, 0)
    time.sleep(1)
    assert {(r.cluster, r.name) for r in delegate.seen} == {("tenant0", "gold")}
    # The administrator makes the other tenant gold, and it is taken in without a restart.
    hub.kubectl("label", "namespace", green, "tier=gold", "--overwrite")
    eventually(lambda: clusters[2].get(secret_path("gold")), what="the child of the tenant that became gold")


def test_roles_are_what_they_say(hub, clusters, tenants, run_dir):
    blue, green = tenants
    hub.kubectl("create", "rolebinding", "tenant", "-n", blue, "--clusterrole=gulfstream-tenant", "--user=limited")
    tenant = hub.kubeconfig("kubeconfig-limited", user={"token": "limited-token"})

    def as_tenant(*args, stdin=None):
        done = subprocess.run([f"{ASSETS}/kubectl", "--kubeconfig", tenant, *args], input=stdin, capture_output=True, text=True, timeout=60)
        return done.returncode == 0, done.stdout + done.stderr

    own = yaml.safe_dump({"apiVersion": "gulfstream.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "mine", "namespace": blue},
                          "spec": {"connection": {"kubeconfig": {"secretRef": {"name": "s"}}}}})
    assert as_tenant("apply", "-f", "-", stdin=own)[0]
    assert as_tenant("create", "secret", "generic", "s", "-n", blue, "--from-literal=kubeconfig=x")[0]
    assert as_tenant("get", "gscl", "-n", blue)[0]
    refused = [
        as_tenant("apply", "-f", "-", stdin=own.replace(blue, green)),
        as_tenant("get", "secrets", "-n", green), as_tenant("get", "gsc"), as_tenant("label", "namespace", blue, "tier=platinum", "--overwrite"),
        as_tenant("patch", "gscl", "mine", "-n", blue, "--subresource=status", "--type=merge", "-p", '{"status":{"id":"x"}}'),
        as_tenant("create", "-f", "-", stdin=yaml.safe_dump({"apiVersion": "gulfstream.dev/v1alpha1", "kind": "Controller", "metadata": {"name": "evil"}, "spec": {
            "primary": {"version": "v1", "resource": "secrets"}, "delegate": "https://evil.example"}}))]
    assert all(not done and "forbidden" in said.lower() for done, said in refused), refused
    # The plane with exactly the rights of deploy/hub/plane.yaml.
    token = hub.request("POST", "/api/v1/namespaces/gulfstream/serviceaccounts/plane/token",
                        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})["status"]["token"]
    plane = hub.plane(run_dir)
    plane.source[1] = hub.kubeconfig("kubeconfig-plane", user={"token": token})
    try:
        plane.start("--leader-elect-resource-name=roles").wait_ready()
        hub.add_cluster(blue, clusters[0])
        eventually(lambda: hub.cluster_status(blue, "tenant0")["conditions"].get("Ready", {}).get("status") == "True", what="the status")
        eventually(lambda: hub.cluster_status(blue, "mine")["conditions"].get("Ready", {}).get("reason") == "KubeconfigRefused", what="the tenant's own Cluster")
        assert "forbidden" not in plane.log()
    finally:
        plane.stop()


def test_failing_keys_and_bad_controllers_are_counted_and_said(hub, clusters, tenants, plane):
    blue, _ = tenants
    bad = Delegate(lambda r: {"permanent": pb.Failure(reason="Broken", message="never")})
    try:
        hub.add_cluster(blue, clusters[0])
        clusters[0].apply(primary("f", "hub-failing"))
        hub.apply(controller(bad, "hub-failing", selector={"namespaces": [blue]}))
        # The schema cannot see this one: a namespace is required where the source is not the hub.
        hub.apply(controller(bad, "hub-invalid", selector={"namespaces": [blue]}, configs=[{"name": "x"}]))
        plane.start().wait_ready()
        eventually(lambda: counts(hub, "hub-failing") == (1, 1, 1, 1), what="the failing count")
        ready = eventually(lambda: hub.controller_status("hub-invalid")["conditions"].get("Ready"))
        assert (ready["status"], ready["reason"], ready["message"]) == ("False", "Invalid", "spec.configs[0].namespace: is required")
        # Nothing is written while nothing changes.
        time.sleep(2)
        before = hub.get("/apis/gulfstream.dev/v1alpha1/controllers/hub-failing")["metadata"]["resourceVersion"]
        time.sleep(3)
        assert hub.get("/apis/gulfstream.dev/v1alpha1/controllers/hub-failing")["metadata"]["resourceVersion"] == before
    finally:
        bad.stop()


def test_hub_configs_come_from_the_planes_namespace(hub, clusters, tenants, plane):
    blue, _ = tenants
    seen = []
    reader = Delegate(lambda r: seen.append((r.config("hub-settings") or {}).get("data")))
    try:
        hub.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hub-settings", "namespace": "default"}, "data": {"v": "of another namespace"}})
        hub.apply(controller(reader, "hub-configs", selector={"namespaces": [blue]}, configs=[{"name": "hub-settings", "source": "Hub", "onChanged": "Resync"}]))
        hub.add_cluster(blue, clusters[0])
        clusters[0].apply(primary("configured", "hub-configs"))
        plane.start().wait_ready()
        eventually(lambda: None in seen, what="the absent config")
        hub.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hub-settings", "namespace": "gulfstream"}, "data": {"v": "1"}})
        eventually(lambda: {"v": "1"} in seen, what="the config")
        assert seen == [None, {"v": "1"}]
    finally:
        reader.stop()
        hub.kubectl("delete", "configmap", "hub-settings", "-n", "gulfstream", "--ignore-not-found")


def test_one_plane_leads_and_another_takes_over(hub, clusters, tenants, run_dir, delegate):
    blue, _ = tenants
    lease = "/apis/coordination.k8s.io/v1/namespaces/gulfstream/leases/hub-leaders"
    flags = ["--leader-elect-resource-name=hub-leaders", "--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=500ms"]
    hub.add_cluster(blue, clusters[0])
    hub.apply(controller(delegate, "hub-leaders", selector={"namespaces": [blue]}))
    planes = [hub.plane(f"{run_dir}/{i}", *flags) for i in range(3)]

    def leads(plane):
        return plane.metric('leader_election_master_status{name="hub-leaders"}') == 1

    def make(name):
        clusters[0].apply(primary(name, "hub-leaders", a="1"))
        eventually(lambda: clusters[0].get(secret_path(name)), what=f"the child {name}")

    try:
        first = planes[0].start()
        first.wait_ready()
        eventually(lambda: leads(first), what="the first leader")
        second = planes[1].start()
        second.wait_ready()  # a standby is ready
        make("l1")
        assert not leads(second) and second.metric("gulfstream_clusters") == 0
        holder = hub.get(lease)["spec"]["holderIdentity"]
        # Killed: the other waits for the lease to run out, and then works.
        killed = time.monotonic()
        first.kill()
        clusters[0].apply(primary("l2", "hub-leaders", a="1"))
        eventually(lambda: clusters[0].get(secret_path("l2")), what="the child made by the second")
        assert 3 < time.monotonic() - killed < 10
        now = hub.get(lease)["spec"]
        assert leads(second) and now["holderIdentity"] != holder and now["leaseTransitions"] == 1
        # Asked to stop: it gives the lease back, and the third need not wait.
        third = planes[2].start()
        third.wait_ready()
        stopped = time.monotonic()
        assert second.stop() == 0
        eventually(lambda: leads(third), what="the third leader", interval=0.05)
        assert time.monotonic() - stopped < 3
        assert "gave the lease back" in second.log()
        make("l3")
        # Somebody takes the lease: it ends, so that its work does.
        hub.kubectl("patch", "lease", "hub-leaders", "-n", "gulfstream", "--type=merge", "-p", '{"spec":{"holderIdentity":"thief"}}')
        assert third.process.popen.wait(10) == 1
        assert "the lease is held by thief" in third.log()
    finally:
        for plane in planes:
            if plane.process is not None and plane.process.alive:
                plane.process.kill()


def test_a_hub_that_is_away_stops_a_leader_only_after_the_renew_deadline(hub, clusters, tenants, run_dir, delegate):
    """As a component of Kubernetes: it works on from what it knows, then ends, and whoever runs it starts it again."""
    blue, _ = tenants
    flags = ["--leader-elect-resource-name=hub-away", "--leader-elect-lease-duration=8s", "--leader-elect-renew-deadline=6s", "--leader-elect-retry-period=500ms"]
    hub.add_cluster(blue, clusters[0])
    hub.apply(controller(delegate, "hub-away", selector={"namespaces": [blue]}))
    plane = hub.plane(run_dir, *flags, f"--state={run_dir}/state.db")

    def make(name, within):
        clusters[0].apply(primary(name, "hub-away", a="1"))
        eventually(lambda: clusters[0].get(secret_path(name)), timeout=within, what=f"the child {name}")

    try:
        plane.start().wait_ready()
        make("away-1", 30)
        hub.apiserver.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            make("away-2", 3)
            assert plane.process.popen.wait(15) == 1
            assert 4 < time.monotonic() - stopped < 10
        finally:
            hub.apiserver.signal(signal.SIGCONT)
        assert "the lease was not renewed in time" in plane.log()
        clusters[0].apply(primary("away-3", "hub-away", a="1"))
        plane.start().wait_ready()
        eventually(lambda: clusters[0].get(secret_path("away-3")), what="the child that was asked for meanwhile")
        # Nobody else led: what was reconciled is known, and not reconciled again.
        assert plane.metric('gulfstream_restart_keys_total{result="unchanged"}') >= 2
    finally:
        plane.stop()


def in_pod(cluster, directory, token):
    """A command that runs a program with the files of a pod's service account, in a mount namespace of its own."""
    account = os.path.join(directory, "serviceaccount")
    os.makedirs(account)
    for name, content in (("token", token), ("ca.crt", cluster.ca().decode()), ("namespace", "gulfstream")):
        with open(os.path.join(account, name), "w") as f:
            f.write(content)
    script = ('set -e; mount -t tmpfs none /run; mkdir -p /run/secrets/kubernetes.io/serviceaccount; '
              'mount --bind "$0" /run/secrets/kubernetes.io/serviceaccount; exec "$@"')
    return ["unshare", *([] if os.geteuid() == 0 else ["-r"]), "-m", "sh", "-c", script, account]


def test_an_agent_works_with_the_rights_of_its_manifests(clusters, run_dir, delegate):
    """--in-cluster: one of the tenants as the cluster that the plane runs in."""
    cluster = clusters[1]
    cluster.kubectl("apply", "--server-side", "-f", f"{DEPLOY}/crds/controllers.yaml", "-f", f"{DEPLOY}/agent")
    cluster.start_controller_manager("clusterrole-aggregation-controller")
    plane = Plane(run_dir, ["--in-cluster"])
    try:
        cluster.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "agent-test", "labels": {"gulfstream.dev/controller": "true"}},
                       "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "patch", "update"]},
                                 {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create", "patch"]}]})
        token = cluster.request("POST", "/api/v1/namespaces/gulfstream/serviceaccounts/controller/token",
                                {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})["status"]["token"]
        plane.wrapper = in_pod(cluster, run_dir, token)
        plane.env = {**os.environ, "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(cluster.port)}
        plane.start()
        cluster.apply(controller(delegate, "agent"), primary("agent", "agent", a="1"))
        eventually(lambda: cluster.get(secret_path("agent")), what="the child", timeout=60)
        plane.wait_ready()
        status = eventually(lambda: (cluster.get("/apis/gulfstream.dev/v1alpha1/controllers/agent") or {}).get("status"))
        assert status["clusters"]["desired"] == 1
        assert cluster.get("/apis/coordination.k8s.io/v1/namespaces/gulfstream/leases/gulfstream-mcp")["spec"]["holderIdentity"]
        assert "Cluster in-cluster ready=True version=v1.36.3" in plane.http("/statusz")
        assert plane.stop() == 0
        assert cluster.get("/apis/coordination.k8s.io/v1/namespaces/gulfstream/leases/gulfstream-mcp")["spec"]["holderIdentity"] == ""
    finally:
        if plane.process is not None and plane.process.alive:
            plane.process.kill()
        cluster.controller_manager.kill()
        cluster.kubectl("delete", "crd", "controllers.gulfstream.dev", "--ignore-not-found")


def test_one_cluster_is_hub_and_tenant_at_once(clusters, run_dir, delegate, hub):
    """--kubeconfig, in a cluster where the CRDs are installed only later."""
    cluster = clusters[2]
    cluster.kubectl("delete", "crd", "controllers.gulfstream.dev", "--ignore-not-found")
    plane = Plane(run_dir, ["--kubeconfig", cluster.kubeconfig()])
    try:
        plane.start()
        eventually(lambda: "controllers.gulfstream.dev is not installed in this cluster" in plane.log(), what="what is missing")
        done = subprocess.run(["curl", "-s", f"http://127.0.0.1:{plane.metrics_port}/readyz"], capture_output=True, text=True)
        assert "kubectl apply --server-side -f deploy/crds" in done.stdout
        cluster.kubectl("apply", "--server-side", "-f", f"{DEPLOY}/crds/controllers.yaml")
        cluster.kubectl("wait", "--for=condition=Established", "crd/controllers.gulfstream.dev", "--timeout=30s")
        cluster.apply(controller(delegate, "self", secondary=[{"version": "v1", "resource": "secrets"}], configs=[{"name": "own", "source": "Hub"}]))
        cluster.apply(primary("self", "self", a="1"))
        eventually(lambda: cluster.get(secret_path("self")), what="the child")
        plane.wait_ready()
        got = eventually(lambda: (cluster.get("/apis/gulfstream.dev/v1alpha1/controllers/self") or {}).get("status"))
        assert got["clusters"]["desired"] == 1
        assert "Cluster local ready=True version=v1.36.3" in plane.http("/statusz")
        assert plane.stop() == 0
    finally:
        if plane.process.alive:
            plane.process.kill()
        cluster.kubectl("delete", "crd", "controllers.gulfstream.dev", "--ignore-not-found")
