"""Webhooks on real API servers: configured, served, kept, rotated and given back."""
import base64
import http.client
import json
import os
import ssl
import threading
import time
import urllib.error

import pytest

from harness.authority import Authority
from harness.cluster import Cluster
from harness.hooks import (CONFIGURATIONS, ReviewServer, client_config, config_map, configuration, create, own_address, patch_of, status,
                           webhook)
from harness.process import eventually, free_port


def decide(review, headers):
    data = review["request"]["object"].get("data", {})
    if data.get("verdict") == "no":
        return {"allowed": False, "status": {"code": 403, "message": f"the delegate says no in {headers.get('Gulfstream-Cluster')}"}}
    return {"allowed": True}


@pytest.fixture
def server():
    made = ReviewServer(decide)
    yield made
    made.stop()


@pytest.fixture
def name(request):
    return request.node.name.replace("test_", "").replace("_", "-")[:40].strip("-")


@pytest.fixture
def tenant(hub, name):
    namespace = f"tenant-{name}"
    hub.add_tenant(namespace)
    yield namespace
    hub.kubectl("delete", "gscl,secrets", "--all", "-n", namespace, "--wait=false")


@pytest.fixture
def clean(hub, clusters, name):
    """Nothing that a test leaves behind stops another's objects."""
    yield
    for found in hub.get("/apis/gulfstream.dev/v1alpha1/webhooks")["items"]:
        path = f"/apis/gulfstream.dev/v1alpha1/webhooks/{found['metadata']['name']}"
        try:
            hub.request("PATCH", path, {"metadata": {"finalizers": None}}, content_type="application/merge-patch+json")
            hub.request("DELETE", path)
        except urllib.error.HTTPError:
            pass
    for cluster in clusters:
        for plural in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
            if cluster.get(f"{CONFIGURATIONS}/{plural}/{name}"):
                cluster.request("DELETE", f"{CONFIGURATIONS}/{plural}/{name}")
        cluster.request("DELETE", f"/api/v1/namespaces/default/configmaps?labelSelector=hook%3D{name}")


class Planes:
    def __init__(self, hub, directory):
        self.hub, self.dir, self.all = hub, directory, []
        self.address = own_address()
        self.port = free_port()

    def start(self, *flags, listen=None, lead=True):
        plane = self.hub.plane(self.dir, "--webhook-url", f"https://{self.address}:{self.port}", "--listen", f"{self.address}:{listen or self.port}",
                               "--leader-elect-lease-duration=5s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=500ms", *flags)
        plane.starts = len(self.all)
        self.all.append(plane)
        plane.start()
        return plane


@pytest.fixture
def planes(hub, run_dir, clean):
    made = Planes(hub, run_dir)
    yield made
    for plane in made.all:
        plane.stop()


def ready(hub, name, clusters=()):
    """The Webhook says so, and API servers have seen what was written (with `clusters`: it is one that can refuse)."""
    found = eventually(lambda: (s := status(hub, name))[0] == "True" and s, timeout=30, what=f"Webhook {name} is ready; {status(hub, name)}")
    for cluster in clusters:
        eventually(lambda: "the delegate says no" in create(cluster, config_map(f"{name}-probe", name, verdict="no"))[1], timeout=30, what=f"{cluster.name} asks")
    return found


