"""What a delegate reads: own writes through the cache, triggers, prefetch, pure, configs, events, and lists and
watches of the plane's cache."""
import json
import threading
import time
import uuid

import pytest

from harness.delegate import Delegate, pb
from harness.process import eventually

NS = "/api/v1/namespaces/default"


def controller(delegate, name, **spec):
    return {
        "apiVersion": "gulfstream.dev/v1alpha1", "kind": "Controller", "metadata": {"name": name},
        "spec": {
            "primary": {"version": "v1", "resource": "configmaps", "match": [{"fieldPath": "metadata.labels.test", "value": name}],
                        **spec.pop("primary", {})},
            "secondary": [{"version": "v1", "resource": "secrets"}], "delegate": delegate.url, **spec}}


def primary(name, test, annotations=None, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default", "labels": {"test": test}, "annotations": annotations or {}}, "data": data}


def secret(name, labels=None, **data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default", "labels": labels or {}}, "stringData": data}


@pytest.fixture
def run(clusters, plane):
    """run(delegate, spec, *objects): the plane with one cluster, synced."""
    made = []

    def start(delegate, spec, *objects):
        made.append(delegate)
        if objects:
            clusters[0].apply(*objects)
        plane.write("controller.yaml", spec)
        plane.add_cluster(clusters[0])
        plane.start().wait_ready()
        return clusters[0]

    yield start
    for delegate in made:
        delegate.stop()


def owner(r):
    return [{"apiVersion": "v1", "kind": "ConfigMap", "name": r.name, "uid": r.primary["metadata"]["uid"], "controller": True}]


def test_a_reconcile_reads_its_own_writes_through_the_cache_at_once(run):
    """The cache is behind each write by the way over the API server's watch: without the overlay some of these reads
    would see what was before."""
    wrong, rounds = [], []

    def churn(r):
        if r.primary is None or rounds:
            return None
        for i in range(40):
            name = f"own-{i % 4}"
            path = f"{NS}/secrets/{name}"
            token = uuid.uuid4().hex
            r.apply(path, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": {"own": "yes"}}, "stringData": {"t": token},
                           "type": "Opaque"})
            live, cached = r.call("GET", path).json(), r.cached(path).json()
            if cached["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
                wrong.append(("get after write", i))
            listed = {o["metadata"]["name"]: o for o in r.cached(f"{NS}/secrets", "labelSelector=own%3Dyes").json()["items"]}
            if listed.get(name, {}).get("data") != live["data"]:
                wrong.append(("list after write", i))
            if i % 4 == 3:
                # Dry runs change nothing, whether the query or the body says so.
                r.call("DELETE", path, query="dryRun=All")
                r.call("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]})
                if r.cached(path).status != 200:
                    wrong.append(("get after dry run", i))
                r.call("DELETE", path)
                if r.cached(path).status != 404:
                    wrong.append(("get after delete", i))
                if name in {o["metadata"]["name"] for o in r.cached(f"{NS}/secrets").json()["items"]}:
                    wrong.append(("list after delete", i))
        r.call("DELETE", f"{NS}/secrets", query="labelSelector=own%3Dyes")
        if r.cached(f"{NS}/secrets", "labelSelector=own%3Dyes").json()["items"]:
            wrong.append(("list after deletecollection", 0))
        rounds.append(1)
        return None

    delegate = Delegate(churn)
    run(delegate, controller(delegate, "own-writes"), primary("churn", "own-writes"))
    eventually(lambda: rounds, timeout=60, what="the reconcile")
    assert not wrong


def test_what_the_last_reconcile_wrote_the_next_one_sees_in_cache_and_prefetch(run):
    seen, late = [], []

    def count(r):
        if r.primary is None or len(seen) >= 20:
            return None
        before = r.cached(f"{NS}/secrets/counter")
        value = before.json()["metadata"]["annotations"]["n"] if before.status == 200 else "0"
        came = r.prefetched("counter")
        if came and came["metadata"]["annotations"]["n"] != str(len(seen)):
            late.append((came["metadata"]["annotations"]["n"], len(seen)))
        if value != str(len(seen)):
            late.append((value, len(seen)))
        seen.append(came)
        r.apply(f"{NS}/secrets/counter", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "counter", "annotations": {"n": str(len(seen))}}})
        return {"requeue_after": pb.RequeueAfter(milliseconds=1)}

    delegate = Delegate(count)
    run(delegate, controller(delegate, "next-sees"), primary("next", "next-sees"))
    eventually(lambda: len(seen) == 20, timeout=40, what="the reconciles")
    assert not late
    assert seen[0] is None and seen[1] and all(seen[1:]), "what was read comes along the next time"


def test_references_trigger_by_name_by_absence_and_by_selector_and_nothing_else_does(run):
    reads = {"by-name": f"{NS}/secrets/ref-present", "by-absence": f"{NS}/secrets/ref-absent", "by-selector": None}

    def read(r):
        if r.primary is None:
            return None
        if r.name == "by-selector":
            r.cached(f"{NS}/secrets", "labelSelector=ref%3Dyes")
        elif r.name in reads:
            r.call("GET", reads[r.name])  # live; its changes are heard of all the same
        return None

    delegate = Delegate(read)
    names = list(reads) + ["reads-nothing"]
    cluster = run(delegate, controller(delegate, "refs", secondary=[{"version": "v1", "resource": "secrets", "relationship": "Reference"}]),
                  secret("ref-present", a="1"), *[primary(n, "refs") for n in names])
    eventually(lambda: all(delegate.count(name=n) == 1 for n in names), what="the first reconciles")

    def counts_after(act):
        before = {n: delegate.count(name=n) for n in names}
        act()
        eventually(lambda: sum(delegate.count(name=n) for n in names) > sum(before.values()), what="the trigger")
        time.sleep(0.5)
        return {n: delegate.count(name=n) - before[n] for n in names if delegate.count(name=n) != before[n]}

    assert counts_after(lambda: cluster.apply(secret("ref-present", a="2"))) == {"by-name": 1}
    assert counts_after(lambda: cluster.apply(secret("ref-absent"))) == {"by-absence": 1}
    assert counts_after(lambda: cluster.apply(secret("ref-any", labels={"ref": "yes"}))) == {"by-selector": 1}
    assert counts_after(lambda: cluster.kubectl("label", "secret", "ref-any", "-n", "default", "ref=no", "--overwrite")) == {"by-selector": 1}
    assert counts_after(lambda: cluster.kubectl("delete", "secret", "ref-present", "-n", "default")) == {"by-name": 1}


def test_a_change_while_the_reconcile_runs_is_not_missed(run):
    read_it, go = threading.Event(), threading.Event()
    versions = []

    def slow(r):
        if r.primary is None:
            return None
        versions.append(r.call("GET", f"{NS}/secrets/while-running").json()["metadata"]["resourceVersion"])
        read_it.set()
        go.wait(20)
        return None

    delegate = Delegate(slow)
    cluster = run(delegate, controller(delegate, "while-runs", secondary=[{"version": "v1", "resource": "secrets", "relationship": "Reference"}]),
                  secret("while-running", a="1"), primary("slow", "while-runs"))
    assert read_it.wait(20)
    cluster.apply(secret("while-running", a="2"))
    time.sleep(0.3)
    go.set()
    eventually(lambda: len(versions) >= 2 and versions[1] != versions[0], what="the reconcile of the change")


def test_pure_reconciles_are_not_asked_again_while_what_they_read_is_the_same(run, plane):
    def decide(r):
        if r.primary is None:
            return None
        r.cached(f"{NS}/secrets/pure-input")
        r.cached(f"{NS}/secrets", "labelSelector=pure%3Dyes")
        if r.name == "reads-live":
            r.call("GET", f"{NS}/services", query="limit=1")  # authorised, but nobody watches it
        return {"ok": pb.Ok(), "pure": r.name != "impure"}

    delegate = Delegate(decide, capabilities=["pure"])
    spec = controller(delegate, "pure", primary={"resyncPeriod": "1s"}, authorized=[{"group": "", "resources": ["services"], "verbs": ["list"]}])
    cluster = run(delegate, spec, secret("pure-input", a="1"), *[primary(n, "pure") for n in ("pure", "impure", "reads-live")])
    eventually(lambda: delegate.count(name="impure") >= 4 and delegate.count(name="reads-live") >= 4, what="the resyncs of the others")
    assert delegate.count(name="pure") == 1
    assert plane.metric("gulfstream_resyncs_skipped_total") >= 2
    cluster.apply(secret("pure-input", a="2"))
    eventually(lambda: delegate.count(name="pure") == 2, what="the resync after an input changed")
    cluster.apply(secret("pure-more", labels={"pure": "yes"}))
    eventually(lambda: delegate.count(name="pure") == 3, what="the resync after a list changed")
    time.sleep(2.5)
    assert delegate.count(name="pure") == 3


def test_an_objects_annotation_sets_its_own_resync_and_a_bad_one_is_said(run, plane):
    delegate = Delegate(lambda r: None)
    cluster = run(delegate, controller(delegate, "resync"), primary("often", "resync", {"gulfstream.dev/resync": "1s"}),
                  primary("never", "resync", {"gulfstream.dev/resync": "0"}), primary("bad", "resync", {"gulfstream.dev/resync": "soon"}))
    eventually(lambda: delegate.count(name="often") >= 4, what="its own resyncs")
    assert delegate.count(name="never") == 1 and delegate.count(name="bad") == 1
    assert 'gulfstream.dev/resync: \\"soon\\" is not a duration' in plane.log()
    event = eventually(lambda: [e for e in cluster.get(f"{NS}/events")["items"] if e["involvedObject"]["name"] == "bad"], what="the event about it")[0]
    assert event["reason"] == "InvalidResync" and event["type"] == "Warning"


def test_a_config_of_any_kind_comes_along_and_resyncs(run, plane):
    seen = []

    def note(r):
        seen.append((r.config("settings") or {}).get("data"))

    delegate = Delegate(note)
    spec = controller(delegate, "any-config", configs=[{"apiVersion": "v1", "kind": "Secret", "name": "settings", "namespace": "kube-system", "onChanged": "Resync"}])
    cluster = run(delegate, spec, primary("any", "any-config"))
    eventually(lambda: seen == [None])
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "settings", "namespace": "kube-system"}, "stringData": {"a": "1"}})
    eventually(lambda: {"a": "MQ=="} in seen, what="the resync")
    plane.write("wrong.yaml", controller(delegate, "wrong-config", configs=[{"apiVersion": "v1", "kind": "Nonsense", "name": "x", "namespace": "default"}]))
    why = eventually(lambda: plane.status("wrong-config").get("ClustersSynced", ("True",))[0] == "False" and plane.status("wrong-config")["ClustersSynced"][2])
    assert "kind Nonsense of v1 is not served" in why


