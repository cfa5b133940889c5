"""The samples with webhooks at work on real API servers: image-policy and conversion, with a hub and three tenants.

The plane's credential in each cluster is a user who may do what the samples' tenant-rbac.yaml grants and nothing else.
"""
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import samples
from harness.hooks import create, own_address, status
from harness.hub import kubeconfig_text
from harness.process import eventually, free_port
from test_samples import LIMITED, grant

POLICIES = "/apis/samples.gulfstream.dev/v1alpha1/imagepolicies"
BACKUPS = "/apis/samples.gulfstream.dev/{}/namespaces/default/backups"
COUNT, ACTIVE = 5000, 50


@pytest.fixture
def plane(hub, clusters, run_dir):
    for cluster in clusters:
        tenant = f"hooks-{cluster.name}"
        hub.add_tenant(tenant)
        hub.add_cluster(tenant, cluster, kubeconfig=kubeconfig_text(cluster, user=LIMITED))
    address, port = own_address(), free_port()
    made = hub.plane(run_dir, "--webhook-url", f"https://{address}:{port}", "--listen", f"{address}:{port}")
    yield made
    # The endpoints that were there before never answered.
    hub.kubectl("annotate", "gsw", "--all", "gulfstream.dev/on-delete=RemoveWebhook")
    hub.kubectl("delete", "gsw", "--all", "--wait=false")
    hub.kubectl("delete", "gsc", "--all", "--wait=false")
    eventually(lambda: not hub.get("/apis/gulfstream.dev/v1alpha1/webhooks")["items"], timeout=60, what="the Webhooks let go")
    made.stop()
    for cluster in clusters:
        hub.kubectl("delete", "gscl,secrets", "--all", "-n", f"hooks-{cluster.name}", "--wait=false")


def install(hub, clusters, plane, delegate, sample, *manifests, primary=None):
    for cluster in clusters:
        cluster.apply(*samples.manifests(sample, *manifests))
        grant(cluster, sample)
    for manifest in samples.manifests(sample, "gulfstream.yaml"):
        manifest["spec"]["delegate"] = delegate.url
        manifest["spec"].get("primary", {}).update(primary or {})
        hub.apply(manifest)
    plane.start().wait_ready()
    for manifest in samples.manifests(sample, "gulfstream.yaml"):
        name = manifest["metadata"]["name"]
        if manifest["kind"] == "Webhook":
            eventually(lambda n=name: status(hub, n)[0] == "True", timeout=60, what=f"Webhook {name}: {status(hub, name)}")
        else:
            eventually(lambda n=name: hub.controller_status(n).get("clusters", {}).get("ready") == 3, timeout=60, what=f"Controller {name}")