def test_a_webhook_is_configured_in_three_clusters_and_decides(hub, clusters, tenant, planes, server, name):
    for cluster in clusters:
        hub.add_cluster(tenant, cluster)
        cluster.apply(configuration(name))
    hub.apply(webhook(name, server.url + "/validate", namespaces=[tenant], protocol="Review"))
    plane = planes.start()
    plane.wait_ready()
    ready(hub, name, clusters)
    shown = hub.kubectl("get", "gsw", name, "--no-headers").split()
    assert shown[:5] == [name, "True", "Ready", "3", "3"], shown
    urls = {client_config(c, name)["url"] for c in clusters}
    assert len(urls) == 3, "each cluster has a prefix of its own"
    assert all(u.startswith(f"https://{planes.address}:{planes.port}/") and u.endswith(f"/admissionwebhooks/{name}") for u in urls), urls
    for cluster in clusters:
        assert create(cluster, config_map(f"{name}-good", name, verdict="yes"))[0] == 0
        code, said = create(cluster, config_map(f"{name}-bad", name, verdict="no"))
        assert code != 0 and f"the delegate says no in {cluster.name}" in said, said
    review, headers, path = server.seen[0]
    assert path.startswith("/validate?timeout=") and headers["Gulfstream-Tenant"] == tenant and headers["Gulfstream-Webhook"] == name


def test_a_patch_of_the_delegate_is_applied(hub, clusters, tenant, planes, name):
    server = ReviewServer(lambda review, headers: patch_of({"op": "add", "path": "/data/added", "value": "by-delegate"}))
    hub.add_cluster(tenant, clusters[0])
    clusters[0].apply(configuration(name, kind="Mutating"))
    hub.apply(webhook(name, server.url, kind="MutatingWebhookConfiguration", namespaces=[tenant], protocol="Review"))
    planes.start()
    ready(hub, name)
    eventually(lambda: create(clusters[0], config_map(f"{name}-one", name, a="b"))[0] == 0, timeout=30)
    assert clusters[0].get(f"/api/v1/namespaces/default/configmaps/{name}-one")["data"] == {"a": "b", "added": "by-delegate"}
    server.stop()


def test_a_dead_delegate_is_answered_for_by_the_webhooks_choice(hub, clusters, tenant, planes, server, name):
    hub.add_cluster(tenant, clusters[0])
    clusters[0].apply(configuration(name))
    manifest = webhook(name, server.url, namespaces=[tenant], protocol="Review")
    hub.apply(manifest)
    plane = planes.start()
    ready(hub, name, clusters[:1])
    server.stop()
    code, said = create(clusters[0], config_map(f"{name}-one", name))
    assert code != 0 and name in said, said
    manifest["spec"]["onFailure"] = "AllowWithWarning"
    hub.apply(manifest)
    code, said = eventually(lambda: (r := create(clusters[0], config_map(f"{name}-{time.monotonic_ns()}", name)))[0] == 0 and r, timeout=20)
    assert "Warning" in said, said
    server.start()
    eventually(lambda: create(clusters[0], config_map(f"{name}-bad", name, verdict="no"))[1].find("the delegate says no") >= 0, timeout=20)
    assert plane.http("/metrics").count("gulfstream_webhook_") > 5


def test_drift_is_mended_reported_and_an_edit_of_rules_is_not_lost(hub, clusters, tenant, planes, server, name):
    cluster = clusters[0]
    hub.add_cluster(tenant, cluster)
    cluster.apply(configuration(name))
    hub.apply(webhook(name, server.url, namespaces=[tenant], protocol="Review"))
    plane = planes.start()
    ready(hub, name)
    ours = client_config(cluster, name)
    # The author applies the manifest again, with other rules: the endpoint is drift, the rules are not.
    again = configuration(name)
    again["webhooks"][0]["rules"][0]["operations"] = ["CREATE"]
    cluster.apply(again)
    eventually(lambda: client_config(cluster, name) == ours, timeout=15, what="the endpoint is ours again")
    entry = cluster.get(f"{CONFIGURATIONS}/validatingwebhookconfigurations/{name}")["webhooks"][0]
    assert entry["rules"][0]["operations"] == ["CREATE"] and entry["failurePolicy"] == "Fail"
    eventually(lambda: plane.metric("gulfstream_webhook_drifts_total") >= 1, timeout=15)
    events = eventually(lambda: [e for e in cluster.get("/api/v1/events")["items"] if e["reason"] == "WebhookDrift" and e["involvedObject"]["name"] == name], timeout=15)
    assert "changed back" in events[0]["message"]


