"""Kubernetes requests of one reconcile, and the delegate's view of one reconcile."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from .profile import Object


class ApiError(Exception):
    """An answer that is no success, as the API server's Status object describes it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    @staticmethod
    def from_answer(status: int, body: bytes) -> ApiError:
        try:
            content = json.loads(body)
        except ValueError:
            content = {}
        if not isinstance(content, dict):
            content = {}
        return ApiError(status, content.get("reason") or "Unknown", content.get("message") or f"HTTP status {status}")


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


class Caller(Protocol):
    """Sends a Call of one reconcile and waits for the whole answer."""

    async def __call__(self, method: str, path: str, *, query: str = "", content_type: str = "", body: bytes = b"") -> Answer: ...


class Api:
    def __init__(self, caller: Caller, prefetched: dict[str, Object | None] | None = None) -> None:
        self._caller = caller
        self._prefetched = prefetched or {}

    async def get(self, path: str) -> Object | None:
        """From the message itself or the plane's cache: never a request to the cluster for what is watched."""
        if path in self._prefetched:
            return self._prefetched.pop(path)
        try:
            return await self._request("GET", path, query="resourceVersion=0")
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def apply(self, path: str, item: Object) -> Object:
        return await self._request("PATCH", path, query="force=true", content_type="application/apply-patch+yaml", body=item)

    async def merge(self, path: str, patch: Object) -> Object:
        return await self._request("PATCH", path, content_type="application/merge-patch+json", body=patch)

    async def delete(self, path: str, uid: str) -> None:
        """Deletes the very object that was seen; gone already is as good."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        try:
            await self._request("DELETE", path, content_type="application/json", body=options)
        except ApiError as error:
            if error.status != 404:
                raise

    async def _request(self, method: str, path: str, *, query: str = "", content_type: str = "", body: Any = None) -> Object:
        data = b"" if body is None else json.dumps(body).encode()
        answer = await self._caller(method, path, query=query, content_type=content_type, body=data)
        if not 200 <= answer.status < 300:
            raise ApiError.from_answer(answer.status, answer.body)
        item: Object = json.loads(answer.body)
        return item


@dataclass
class Request:
    """One key to reconcile."""

    cluster: str                      # uid of the Cluster: names are not unique over tenants
    name: str                         # of the Namespace
    namespace: Object | None          # None: it does not exist
    matched: bool                     # false: it no longer satisfies spec.primary.match
    configs: dict[str, Object]        # the ConfigMaps of spec.configs that exist, by name
    api: Api


@dataclass(frozen=True)
class Event:
    reason: str
    message: str
    warning: bool = False


@dataclass
class Outcome:
    kind: str = "ok"                  # ok, skip, conflict, transient, permanent
    reason: str = ""
    message: str = ""
    events: list[Event] = field(default_factory=list)