def pod(name, *images):
    containers = [{"name": f"c{i}", "image": image} for i, image in enumerate(images)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": {"containers": containers}}


@pytest.fixture
def registry(run_dir):
    made = samples.Registry(run_dir)
    yield made
    made.process.kill()


@pytest.fixture
def image_policy(run_dir):
    made = samples.image_policy(run_dir).start()
    yield made
    made.process.kill()


def test_image_policy_refuses_resolves_and_has_a_status(hub, clusters, plane, image_policy, registry):
    install(hub, clusters, plane, image_policy, "image-policy", "crd.yaml", "webhooks.yaml")
    policy = {"apiVersion": "samples.gulfstream.dev/v1alpha1", "kind": "ImagePolicy", "metadata": {"name": "company"},
              "spec": {"allow": [f"{registry.host}/app", "*.everywhere/x"]}}
    for cluster in clusters:
        cluster.apply(policy)
        ready = eventually(lambda c=cluster: (s := c.get(f"{POLICIES}/company").get("status")) and s, what="the policy's status")
        assert ready["patterns"] == 1 and ready["conditions"][0]["reason"] == "PatternInvalid", ready
    for cluster in clusters:
        # The cache has the policy once its Controller has written the status.
        code, said = create(cluster, pod("good", f"{registry.host}/app:v1"))
        assert code == 0, said
        image = cluster.get("/api/v1/namespaces/default/pods/good")["spec"]["containers"][0]["image"]
        assert image == f"{registry.host}/app:v1@{registry.digest}"
        code, said = create(cluster, pod("bad", f"{registry.host}/app:v1", "evil.example/miner"))
        assert code != 0 and "container c1: no ImagePolicy allows evil.example/miner" in said, said
        code, said = create(cluster, pod("absent", f"{registry.host}/app:v2"))
        assert code != 0 and "there is no such image" in said, said
    registry.process.kill()
    code, said = create(clusters[0], pod("later", f"{registry.host}/app:v3"))
    assert code == 0 and "Warning" in said and "RegistryUnavailable" in said, said
    image_policy.process.kill()
    eventually(lambda: create(clusters[1], pod("nobody", f"{registry.host}/app:v1"))[0] != 0, what="without a delegate nothing is allowed")
    image_policy.start()
    eventually(lambda: create(clusters[1], pod("again", f"{registry.host}/app@{registry.digest}"))[0] == 0, timeout=30, what="the delegate is back")
    for cluster in clusters:
        cluster.kubectl("delete", "pods", "--all", "-n", "default", "--force", "--grace-period=0")
        cluster.request("DELETE", f"{POLICIES}/company")


@pytest.fixture
def conversion(run_dir):
    made = samples.conversion(run_dir).start()
    yield made
    made.process.kill()


def backup(i):
    """The first of them are in the namespace that the Controller is about."""
    return {"apiVersion": "samples.gulfstream.dev/v1", "kind": "Backup", "metadata": {"name": f"b{i}", "namespace": "default" if i < ACTIVE else "archive"},
            "spec": {"schedule": "0 3 * * *", "destination": f"s3://nightly/{i}", "retention": "2w"}}


def listed(cluster, version):
    """In pages of 500, as kubectl lists: an API server gives a request a minute, and converts its objects one by one."""
    items, page = [], ""
    while True:
        answer = cluster.request("GET", f"/apis/samples.gulfstream.dev/{version}/backups?limit=500{page}", timeout=120)
        items += answer["items"]
        if not answer["metadata"].get("continue"):
            return items
        page = "&continue=" + answer["metadata"]["continue"]


def test_conversion_serves_both_versions_of_what_is_stored_in_one(hub, clusters, plane, conversion):
    install(hub, clusters, plane, conversion, "conversion", "crd.yaml", primary={"namespace": "default"})
    cluster = clusters[0]
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "archive"}})

    def make(i):
        made = backup(i)
        cluster.request("POST", f"/apis/samples.gulfstream.dev/v1/namespaces/{made['metadata']['namespace']}/backups", made, timeout=60)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(COUNT)))
    began = time.monotonic()
    items = listed(cluster, "v2")
    print(f"{COUNT} objects listed in v2 in {time.monotonic() - began:.1f} s")
    assert len(items) == COUNT
    assert all(item["apiVersion"].endswith("/v2") and item["spec"]["retentionDays"] == 14 for item in items)
    # And back: what is written in v2 is read in v1, the time zone in an annotation.
    name = "b0"
    changed = cluster.get(f"{BACKUPS.format('v2')}/{name}")
    changed["spec"]["schedule"]["timeZone"] = "Europe/Berlin"
    cluster.request("PUT", f"{BACKUPS.format('v2')}/{name}", changed)
    old = cluster.get(f"{BACKUPS.format('v1')}/{name}")
    assert old["spec"]["retention"] == "2w", "as it was written"
    assert old["metadata"]["annotations"]["backups.samples.gulfstream.dev/time-zone"] == "Europe/Berlin"
    job = eventually(lambda: (j := cluster.get(f"/apis/batch/v1/namespaces/default/cronjobs/{name}")) and j["spec"].get("timeZone") == "Europe/Berlin" and j,
                     timeout=300, what="the CronJob by the Controller on v2")
    assert job["metadata"]["ownerReferences"][0]["kind"] == "Backup"
    for one in clusters:
        one.kubectl("delete", "crd", "backups.samples.gulfstream.dev", "--wait=false")