def test_a_removed_webhook_gives_back_what_answers_and_asks_for_what_does_not(hub, clusters, tenant, planes, server, name):
    for cluster in clusters[:2]:
        hub.add_cluster(tenant, cluster)
    # The first cluster's former endpoint answers (it is the API server itself), the second's does not.
    former = {"url": f"https://127.0.0.1:{clusters[0].port}/x", "caBundle": base64.b64encode(clusters[0].ca()).decode()}
    clusters[0].apply(configuration(name, client_config=former))
    clusters[1].apply(configuration(name))
    hub.apply(webhook(name, server.url, namespaces=[tenant], protocol="Review"))
    planes.start()
    ready(hub, name, clusters[:2])
    hub.kubectl("delete", "gsw", name, "--wait=false")
    eventually(lambda: client_config(clusters[0], name) == former, timeout=20, what="the former endpoint is back")
    why = eventually(lambda: (s := status(hub, name))[1] == "FormerEndpointDead" and s, timeout=20, what=f"{status(hub, name)}")
    assert "gulfstream.dev/on-delete" in why[2], why
    code, said = create(clusters[1], config_map(f"{name}-bad", name, verdict="no"))
    assert code != 0 and "the delegate says no" in said, "it is served until it is given back"
    hub.kubectl("annotate", "gsw", name, "gulfstream.dev/on-delete=RemoveWebhook")
    eventually(lambda: hub.get(f"/apis/gulfstream.dev/v1alpha1/webhooks/{name}") is None, timeout=30, what="the Webhook is gone")
    assert cluster_webhooks(clusters[1], name) == []


def cluster_webhooks(cluster, name):
    return cluster.get(f"{CONFIGURATIONS}/validatingwebhookconfigurations/{name}").get("webhooks", [])


class Creating:
    """Creates ConfigMaps in a cluster without a pause, and remembers what failed."""

    def __init__(self, cluster, hook):
        self.cluster, self.hook, self.made, self.failed, self.stopping = cluster, hook, 0, [], False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            verdict = "no" if self.made % 5 == 4 else "yes"
            try:
                self.cluster.request("POST", "/api/v1/namespaces/default/configmaps", config_map(f"{self.hook}-{self.cluster.name}-{self.made}", self.hook, verdict=verdict))
                if verdict == "no":
                    self.failed.append("was not refused")
            except urllib.error.HTTPError as error:
                said = json.loads(error.read()).get("message", "")
                if verdict == "yes" or "the delegate says no" not in said:
                    self.failed.append(f"{error.code} {said}")
            self.made += 1

    def stop(self):
        self.stopping = True
        self.thread.join(timeout=30)
        return self


def test_rotations_under_load_fail_no_review(hub, clusters, tenant, planes, server, name):
    for cluster in clusters:
        hub.add_cluster(tenant, cluster)
        cluster.apply(configuration(name))
    hub.apply(webhook(name, server.url, namespaces=[tenant], protocol="Review"))
    plane = planes.start()
    ready(hub, name, clusters)
    secret = "/api/v1/namespaces/gulfstream/secrets/gulfstream-webhook"
    stored = lambda: json.loads(base64.b64decode(hub.get(secret)["data"]["webhook.json"]))  # noqa: E731
    working = [Creating(cluster, name) for cluster in clusters]
    try:
        rotate_all(hub, clusters, name, stored)
    finally:
        for work in working:
            work.stop()
    for work in working:
        assert work.made > 10
        assert work.failed == [], work.failed[:5]
    assert plane.metric("gulfstream_webhook_drifts_total") == 0


