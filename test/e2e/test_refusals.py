"""What a delegate may not do: it gets nothing, nothing happens, and it is counted and logged."""
import threading


from harness.delegate import Delegate, pb
from harness.process import eventually


def controller(delegate, name, **spec):
    return {
        "apiVersion": "gulfstream.dev/v1alpha1", "kind": "Controller", "metadata": {"name": name},
        "spec": {
            "primary": {"version": "v1", "resource": "configmaps", "match": [{"fieldPath": "metadata.labels.refusals.example.dev/test", "value": name}]},
            "secondary": [{"version": "v1", "resource": "secrets", "verbs": ["get", "update", "patch"]}],
            "authorized": [{"group": "", "resources": ["serviceaccounts"], "verbs": ["get"]}],
            "delegate": delegate.url, **spec}}


def primary(name, test, namespace="default", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace, "labels": {"refusals.example.dev/test": test}}, "data": data}


CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "evil"}}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "evil"}}
NS = "/api/v1/namespaces"
APPLY = "application/apply-patch+yaml"

# what, method, path, body, content type, the refusal's class, words of its message
REFUSED = [
    ("another namespace", "GET", f"{NS}/kube-system/secrets/x", None, "", "not_granted", "allowCrossNamespace"),
    ("all namespaces", "GET", "/api/v1/secrets", None, "", "not_granted", "verbs: [list], allowCrossNamespace"),
    ("another resource", "GET", f"{NS}/default/pods/x", None, "", "not_granted", "resources: [pods], verbs: [get]"),
    ("another verb", "DELETE", f"{NS}/default/secrets/victim", None, "", "not_granted", "verbs: [delete]"),
    ("a collection", "DELETE", f"{NS}/default/secrets", None, "", "not_granted", "verbs: [deletecollection]"),
    ("a creation", "POST", f"{NS}/default/secrets", SECRET, "application/json", "not_granted", "verbs: [create]"),
    ("a creation elsewhere by the body", "POST", f"{NS}/default/secrets", {**SECRET, "metadata": {"name": "evil", "namespace": "kube-system"}},
     "application/json", "not_granted", "verbs: [create]"),
    ("an apply that would create", "PATCH", f"{NS}/default/secrets/evil", SECRET, APPLY, "create_not_granted", "verbs: [create]"),
    ("a subresource", "POST", f"{NS}/default/serviceaccounts/default/token", {}, "application/json", "not_granted", "serviceaccounts/token"),
    ("a cluster-scoped object", "GET", "/api/v1/nodes", None, "", "not_granted", "cluster-scoped"),
    ("a namespace", "POST", NS, {"metadata": {"name": "evil"}}, "application/json", "not_granted", "namespaces"),
    ("its own namespace", "DELETE", f"{NS}/default", None, "", "not_granted", "namespaces"),
    ("another primary", "PUT", f"{NS}/default/configmaps/other", {**CONFIG, "metadata": {"name": "other"}}, "application/json", "not_granted", "configmaps"),
    ("a connection", "GET", f"{NS}/default/pods/x/exec", None, "", "malformed", "connection"),
    ("dots in the path", "GET", f"{NS}/default/../kube-system/secrets/x", None, "", "malformed", "not allowed"),
    ("escaped slashes", "GET", f"{NS}/default%2f..%2fkube-system/secrets/x", None, "", "malformed", "not allowed"),
    ("an empty segment", "GET", f"{NS}//secrets/x", None, "", "malformed", "not allowed"),
    ("no resource", "GET", "/version", None, "", "malformed", "not a resource's"),
    ("an old watch", "GET", f"/api/v1/watch/namespaces/default/secrets", None, "", "malformed", "deprecated"),
    ("another method", "OPTIONS", f"{NS}/default/secrets", None, "", "malformed", "method"),
]


