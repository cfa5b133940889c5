"""A Backup, in v2, becomes a CronJob. Kubernetes, and nothing of the protocol."""
from __future__ import annotations

import json
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from .versions import Object

IMAGE = "registry.example.com/backup:stable"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


class Caller(Protocol):
    """Sends a Call of this reconcile and waits for the whole answer."""

    def __call__(self, method: str, path: str, *, query: str = "", content_type: str = "", body: bytes = b"") -> Awaitable[Answer]: ...


@dataclass
class Outcome:
    kind: str = "ok"  # ok, conflict, transient, permanent
    reason: str = ""
    message: str = ""


async def reconcile(backup: Object | None, call: Caller) -> Outcome:
    if backup is None or backup["metadata"].get("deletionTimestamp"):
        return Outcome()  # the CronJob goes with its owner
    namespace, name = backup["metadata"]["namespace"], backup["metadata"]["name"]
    path = f"/apis/batch/v1/namespaces/{namespace}/cronjobs/{name}"
    answer = await call("PATCH", path, query="force=true", content_type="application/apply-patch+yaml", body=json.dumps(cron_job(backup)).encode())
    if failed := failure(answer):
        return failed
    status = {"observedGeneration": backup["metadata"]["generation"], "cronJob": name}
    if all((backup.get("status") or {}).get(field) == value for field, value in status.items()):
        return Outcome()
    patch = {"metadata": {"uid": backup["metadata"]["uid"]}, "status": status}
    path = f"/apis/samples.gulfstream.dev/v2/namespaces/{namespace}/backups/{name}/status"
    return failure(await call("PATCH", path, content_type="application/merge-patch+json", body=json.dumps(patch).encode())) or Outcome()


def cron_job(backup: Object) -> Object:
    meta, spec = backup["metadata"], backup["spec"]
    destination = spec["destination"]
    owner = {"apiVersion": backup["apiVersion"], "kind": "Backup", "name": meta["name"], "uid": meta["uid"], "controller": True}
    arguments = [f'--bucket={destination["bucket"]}', f'--prefix={destination.get("prefix", "")}', f'--keep-days={spec["retentionDays"]}']
    container = {"name": "backup", "image": IMAGE, "args": arguments}
    pod = {"spec": {"restartPolicy": "OnFailure", "containers": [container]}}
    return {
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "ownerReferences": [owner]},
        "spec": {"schedule": spec["schedule"]["cron"], "timeZone": spec["schedule"].get("timeZone", "Etc/UTC"), "concurrencyPolicy": "Forbid",
                 "jobTemplate": {"spec": {"template": pod}}},
    }


def failure(answer: Answer) -> Outcome | None:
    if 200 <= answer.status < 300:
        return None
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = {}
    reason, message = said.get("reason") or "Unknown", said.get("message") or f"HTTP status {answer.status}"
    kind = {404: "ok", 409: "conflict", 400: "permanent", 422: "permanent"}.get(answer.status, "transient")  # 404: deleted meanwhile
    return Outcome(kind, reason, message)