def rotate_all(hub, clusters, name, stored):
    before = stored()
    hub.kubectl("annotate", "secret", "-n", "gulfstream", "gulfstream-webhook", "gulfstream.dev/rotate=serving")
    eventually(lambda: stored()["serving"]["certificate"] != before["serving"]["certificate"], timeout=15, what="a new serving certificate")
    hub.kubectl("annotate", "secret", "-n", "gulfstream", "gulfstream-webhook", "gulfstream.dev/rotate=prefix")
    eventually(lambda: len(stored()["prefixKeys"]) == 2, timeout=15, what="a second prefix key")
    old = {c.name: client_config(c, name)["url"] for c in clusters}
    eventually(lambda: all(client_config(c, name)["url"] != old[c.name] for c in clusters), timeout=40, what="new prefixes everywhere")
    hub.kubectl("annotate", "secret", "-n", "gulfstream", "gulfstream-webhook", "gulfstream.dev/rotate=ca")
    eventually(lambda: len(stored()["authorities"]) == 2, timeout=15, what="a second authority")
    fresh = stored()["authorities"][1]["id"]
    eventually(lambda: stored()["serving"]["authority"] == fresh, timeout=60, what="the new authority signs")
    time.sleep(2)


def test_of_two_planes_one_may_die(hub, clusters, tenant, planes, server, name):
    """Both serve: the API server calls one port, and the second plane listens there when the first is gone."""
    hub.add_cluster(tenant, clusters[0])
    clusters[0].apply(configuration(name))
    hub.apply(webhook(name, server.url, namespaces=[tenant], protocol="Review"))
    first = planes.start("--loops", "2")
    ready(hub, name, clusters[:1])
    second = planes.start("--loops", "2")  # ports of two loops are shared, also with another process
    second.wait_ready()
    working = Creating(clusters[0], name)
    time.sleep(2)
    assert not working.failed, working.failed[:3]
    first.kill()
    time.sleep(1)
    lost = len(working.failed)  # connections that the first one had
    eventually(lambda: second.metric('leader_election_master_status{name="gulfstream-mcp"}') == 1, timeout=20, what="the second leads")
    time.sleep(1)
    working.stop()
    assert len(working.failed) == lost <= 1, working.failed[:5]
    assert working.made > 10
    client = client_config(clusters[0], name)
    clusters[0].request("PATCH", f"{CONFIGURATIONS}/validatingwebhookconfigurations/{name}",
                        [{"op": "replace", "path": "/webhooks/0/clientConfig/url", "value": "https://former.invalid/x"}], content_type="application/json-patch+json")
    eventually(lambda: client_config(clusters[0], name) == client, timeout=20, what="the second mends")


def test_the_only_plane_is_killed_and_its_successor_decides(hub, clusters, tenant, planes, server, name):
    for cluster in clusters:
        hub.add_cluster(tenant, cluster)
        cluster.apply(configuration(name))
    hub.apply(webhook(name, server.url, namespaces=[tenant], protocol="Review"))
    first = planes.start()
    ready(hub, name, clusters)
    before = [client_config(cluster, name) for cluster in clusters]
    first.kill()
    for cluster in clusters:
        code, said = create(cluster, config_map(f"{name}-meanwhile", name))
        assert code != 0 and "failed calling webhook" in said, said  # failurePolicy Fail is the author's
    planes.start()
    for cluster in clusters:
        eventually(lambda c=cluster: "the delegate says no" in create(c, config_map(f"{name}-bad", name, verdict="no"))[1], timeout=30, what=f"{cluster.name} asks again")
        assert create(cluster, config_map(f"{name}-good", name))[0] == 0
    assert [client_config(cluster, name) for cluster in clusters] == before, "the same certificates and paths"