def test_what_no_rule_grants_is_refused_counted_and_logged_and_has_no_effect(clusters, plane):
    cluster = clusters[0]
    answers, done = {}, threading.Event()

    def probe(r):
        if r.name != "key" or done.is_set():
            return None
        for what, method, path, body, content_type, _, _ in REFUSED:
            answers[what] = r.call(method, path, body, content_type=content_type)
        answers["twice"] = r.call("GET", f"{NS}/default/secrets/victim", query="resourceVersion=0&resourceVersion=1")
        answers["unknown"] = r.call("GET", f"{NS}/default/secrets/victim", query="impersonate=root")
        answers["in a reconcile"] = r.call("GET", f"{NS}/default/configmaps", query="watch=true")
        answers["finished"] = r.call("GET", f"{NS}/default/secrets/victim", reconcile=r.message.id + 1000)
        answers["another pair"] = r.session.call(pb.Call(pair=99, method="GET", path="/api/v1/configmaps"))
        answers["the whole pair"] = r.session.call(pb.Call(pair=r.message.pair, method="GET", path="/api/v1/secrets"))
        answers["write of the whole pair"] = r.session.call(pb.Call(pair=r.message.pair, method="DELETE", path=f"{NS}/default/configmaps/other"))
        done.set()
        return None

    delegate = Delegate(probe)
    try:
        cluster.apply(primary("key", "probe"), primary("other", "probe", kept="yes"),
                      {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "victim", "namespace": "default"}, "stringData": {"kept": "yes"}})
        plane.write("controller.yaml", controller(delegate, "probe"))
        plane.add_cluster(cluster)
        plane.start().wait_ready()
        assert done.wait(30), "the delegate's calls"
        for what, _, _, _, _, kind, words in REFUSED:
            status = answers[what].json()
            assert answers[what].status == (400 if kind == "malformed" else 403), (what, status)
            assert status["kind"] == "Status" and words in status["message"], (what, status)
        assert [answers[what].status for what in ("twice", "unknown", "in a reconcile")] == [400, 400, 405]
        for what in ("finished", "another pair", "the whole pair", "write of the whole pair"):
            assert answers[what].status == 403, (what, answers[what].body)
        for path in (f"{NS}/evil", f"{NS}/default/secrets/evil", f"{NS}/kube-system/secrets/evil"):
            assert cluster.get(path) is None
        assert cluster.get(f"{NS}/default/configmaps/other")["data"] == {"kept": "yes"}
        assert cluster.get(f"{NS}/default/secrets/victim")["data"] and cluster.get(f"{NS}/default")["status"]["phase"] == "Active"
        kinds = [kind for *_, kind, _ in REFUSED]
        assert plane.metric('gulfstream_calls_refused_total{reason="malformed"}') == kinds.count("malformed") + 2
        assert plane.metric('gulfstream_calls_refused_total{reason="not_granted"}') == kinds.count("not_granted") + 2
        assert plane.metric('gulfstream_calls_refused_total{reason="create_not_granted"}') == 1
        log = plane.log()
        assert "a delegate's call was refused" in log and 'reason="not_granted"' in log
        assert log.count("a delegate's call was refused") < len(REFUSED), "a flood of refusals does not flood the log"
    finally:
        delegate.stop()


def test_a_cancelled_reconcile_may_do_nothing_any_more(clusters, plane):
    cluster = clusters[0]
    begun, go, late = threading.Event(), threading.Event(), []

    def slow(r):
        if r.primary is None or late:
            return None
        begun.set()
        go.wait(30)
        eventually(lambda: r.message.id in delegate.cancelled, what="the Cancel")
        late.append(r.apply(f"{NS}/default/secrets/late", {**SECRET, "metadata": {"name": "late"}}))
        return None

    delegate = Delegate(slow)
    try:
        spec = controller(delegate, "cancelled", secondary=[{"version": "v1", "resource": "secrets"}])
        plane.write("controller.yaml", spec)
        plane.add_cluster(cluster)
        cluster.apply(primary("going", "cancelled"))
        plane.start().wait_ready()
        assert begun.wait(20)
        cluster.kubectl("delete", "configmap", "going", "-n", "default")
        go.set()
        eventually(lambda: late, what="the late write")
        assert late[0].status == 403 and "cancelled" in late[0].json()["message"]
        assert cluster.get(f"{NS}/default/secrets/late") is None
        eventually(lambda: any(r.name == "going" and r.state == "gone" for r in delegate.seen), what="the reconcile of what is gone")
    finally:
        delegate.stop()


def test_a_reconcile_reaches_its_own_cluster_only(clusters, plane):
    one, other = clusters[0], clusters[1]
    hold, ids, answers = threading.Event(), {}, {}

    def mine(r):
        ids["mine"] = r.message.id
        if "theirs" in ids and not answers:
            answers["own"] = r.apply(f"{NS}/default/secrets/reach", {**SECRET, "metadata": {"name": "reach"}})
            # The other delegate's reconcile is in flight on its own stream; here its id means nothing.
            answers["theirs"] = r.call("GET", f"{NS}/default/secrets/reach", reconcile=ids["theirs"] + 1000)
            hold.set()
        return None if answers else {"requeue_after": pb.RequeueAfter(milliseconds=200)}

    def theirs(r):
        ids["theirs"] = r.message.id
        hold.wait(20)
        return None

    a, b = Delegate(mine), Delegate(theirs)
    try:
        secondary = [{"version": "v1", "resource": "secrets"}]
        plane.write("a.yaml", controller(a, "mine", secondary=secondary, clusterSelector={"labels": {"matchLabels": {"owner": "a"}}}))
        plane.write("b.yaml", controller(b, "theirs", secondary=secondary, clusterSelector={"labels": {"matchLabels": {"owner": "b"}}}))
        plane.add_cluster(one, labels={"owner": "a"})
        plane.add_cluster(other, labels={"owner": "b"})
        one.apply(primary("p", "mine"))
        other.apply(primary("p", "theirs"), primary("q", "mine"))
        plane.start().wait_ready()
        assert hold.wait(30)
        eventually(lambda: len(answers) == 2)
        assert answers["own"].status == 201 and answers["theirs"].status == 403
        assert one.get(f"{NS}/default/secrets/reach") and other.get(f"{NS}/default/secrets/reach") is None
        assert a.count(cluster=other.name) == 0, "a Controller that does not select a cluster hears nothing of it"
    finally:
        hold.set()
        a.stop()
        b.stop()
