"""What is done for one Namespace. Knows Kubernetes and profiles, nothing of the protocol."""
from __future__ import annotations

from collections import OrderedDict

from .api import Api, ApiError, Event, Outcome, Request
from .profile import (APPLIED_ANNOTATION, CONFIG_PREFIX, KINDS, PROFILE_LABEL, InvalidProfile, Kind, Object, Profile, content, desired,
                      digest, is_ours, parse_profile)


class Memo:
    """What the server answered to our last apply of each object. It only saves writes that would change nothing:
    a lost entry (restart, eviction) costs one of those."""

    def __init__(self, size: int = 100_000) -> None:
        self._entries: OrderedDict[tuple[str, str], tuple[str, str]] = OrderedDict()
        self._size = size

    def unchanged(self, key: tuple[str, str], want: Object, have: Object) -> bool:
        return self._entries.get(key) == (digest(want), content(have))

    def remember(self, key: tuple[str, str], want: Object, answered: Object) -> None:
        self._entries[key] = (digest(want), content(answered))
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


class Reconciler:
    def __init__(self, memo: Memo | None = None) -> None:
        self._memo = memo or Memo()

    async def reconcile(self, request: Request) -> Outcome:
        try:
            return await self._reconcile(request)
        except ApiError as error:
            return outcome_of(error)

    async def _reconcile(self, request: Request) -> Outcome:
        namespace = request.namespace
        if namespace is None or namespace["metadata"].get("deletionTimestamp"):
            return Outcome("skip")  # everything in it goes with it
        meta = namespace["metadata"]
        name = (meta.get("labels") or {}).get(PROFILE_LABEL) if request.matched else None
        if name is None:
            # The annotation says that there is something to remove, also when the label went while nobody looked.
            has_baseline = APPLIED_ANNOTATION in (meta.get("annotations") or {})
            return await self._remove(request, namespace) if has_baseline else Outcome("skip")
        config = request.configs.get(CONFIG_PREFIX + name)
        if config is None:
            message = f"there is no ConfigMap {CONFIG_PREFIX}{name} among the Controller's configs for profile {name}"
            return failed("UnknownProfile", message)
        try:
            profile = parse_profile(name, config)
        except InvalidProfile as error:
            return failed("InvalidProfile", f"ConfigMap {CONFIG_PREFIX}{name}: {error}")
        return await self._apply(request, namespace, profile)

    async def _apply(self, request: Request, namespace: Object, profile: Profile) -> Outcome:
        changed = []
        for kind in KINDS:
            want = desired(profile, kind, namespace)
            if want is None:
                did = "deleted" if await delete_ours(request.api, kind, request.name) else ""
            else:
                did = await self._apply_one(request, kind, want)
            if did:
                changed.append(f"{did} {kind.kind}")
        await annotate(request.api, namespace, profile.applied)
        if not changed:
            return Outcome()
        return Outcome(events=[Event("BaselineApplied", f"profile {profile.name}: {', '.join(changed)}")])

    async def _apply_one(self, request: Request, kind: Kind, want: Object) -> str:
        path = kind.path(request.name)
        key = (request.cluster, path)
        have = await request.api.get(path)
        if have is not None and self._memo.unchanged(key, want, have):
            return ""
        if have is not None and kind.kind == "RoleBinding" and not same_role(have["roleRef"], want["roleRef"]):
            await request.api.delete(path, have["metadata"]["uid"])  # roleRef is immutable
        answered = await request.api.apply(path, want)
        self._memo.remember(key, want, answered)
        if have is None:
            return "created"
        return "" if content(answered) == content(have) else "updated"

    async def _remove(self, request: Request, namespace: Object) -> Outcome:
        removed = [kind.kind for kind in KINDS if await delete_ours(request.api, kind, request.name)]
        await annotate(request.api, namespace, None)
        return Outcome(events=[Event("BaselineRemoved", f"removed {', '.join(removed) or 'nothing'}")])


async def delete_ours(api: Api, kind: Kind, namespace: str) -> bool:
    path = kind.path(namespace)
    have = await api.get(path)
    if have is None or not is_ours(have):
        return False
    await api.delete(path, have["metadata"]["uid"])
    return True


async def annotate(api: Api, namespace: Object, value: str | None) -> None:
    meta = namespace["metadata"]
    if (meta.get("annotations") or {}).get(APPLIED_ANNOTATION) == value:
        return
    # The uid makes it a conflict where the Namespace was made anew meanwhile.
    await api.merge(f"/api/v1/namespaces/{meta['name']}", {"metadata": {"uid": meta["uid"], "annotations": {APPLIED_ANNOTATION: value}}})


def same_role(have: Object, want: Object) -> bool:
    """The server fills in apiGroup."""
    return (have.get("kind"), have.get("name")) == (want.get("kind"), want.get("name"))


def failed(reason: str, message: str) -> Outcome:
    """Nothing will be better before the Namespace or a config changes, and then the key comes again."""
    return Outcome("permanent", reason, message, [Event(reason, message, warning=True)])


def outcome_of(error: ApiError) -> Outcome:
    if error.status == 409:
        return Outcome("conflict", error.reason, error.message)
    if error.status in (400, 422):
        return failed(error.reason, error.message)  # what the profile says is not acceptable to the API server
    if error.status == 404:
        return Outcome("skip")  # the Namespace went meanwhile
    # 403 too: permissions are granted later than they are needed. 504 UnknownOutcome: the next attempt finds out.
    return Outcome("transient", error.reason, error.message)