def test_a_service_is_made_to_lead_to_the_plane(hub, clusters, tenant, planes, server, name):
    cluster = clusters[0]
    hub.add_cluster(tenant, cluster)
    cluster.apply(configuration(name, client_config={"service": {"namespace": "default", "name": name, "path": "/author"}}))
    hub.apply(webhook(name, server.url, namespaces=[tenant], protocol="Review"))
    planes.start()
    ready(hub, name, [cluster])
    service = cluster.get(f"/api/v1/namespaces/default/services/{name}")
    assert service["spec"]["type"] == "ExternalName" and service["spec"]["externalName"] == planes.address
    code, said = create(cluster, config_map(f"{name}-bad", name, verdict="no"))
    assert code != 0 and "the delegate says no" in said, said
    hub.kubectl("annotate", "gsw", name, "gulfstream.dev/on-delete=Restore")
    hub.kubectl("delete", "gsw", name, "--timeout=30s")
    assert client_config(cluster, name) == {"service": {"namespace": "default", "name": name, "path": "/author", "port": 443}}
    assert cluster.get(f"/api/v1/namespaces/default/services/{name}") is None


def test_a_service_may_lead_by_an_endpoint_slice(hub, tenant, planes, server, name, run_dir):
    """Where the API server looks up endpoints itself, as many managed ones do, and takes no ExternalName."""
    cluster = Cluster("slices", f"{run_dir}/slices")
    cluster.apiserver_flags = ["--enable-aggregator-routing=true"]
    cluster.start()
    try:
        hub.add_cluster(tenant, cluster)
        cluster.apply(configuration(name, client_config={"service": {"namespace": "default", "name": name}}))
        hub.apply(webhook(name, server.url, namespaces=[tenant], protocol="Review"))
        planes.start("--webhook-service", "EndpointSlice")
        ready(hub, name, [cluster])
        slices = cluster.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices")["items"]
        ours = [s for s in slices if s["metadata"]["labels"].get("kubernetes.io/service-name") == name]
        assert ours[0]["endpoints"][0]["addresses"] == [planes.address] and ours[0]["ports"][0]["port"] == planes.port
    finally:
        cluster.stop()