def test_a_cluster_scoped_primary_is_known_as_such_by_discovery(run):
    answers = []

    def own(r):
        if r.primary is None or answers:
            return None
        answers.append(r.call("GET", "/api/v1/namespaces/kube-system/secrets/x").status)  # may look, there is none
        answers.append(r.call("PATCH", "/api/v1/namespaces/scoped", {"metadata": {"annotations": {"seen": "yes"}}}, content_type="application/merge-patch+json").status)
        answers.append(r.call("PATCH", "/api/v1/namespaces/default", {"metadata": {"annotations": {"seen": "yes"}}}, content_type="application/merge-patch+json").status)
        meta = r.primary["metadata"]
        answers.append(r.apply("/api/v1/namespaces/scoped/secrets/child", {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "child", "namespace": "scoped", "ownerReferences": [
                {"apiVersion": "v1", "kind": "Namespace", "name": r.name, "uid": meta["uid"], "controller": True}]}}).status)
        return None

    delegate = Delegate(own)
    spec = controller(delegate, "scoped", primary={"version": "v1", "resource": "namespaces"})
    cluster = run(delegate, spec, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "scoped", "labels": {"test": "scoped"}}})
    eventually(lambda: len(answers) == 4, what="the calls")
    assert answers == [404, 200, 403, 201]
    before = delegate.count(name="scoped")
    cluster.kubectl("delete", "secret", "child", "-n", "scoped")
    eventually(lambda: delegate.count(name="scoped") > before, what="the owner's reconcile after its child went")


