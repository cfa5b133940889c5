"""A delegate as a process of its own, to be killed: for each ConfigMap a Secret of the same data.

    python -m harness.copying_delegate PORT JOURNAL

Appends to JOURNAL what it did, a JSON line each: {"what": begin | wrote | end, "session", "id", "cluster", "key",
"attempt", "at"}, the time on the machine's monotonic clock, so that the journals of several lives can be joined.
"""
import json
import os
import random
import sys
import threading
import time

from .delegate import Delegate


class Journal:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1)
        self.lock = threading.Lock()

    def note(self, what, r, **more):
        line = json.dumps({"what": what, "session": f"{os.getpid()}-{id(r.session)}", "id": r.message.id, "cluster": r.cluster,
                           "key": f"{r.namespace}/{r.name}", "attempt": r.message.attempt, "at": time.monotonic(), **more})
        with self.lock:
            self.file.write(line + "\n")


def secret_of(primary):
    meta = primary["metadata"]
    return {"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": f"child-{meta['name']}", "namespace": meta["namespace"], "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"], "controller": True}]},
            "stringData": primary.get("data", {})}


def main():
    port, journal = int(sys.argv[1]), Journal(sys.argv[2])

    def reconcile(r):
        journal.note("begin", r)
        try:
            if r.primary is None:
                return None
            time.sleep(random.uniform(0, 0.03))  # so that whatever is killed is killed in the middle
            answer = r.apply(f"/api/v1/namespaces/{r.namespace}/secrets/child-{r.name}", secret_of(r.primary))
            journal.note("wrote", r, status=answer.status)
            if answer.status >= 300:
                raise RuntimeError(answer.body.decode(errors="replace")[:300])
            time.sleep(random.uniform(0, 0.03))
            return None
        finally:
            journal.note("end", r)

    Delegate(reconcile, port=port)
    threading.Event().wait()


if __name__ == "__main__":
    main()
