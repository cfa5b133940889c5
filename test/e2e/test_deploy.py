"""What deploy/ holds, applied to a real API server with the real kubectl."""
import subprocess

import pytest
import yaml

from harness.cluster import ASSETS, EMBEDDED
from harness.hub import DEPLOY
from harness.process import eventually


def apply(cluster, manifest, *flags):
    """kubectl apply as an administrator; (exit code, everything it said)."""
    done = subprocess.run([f"{ASSETS}/kubectl", "--kubeconfig", cluster.kubeconfig(), "apply", "--server-side", "--dry-run=server", "-f", "-", *flags],
                          input=manifest if isinstance(manifest, str) else yaml.safe_dump(manifest), capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def controller(**spec):
    return {"apiVersion": "gulfstream.dev/v1alpha1", "kind": "Controller", "metadata": {"name": "c"},
            "spec": {"primary": {"version": "v1", "resource": "configmaps"}, "delegate": "https://delegate.example", **spec}}


def cluster_of(**spec):
    return {"apiVersion": "gulfstream.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "c", "namespace": "default"}, "spec": spec}


# The shape of the manifests that the original shipped: every field that they use, and none of ours.
PUBLISHED = """
apiVersion: gulfstream.dev/v1alpha1
kind: Controller
metadata:
  name: policy-compiler
spec:
  primary:
    group: policy.sigstore.dev
    version: v1beta1
    resource: clusterimagepolicies
  secondary:
  - group: ""
    version: v1
    resource: configmaps
    namespace: cosign-system
    relationship: Reference
    match:
    - fieldPath: metadata.name
      value: config-image-policies
  - group: ""
    version: v1
    resource: secrets
    namespace: cosign-system
    relationship: Reference
  authorized:
  - group: ""
    resources:
    - events
    verbs:
    - create
    allowCrossNamespace: true
  configs:
  - apiVersion: v1
    kind: ConfigMap
    namespace: cosign-system
    name: config-image-policies
    onChanged: Resync
  delegate: https://policy-compiler.enforce.dev
---
apiVersion: gulfstream.dev/v1alpha1
kind: Controller
metadata:
  name: policy-distribution
spec:
  primary:
    version: v1
    resource: namespaces
    match:
    - fieldPath: metadata.name
      value: cosign-system
    resyncPeriod: 10s
  secondary:
  - group: apps
    version: v1
    resource: deployments
  authorized:
  - group: ""
    resources: [serviceaccounts, secrets]
    verbs: [get]
    allowCrossNamespace: true
  delegate: https://policy-distribution.enforce.dev
"""


def test_published_manifests_apply_unchanged(hub):
    code, said = apply(hub, PUBLISHED, "--validate=strict")
    assert code == 0, said
    assert "controller.gulfstream.dev/policy-compiler" in said and "unknown field" not in said


@pytest.mark.parametrize("manifest,complaint", [
    (controller(delegate=None), "spec.delegate: Required value"),
    (controller(delegate="ftp://x"), "spec.delegate: Invalid value"),
    (controller(delegate="https://user:password@x"), "spec.delegate: Invalid value"),
    (controller(primary=None), "spec.primary: Required value"),
    (controller(primary={"version": "v1"}), "spec.primary.resource: Required value"),
    (controller(primary={"version": "v1", "resource": "ConfigMaps"}), "spec.primary.resource: Invalid value"),
    (controller(primary={"version": "v1", "resource": "pods/eviction"}), "spec.primary.resource: Invalid value"),
    (controller(primary={"version": "v1", "resource": "pods", "resyncPeriod": "often"}), "spec.primary.resyncPeriod: Invalid value"),
    (controller(primary={"version": "v1", "resource": "pods", "match": [{"value": "x"}]}), "spec.primary.match[0].fieldPath: Required value"),
    (controller(secondary=[{"version": "v1", "resource": "pods", "relationship": "Owner"}]), 'spec.secondary[0].relationship: Unsupported value: "Owner"'),
    (controller(secondary=[{"version": "v1", "resource": "pods", "verbs": ["impersonate"]}]), 'spec.secondary[0].verbs[0]: Unsupported value: "impersonate"'),
    (controller(authorized=[{"group": "apps"}]), "spec.authorized[0].resources: Required value"),
    (controller(authorized=[{"resources": []}]), "spec.authorized[0].resources"),
    (controller(configs=[{"namespace": "x"}]), "spec.configs[0].name: Required value"),
    (controller(configs=[{"name": "x", "onChanged": "Restart"}]), 'spec.configs[0].onChanged: Unsupported value: "Restart"'),
    (controller(configs=[{"name": "x", "source": "Plane"}]), 'spec.configs[0].source: Unsupported value: "Plane"'),
    (controller(sessionIsolation="Mine"), 'spec.sessionIsolation: Unsupported value: "Mine"'),
    (controller(clusterSelector={"labels": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}), 'operator: Unsupported value: "Like"'),
    (controller(secondarys=[]), "secondarys"),
    (cluster_of(), "spec.connection: Required value"),
    (cluster_of(connection={}), "spec.connection.kubeconfig: Required value"),
    (cluster_of(connection={"kubeconfig": {"secretRef": {"key": "k"}}}), "spec.connection.kubeconfig.secretRef.name: Required value"),
    (cluster_of(connection={"kubeconfig": {"secretRef": {"name": "s"}}}, paused="yes"), "spec.paused: Invalid value" if EMBEDDED else "spec.paused: expected boolean"),
])
def test_a_bad_manifest_is_refused_and_the_field_is_named(hub, manifest, complaint):
    spec = manifest["spec"]
    manifest["spec"] = {k: v for k, v in spec.items() if v is not None}
    code, said = apply(hub, manifest)
    assert code != 0 and complaint in said, said


def test_short_names_and_categories(hub):
    for short, plural in (("gsc", "controllers.gulfstream.dev"), ("gscl", "clusters.gulfstream.dev")):
        rows = [row.split() for row in hub.kubectl("api-resources", "--api-group=gulfstream.dev", "--no-headers", "-o", "wide").splitlines()]
        mine = next(row for row in rows if row[0] == plural.split(".")[0])
        assert mine[1] == short and mine[-1] == "all,gulfstream", mine


def test_an_agents_manifests_apply_and_its_roles_are_aggregated(hub):
    """The real controller manager fills the aggregated role, and what it then allows is what an agent needs."""
    hub.kubectl("apply", "--server-side", "-f", f"{DEPLOY}/agent")
    code, said = apply(hub, open(f"{DEPLOY}/agent/agent.yaml").read(), "--validate=strict")
    assert code == 0, said
    role = hub.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/gulfstream-rbac")
    assert role["aggregationRule"]["clusterRoleSelectors"] == [{"matchLabels": {"gulfstream.dev/controller": "true"}}]
    budget = hub.get("/apis/policy/v1/namespaces/gulfstream/poddisruptionbudgets/gulfstream")
    deployment = hub.get("/apis/apps/v1/namespaces/gulfstream/deployments/gulfstream")
    assert budget["spec"]["selector"] == deployment["spec"]["selector"] and deployment["spec"]["replicas"] == 2
    agent = "system:serviceaccount:gulfstream:controller"

    def may(verb, resource, *flags):
        done = subprocess.run([f"{ASSETS}/kubectl", "--kubeconfig", hub.kubeconfig(), "auth", "can-i", verb, resource, "--as", agent, *flags],
                              capture_output=True, text=True, timeout=60)
        return done.stdout.strip() == "yes"

    hub.start_controller_manager("clusterrole-aggregation-controller")
    try:
        eventually(lambda: may("watch", "controllers.gulfstream.dev") and may("patch", "controllers.gulfstream.dev", "--subresource=status"), what="the aggregated role")
    finally:
        hub.controller_manager.kill()
    for verb in ("get", "create", "update"):
        assert may(verb, "leases.coordination.k8s.io", "-n", "gulfstream")
    assert may("watch", "configmaps", "-n", "gulfstream")
    assert not may("get", "leases.coordination.k8s.io", "-n", "default")
    assert not may("list", "secrets", "-A") and not may("watch", "configmaps", "-A") and not may("update", "controllers.gulfstream.dev")


def webhook(**spec):
    ref = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "name": "x"}
    return {"apiVersion": "gulfstream.dev/v1alpha1", "kind": "Webhook", "metadata": {"name": "w"},
            "spec": {"ref": ref, "delegate": "https://delegate.example", **spec}}


@pytest.mark.parametrize("spec, said", [
    ({}, None),
    ({"protocol": "Review", "enforcement": "Audit", "onFailure": "Allow", "timeoutSeconds": 3, "maxConcurrent": 5}, None),
    ({"configs": [{"name": "c", "namespace": "team", "onChanged": "Resync"}],
      "authorized": [{"resources": ["secrets"], "verbs": ["get"], "allowCrossNamespace": True}]}, None),
    ({"ref": {"kind": "ValidatingWebhookConfiguration", "name": "x"}}, "spec.ref.apiVersion"),
    ({"enforcement": "Perhaps"}, "spec.enforcement"),
    ({"timeoutSeconds": 31}, "spec.timeoutSeconds"),
    ({"conversion": [{"from": "v1"}]}, "spec.conversion[0].to"),
])
def test_the_schema_of_webhooks_names_what_is_wrong(hub, spec, said):
    code, text = apply(hub, webhook(**spec))
    assert (code == 0) == (said is None), text
    assert said is None or said in text, text