def test_what_leaves_match_is_unmatched_and_what_is_deleted_is_gone(run):
    delegate = Delegate(lambda r: None)
    cluster = run(delegate, controller(delegate, "leaving"), primary("leaves", "leaving"), primary("goes", "leaving"))
    eventually(lambda: delegate.count() == 2)
    cluster.kubectl("label", "configmap", "leaves", "-n", "default", "test=other", "--overwrite")
    cluster.kubectl("delete", "configmap", "goes", "-n", "default")
    eventually(lambda: {(r.name, r.state) for r in delegate.seen} >= {("leaves", "unmatched"), ("goes", "gone")}, what="both")
    gone = [r for r in delegate.seen if r.state == "gone"][-1]
    assert json.loads(gone.message.gone.last_state)["metadata"]["name"] == "goes"
    cluster.kubectl("annotate", "configmap", "leaves", "-n", "default", "x=y")
    time.sleep(0.5)
    assert delegate.count(name="leaves") == 2, "what is not ours any more is not told"


def test_events_are_recorded_about_the_primary_aggregated_and_limited(run, plane):
    def tell(r):
        if r.primary is None:
            return None
        same = [pb.RecordedEvent(type="Normal", reason="Made", message="the same")] * 3
        other = [pb.RecordedEvent(type="Warning", reason="Different", message=f"message {i}") for i in range(15)]
        return {"ok": pb.Ok(), "events": same + other}

    delegate = Delegate(tell)
    cluster = run(delegate, controller(delegate, "events"), primary("told", "events"))

    def events():
        return [e for e in cluster.get(f"{NS}/events")["items"] if e["involvedObject"]["name"] == "told"]

    eventually(lambda: plane.metric('gulfstream_events_total{result="written"}') >= 18, what="the events")
    by_message = {e["message"]: e for e in events()}
    made = by_message["the same"]
    assert made["count"] == 3 and made["reason"] == "Made" and made["source"]["component"] == "gulfstream-events"
    assert made["involvedObject"]["kind"] == "ConfigMap" and made["involvedObject"]["uid"] == cluster.get(f"{NS}/configmaps/told")["metadata"]["uid"]
    combined = [e for m, e in by_message.items() if m.startswith("(combined from similar events)")]
    assert len(combined) == 1 and combined[0]["count"] == 6 and len(by_message) == 1 + 9 + 1
    # More than the burst of 25 for one object and type: the rest is dropped, nobody waits.
    for i in range(3):
        cluster.apply(primary("told", "events", again=str(i)))
        eventually(lambda: delegate.count(name="told") >= 2 + i)
    eventually(lambda: plane.metric('gulfstream_events_total{result="dropped"}') > 0, what="the limit")
    assert sum(e["count"] for e in events() if e["type"] == "Warning") <= 25


