"""A hub: an API server with the CRDs and roles of deploy/, and what people do in it."""
import base64
import os

import yaml

from .cluster import ROOT, Cluster
from .plane import Plane

DEPLOY = os.path.join(ROOT, "deploy")
# Everything of the tests is on loopback, hub and tenants alike.
ON_LOOPBACK = ["--cluster-deny-cidrs="]


class Hub(Cluster):
    def install(self):
        self.kubectl("apply", "--server-side", "-f", f"{DEPLOY}/crds")
        self.kubectl("wait", "--for=condition=Established", "crd/controllers.gulfstream.dev", "crd/clusters.gulfstream.dev", "crd/webhooks.gulfstream.dev", "--timeout=30s")
        self.kubectl("apply", "--server-side", "-f", f"{DEPLOY}/hub")

    def plane(self, directory, *flags):
        return Plane(directory, ["--hub-kubeconfig", self.kubeconfig(), *ON_LOOPBACK, *flags])

    def add_tenant(self, namespace, labels=None):
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels or {}}})

    def add_cluster(self, namespace, cluster, name=None, labels=None, paused=False, kubeconfig=None):
        """A Cluster and its Secret, as a tenant applies them."""
        name = name or cluster.name
        if kubeconfig is None:
            with open(cluster.kubeconfig(f"kubeconfig-{namespace}-{name}")) as f:
                kubeconfig = f.read()
        self.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{name}-kubeconfig", "namespace": namespace},
             "data": {"kubeconfig": base64.b64encode(kubeconfig.encode()).decode()}},
            {"apiVersion": "gulfstream.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
             "spec": {"paused": paused, "connection": {"kubeconfig": {"secretRef": {"name": f"{name}-kubeconfig"}}}}})

    def controller_status(self, name):
        return self._status(f"/apis/gulfstream.dev/v1alpha1/controllers/{name}")

    def cluster_status(self, namespace, name):
        return self._status(f"/apis/gulfstream.dev/v1alpha1/namespaces/{namespace}/clusters/{name}")

    def _status(self, path):
        """The status, its conditions by type."""
        status = (self.get(path) or {}).get("status", {})
        return {**status, "conditions": {c["type"]: c for c in status.get("conditions", [])}}


def kubeconfig_text(of, **changes):
    """A kubeconfig for a cluster with fields of its user and cluster changed (None: removed): user={...}, cluster={...}."""
    with open(of.kubeconfig("kubeconfig-as-is")) as f:
        config = yaml.safe_load(f)
    for part, entry in (("cluster", config["clusters"][0]["cluster"]), ("user", config["users"][0]["user"])):
        entry.update(changes.get(part, {}))
        for field in [name for name, value in entry.items() if value is None]:
            del entry[field]
    return yaml.safe_dump(config)
