"""Protobuf, which typed clients speak for built-in types: the embedded API server takes and gives what kube-apiserver does.
kubectl's generators send it (they do not fall back); the same bytes sent to both servers are answered by the same bytes."""
import re
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest

from harness.cluster import ADMIN_TOKEN, ASSETS, EmbeddedCluster, RealCluster

pytestmark = pytest.mark.once
PROTOBUF = "application/vnd.kubernetes.protobuf"
# kubectl's generators, and what they make.
MADE = [
    (["configmap", "c", "--from-literal=a=b"], "configmaps/c"),
    (["secret", "generic", "s", "--from-literal=password=x"], "secrets/s"),
    (["secret", "docker-registry", "registry", "--docker-username=u", "--docker-password=p"], "secrets/registry"),
    (["serviceaccount", "sa"], "serviceaccounts/sa"),
    (["deployment", "d", "--image=nginx", "--replicas=3", "--port=80"], "apis/apps/v1/deployments/d"),
    (["job", "j", "--image=busybox", "--", "true"], "apis/batch/v1/jobs/j"),
    (["cronjob", "cj", "--image=busybox", "--schedule=*/5 * * * *", "--", "true"], "apis/batch/v1/cronjobs/cj"),
    (["service", "clusterip", "svc", "--tcp=80:8080", "--clusterip=None"], "services/svc"),
    (["ingress", "i", "--rule=example.com/*=svc:80"], "apis/networking.k8s.io/v1/ingresses/i"),
    (["quota", "q", "--hard=pods=10,cpu=1500m,memory=1024Mi"], "resourcequotas/q"),
    (["role", "r", "--verb=get,list", "--resource=pods,deployments.apps"], "apis/rbac.authorization.k8s.io/v1/roles/r"),
    (["rolebinding", "rb", "--role=r", "--serviceaccount=made:sa"], "apis/rbac.authorization.k8s.io/v1/rolebindings/rb"),
    (["poddisruptionbudget", "pdb", "--selector=app=d", "--min-available=50%"], "apis/policy/v1/poddisruptionbudgets/pdb"),
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    directory = tmp_path_factory.mktemp("protobuf")
    both = [RealCluster("real", str(directory / "real")), EmbeddedCluster("embedded", str(directory / "embedded"))]
    try:
        for server in both:
            server.start()
        yield both
    finally:
        for server in both:
            server.stop()


def send(cluster, method, path, body=None, accept=None, content_type=PROTOBUF):
    """Status, media type and bytes."""
    request = urllib.request.Request(cluster.server + path, method=method, data=body)
    request.add_header("Authorization", "Bearer " + ADMIN_TOKEN)
    if body is not None:
        request.add_header("Content-Type", content_type)
    if accept:
        request.add_header("Accept", accept)
    context = ssl.create_default_context(cadata=cluster.ca().decode())
    try:
        answer = urllib.request.urlopen(request, context=context, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.headers["content-type"], answer.read()


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7f | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def envelope(api_version, kind, raw):
    return b"k8s\0" + field(1, field(1, api_version.encode()) + field(2, kind.encode())) + field(2, raw) + field(3, b"") + field(4, b"")


def config_map(name):
    return envelope("v1", "ConfigMap", field(1, field(1, name.encode())) + field(2, field(1, b"k") + field(2, b"v")))


def comparable(value):
    """An object without what differs between any two servers."""
    if isinstance(value, dict):
        drop = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "controller-uid", "batch.kubernetes.io/controller-uid"}
        return {k: comparable(v) for k, v in value.items() if k not in drop}
    return [comparable(v) for v in value] if isinstance(value, list) else value


def same_length(body):
    """Bytes with uids, times and versions blanked; versions of the two servers have different lengths, and so do messages."""
    body = re.sub(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", b"UID", body)
    return re.sub(rb"\x08[\x80-\xff]{4}.\x10\x00", b"TIME", body, flags=re.S)


def test_kubectl_makes_the_same_objects_on_both(servers):
    made = []
    for cluster in servers:
        def kubectl(*args):
            done = subprocess.run([f"{ASSETS}/kubectl", "--kubeconfig", cluster.kubeconfig(), *args], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, f"{cluster.name}: kubectl {' '.join(args)}: {done.stderr}"
        kubectl("create", "namespace", "made")
        for args, _ in MADE:
            at = args.index("--") if "--" in args else len(args)
            kubectl("create", *args[:at], "-n", "made", *args[at:])
        objects = {}
        for _, path in MADE:
            *prefix, resource, name = path.split("/")
            objects[path] = cluster.get(f"/{'/'.join(prefix) or 'api/v1'}/namespaces/made/{resource}/{name}")
        objects["namespace"] = cluster.get("/api/v1/namespaces/made")
        made.append(objects)
    for path, real in made[0].items():
        assert comparable(made[1][path]) == comparable(real), path


def test_kubectl_scales_and_deletes(servers):
    for cluster in servers:
        cluster.kubectl("create", "deployment", "gone", "--image=nginx")
        cluster.kubectl("scale", "deployment", "gone", "--replicas=4")
        assert cluster.get("/apis/apps/v1/namespaces/default/deployments/gone")["spec"]["replicas"] == 4
        cluster.kubectl("delete", "deployment", "gone")
        assert cluster.get("/apis/apps/v1/namespaces/default/deployments/gone") is None


BODIES = [
    ("POST", "configmaps", b"x"), ("POST", "configmaps", b"k8s\0"), ("POST", "configmaps", b'{"kind":"ConfigMap"}'),
    ("POST", "configmaps", envelope("v1", "ConfigMap", b"\x0a\x05")), ("POST", "configmaps", envelope("v1", "ConfigMap", b"\x08\x00")),
    ("POST", "configmaps", envelope("v1", "ConfigMap", b"\x0f")), ("POST", "configmaps", envelope("v1", "Nonsense", b"")),
    ("POST", "configmaps", envelope("apps/v1", "ConfigMap", b"")), ("POST", "configmaps", envelope("v1", "ConfigMap", b"")),
    ("POST", "configmaps", config_map("Not_a_name")), ("POST", "configmaps?dryRun=All", envelope("v1", "ConfigMap", field(1, field(1, b"dry")))),
    ("PUT", "configmaps/none", config_map("none")), ("PUT", "configmaps/none", config_map("other")),
    ("DELETE", "configmaps/none", b"x"), ("DELETE", "configmaps/none", envelope("v1", "DeleteOptions", field(5, b"All"))),
    ("DELETE", "configmaps/none", envelope("v1", "DeleteOptions", field(5, b"Some"))),
    ("DELETE", "configmaps/none", envelope("meta.k8s.io/v1", "DeleteOptions", b"")), ("DELETE", "configmaps/none", envelope("v1", "ConfigMap", b"")),
    ("POST", "configmaps", b""), ("DELETE", "configmaps/none", b""), ("GET", "configmaps/none", None), ("GET", "nothing", None),
]


def test_bodies_are_refused_in_the_same_words_and_answered_by_the_same_bytes(servers):
    for method, path, body in BODIES:
        for accept in ("application/json", PROTOBUF, PROTOBUF + ",application/json", PROTOBUF + ";as=Table;g=meta.k8s.io;v=v1,application/json"):
            real, embedded = (send(s, method, "/api/v1/namespaces/default/" + path, body, accept) for s in servers)
            got, want = (embedded[0], embedded[1], same_length(embedded[2])), (real[0], real[1], same_length(real[2]))
            if accept == PROTOBUF or "json" not in want[1]:
                assert got == want, f"{method} {path} {body} {accept}"
            else:
                assert got[:2] == want[:2], f"{method} {path} {body} {accept}: {got} {want}"


def test_lists_and_watches_are_protobuf_too(servers):
    answers = []
    for cluster in servers:
        cluster.kubectl("create", "namespace", "listed")
        base = "/api/v1/namespaces/listed/configmaps"
        assert send(cluster, "POST", base, envelope("v1", "ConfigMap", field(1, field(1, b"a"))), PROTOBUF)[:2] == (201, PROTOBUF)
        name = "?fieldSelector=metadata.name%3Da"
        got = [send(cluster, "GET", base + name, accept=PROTOBUF),
               send(cluster, "GET", base + name, accept=PROTOBUF + ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
               send(cluster, "GET", base + "/a", accept=PROTOBUF + ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
               send(cluster, "GET", base + name + "&watch=1&timeoutSeconds=1", accept=PROTOBUF + ";stream=watch"),
               send(cluster, "GET", base + "?watch=1&timeoutSeconds=1&resourceVersion=x", accept=PROTOBUF)]
        # Lengths and versions differ with the versions' digits: what stands between them must not.
        answers.append([(status, kind, re.findall(rb"[A-Za-z/.]{4,}", same_length(body))) for status, kind, body in got])
    for real, embedded in zip(*answers):
        assert embedded == real