def test_long_lists_come_in_parts_from_the_cache_and_from_the_server(run):
    filler = "x" * 100_000
    lists = {}

    def read(r):
        if r.primary is None or lists:
            return None
        lists["cache"] = r.cached(f"{NS}/configmaps", "labelSelector=long%3Dyes").json()
        lists["live"] = r.call("GET", f"{NS}/configmaps", query="labelSelector=long%3Dyes").json()
        page = r.call("GET", f"{NS}/configmaps", query="labelSelector=long%3Dyes&limit=20").json()
        lists["pages"] = [len(page["items"])]
        while page["metadata"].get("continue"):
            page = r.call("GET", f"{NS}/configmaps", query=f"labelSelector=long%3Dyes&limit=20&continue={page['metadata']['continue']}").json()
            lists["pages"].append(len(page["items"]))
        lists["part"] = r.session.longest_part
        lists["empty"] = r.cached(f"{NS}/secrets", "labelSelector=none%3Dyes").json()
        return None

    delegate = Delegate(read)
    long = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"long-{i}", "namespace": "default", "labels": {"long": "yes"}}, "data": {"x": filler}}
            for i in range(50)]
    run(delegate, controller(delegate, "long"), *long, primary("lists", "long"))
    eventually(lambda: "empty" in lists, timeout=60, what="the lists")
    names = sorted(f"long-{i}" for i in range(50))
    for kind in ("cache", "live"):
        assert [o["metadata"]["name"] for o in lists[kind]["items"]] == names, kind
        assert lists[kind]["kind"] == "ConfigMapList" and lists[kind]["apiVersion"] == "v1"
    assert sum(lists["pages"]) == 50 and lists["pages"][0] == 20
    assert lists["part"] <= 64 * 1024, "more than 4 MiB in all, in parts"
    assert lists["empty"]["kind"] == "SecretList" and lists["empty"]["items"] == [] and lists["empty"]["metadata"]["resourceVersion"]