def test_a_crd_is_converted_and_its_watches_are_not_ended_for_nothing(hub, clusters, tenant, planes, name):
    def convert(review, headers):
        wanted = review["request"]["desiredAPIVersion"]
        converted = []
        for thing in review["request"]["objects"]:
            spec = {"size": thing["spec"]["count"]} if wanted.endswith("/v2") else {"count": thing["spec"]["size"]}
            converted.append({**thing, "apiVersion": wanted, "spec": spec})
        return {"convertedObjects": converted, "result": {"status": "Success"}}

    server = ReviewServer(convert)
    cluster, group = clusters[0], "e2e-conversion.example.com"
    field = lambda f: {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {f: {"type": "integer"}}}}}}  # noqa: E731
    crd = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.{group}"
    cluster.apply({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"things.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": field("count")}, {"name": "v2", "served": True, "storage": False, "schema": field("size")}],
                 "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://former.invalid/convert"}}}}})
    try:
        hub.add_cluster(tenant, cluster)
        hub.apply(webhook(name, server.url, kind="CustomResourceDefinition", ref={"name": f"things.{group}"}, namespaces=[tenant], protocol="Review"))
        planes.start()
        ready(hub, name)
        cluster.apply({"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "one", "namespace": "default"}, "spec": {"count": 3}})
        things = f"/apis/{group}/v2/namespaces/default/things/one"
        assert eventually(lambda: cluster.get(things), timeout=20)["spec"] == {"size": 3}
        version = cluster.get(crd)["metadata"]["resourceVersion"]
        time.sleep(3)
        assert cluster.get(crd)["metadata"]["resourceVersion"] == version, "a write to a CRD ends its watches"
    finally:
        cluster.request("DELETE", crd)
        server.stop()


def test_without_a_hub_certificates_are_kept_in_a_directory(clusters, run_dir, server, name, clean, plane):
    cluster, port = clusters[0], free_port()
    cluster.apply(configuration(name))
    plane.add_cluster(cluster)
    plane.write("webhook.yaml", webhook(name, server.url, protocol="Review"))
    flags = ["--listen", f"{own_address()}:{port}", "--webhook-url", f"https://{own_address()}:{port}", "--webhook-cert-dir", f"{run_dir}/certs"]
    plane.start(*flags)
    refused = lambda: "the delegate says no" in create(cluster, config_map(f"{name}-bad", name, verdict="no"))[1]  # noqa: E731
    eventually(refused, timeout=20, what="the delegate decides")
    before = client_config(cluster, name)
    plane.stop()
    plane.start(*flags)
    eventually(refused, timeout=20, what="it decides after a restart")
    assert client_config(cluster, name) == before, "nothing was made anew"
    with open(f"{run_dir}/certs/rotate", "w") as f:
        f.write("serving\n")
    eventually(lambda: not os.path.exists(f"{run_dir}/certs/rotate"), timeout=10, what="the request is taken")
    eventually(refused, timeout=20)
    assert plane.status(name) == {} and "Webhook " + name in plane.http("/statusz")


def test_a_webhook_is_tried_before_it_is_enforced(hub, clusters, tenant, planes, server, name):
    cluster = clusters[0]
    hub.add_cluster(tenant, cluster)
    cluster.apply(configuration(name))
    manifest = webhook(name, server.url, namespaces=[tenant], protocol="Review")
    hub.apply(manifest)
    planes.start()
    ready(hub, name, [cluster])

    def tried(enforcement):
        manifest["spec"]["enforcement"] = enforcement
        hub.apply(manifest)
        again = lambda: create(cluster, config_map(f"{name}-{time.monotonic_ns()}", name, verdict="no"))  # noqa: E731
        return eventually(lambda: (r := again())[0] == 0 and r[1], timeout=20, what=f"{enforcement} refuses nothing")

    assert "the delegate says no" in tried("Warn"), "as a warning"
    eventually(lambda: "the delegate says no" not in tried("Audit"), timeout=20, what="Audit is silent")


def test_own_certificates_are_reloaded_and_clients_must_show_theirs(hub, clusters, tenant, planes, server, name, run_dir):
    authority, clients = Authority(run_dir, "serving-ca"), Authority(run_dir, "client-ca")
    certificate, key = f"{run_dir}/tls.crt", f"{run_dir}/tls.key"
    authority.issue(certificate, key, "/CN=first", san=f"IP:{planes.address}")
    clients.issue(f"{run_dir}/client.crt", f"{run_dir}/client.key", "/CN=kube-apiserver")
    hub.add_cluster(tenant, clusters[0])
    clusters[0].apply(configuration(name))
    hub.apply(webhook(name, server.url, namespaces=[tenant], protocol="Review"))
    planes.start("--tls-cert-file", certificate, "--tls-private-key-file", key, "--webhook-ca-file", authority.pem, "--webhook-client-ca-file", clients.pem)
    ready(hub, name)
    assert base64.b64decode(client_config(clusters[0], name)["caBundle"]).decode().strip() == authority.text().strip()

    def readiness(shows):
        """The status of GET /readyz, and whom the server's certificate names; an SSLError where it wants to see one of ours."""
        context = ssl.create_default_context(cafile=authority.pem)
        if shows:
            context.load_cert_chain(f"{run_dir}/client.crt", f"{run_dir}/client.key")
        connection = http.client.HTTPSConnection(planes.address, planes.port, context=context, timeout=10)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status, dict(c[0] for c in connection.sock.getpeercert()["subject"])["commonName"]
        finally:
            connection.close()

    assert readiness(True) == (200, "first")
    with pytest.raises(OSError):
        readiness(False)
    code, said = create(clusters[0], config_map(f"{name}-one", name))
    assert code != 0 and "certificate" in said, said  # the API server of the test has none to show
    authority.issue(certificate, key, "/CN=second", san=f"IP:{planes.address}")
    eventually(lambda: readiness(True) == (200, "second"), timeout=90, what="the new certificate is served")