def test_a_delegate_lists_and_watches_the_planes_cache(run, plane):
    held = []
    delegate = Delegate(lambda r: held.append(r) if not held else None)
    spec = controller(delegate, "lister", secondary=[{"version": "v1", "resource": "secrets", "delegateWatch": True}, {"version": "v1", "resource": "services"}])
    cluster = run(delegate, spec, primary("lister", "lister"), secret("w-1", labels={"w": "yes"}), secret("w-2", labels={"w": "yes"}))
    r = eventually(lambda: held and held[0], what="a reconcile, which opens the pair")
    forwarded = plane.metric('gulfstream_calls_total{result="forwarded"}')
    listed = r.pair_call("/api/v1/secrets", "labelSelector=w%3Dyes&resourceVersion=0").json()
    assert [o["metadata"]["name"] for o in listed["items"]] == ["w-1", "w-2"]
    watch = r.session.watch(r.message.pair, "/api/v1/secrets", f"labelSelector=w%3Dyes&allowWatchBookmarks=true&resourceVersion={listed['metadata']['resourceVersion']}")
    cluster.apply(secret("w-3", labels={"w": "yes"}))
    assert [(t, o["metadata"]["name"]) for t, o in [watch.next()]] == [("ADDED", "w-3")]
    cluster.apply(secret("w-3", labels={"w": "yes"}, a="1"))
    kind, third = watch.next()
    assert kind == "MODIFIED" and third["data"]
    cluster.kubectl("label", "secret", "w-3", "-n", "default", "w=no", "--overwrite")
    assert watch.next()[0] == "DELETED", "it left the selector"
    cluster.kubectl("delete", "secret", "w-2", "-n", "default")
    assert [(t, o["metadata"]["name"]) for t, o in [watch.next()]] == [("DELETED", "w-2")]
    # Resumed from a version that is still known, what came since comes again.
    again = r.session.watch(r.message.pair, "/api/v1/secrets", f"labelSelector=w%3Dyes&resourceVersion={third['metadata']['resourceVersion']}")
    assert [again.next()[0], again.next()[0]] == ["DELETED", "DELETED"]
    fresh = r.session.watch(r.message.pair, "/api/v1/secrets", "labelSelector=w%3Dyes&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")
    initial = fresh.until("BOOKMARK")
    assert [o["metadata"]["name"] for t, o in initial[:-1] if t == "ADDED"] == ["w-1"]
    assert initial[-1][1]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true" and initial[-1][1]["kind"] == "Secret"
    old = r.session.watch(r.message.pair, "/api/v1/secrets", "resourceVersion=1")
    assert old.next() is None and old.status == 410
    short = r.session.watch(r.message.pair, "/api/v1/secrets", f"timeoutSeconds=1&resourceVersion={listed['metadata']['resourceVersion']}")
    while short.next() is not None:
        pass
    assert short.status == 200 and short.ended
    assert r.pair_call("/api/v1/services").status == 403, "not without delegateWatch"
    assert r.session.watch(r.message.pair, "/api/v1/configmaps", "").next()[0] == "ADDED", "the primary always"
    assert plane.metric('gulfstream_calls_total{result="forwarded"}') == forwarded, "none of it cost the cluster a request"


def test_a_watch_that_falls_behind_ends_with_410_and_holds_nobody_up(run):
    held, reconciled = [], []

    def note(r):
        held.append(r)
        reconciled.append(r.name)

    delegate = Delegate(note)
    spec = controller(delegate, "behind", secondary=[{"version": "v1", "resource": "secrets", "delegateWatch": True}])
    cluster = run(delegate, spec, primary("behind", "behind"))
    r = eventually(lambda: held and held[0])
    stuck = r.session.watch(r.message.pair, "/api/v1/secrets", "labelSelector=flood%3Dyes&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
                            reads=False)
    stuck.until("BOOKMARK")
    # More than the journal's 16 MiB, in objects near the limit of what a server takes.
    cluster.apply(secret("flood", labels={"flood": "yes"}))
    for i in range(24):
        cluster.request("PUT", f"{NS}/secrets/flood", secret("flood", labels={"flood": "yes"}, x=chr(97 + i) * 700_000))
    cluster.apply(primary("meanwhile", "behind"))
    eventually(lambda: "meanwhile" in reconciled, timeout=10, what="a reconcile beside the watch that does not read")
    stuck.resume()
    threading.Thread(target=lambda: [stuck.resume() or time.sleep(0.05) for _ in range(200)], daemon=True).start()
    last = stuck.until("ERROR", timeout=30)[-1][1]
    assert last["code"] == 410 and last["reason"] == "Expired"
    assert stuck.next() is None


def test_echoes_of_its_own_writes_do_not_requeue_where_the_delegate_ignores_them(run):
    def touch(r):
        if r.primary is None:
            return None
        if "touched" not in r.primary["metadata"].get("annotations", {}):
            r.call("PATCH", f"{NS}/configmaps/{r.name}", {"metadata": {"annotations": {"touched": "yes"}}}, content_type="application/merge-patch+json")
            r.apply(f"{NS}/secrets/echo", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "echo", "ownerReferences": owner(r)}})
        return None

    delegate = Delegate(touch, capabilities=["ignores-echoes"])
    cluster = run(delegate, controller(delegate, "echoes"), primary("echo", "echoes"))
    eventually(lambda: cluster.get(f"{NS}/secrets/echo"), what="the writes")
    time.sleep(1.5)
    first = delegate.count(name="echo")
    assert first == 1, "its own writes requeue nothing, even where the event overtakes the answer"
    cluster.kubectl("annotate", "secret", "echo", "-n", "default", "by=somebody")
    eventually(lambda: delegate.count(name="echo") > first, what="somebody else's change")
