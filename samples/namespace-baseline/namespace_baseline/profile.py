"""What a profile asks for: a ConfigMap read, checked, and turned into objects. Pure."""
from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import yaml

Object = dict[str, Any]

PROFILE_LABEL = "baseline.gulfstream.dev/profile"
APPLIED_ANNOTATION = "baseline.gulfstream.dev/applied"
MANAGED_BY = {"app.kubernetes.io/managed-by": "namespace-baseline"}
CONFIG_PREFIX = "baseline-"  # the ConfigMap of profile "restricted" is "baseline-restricted"
NAME = "baseline"            # of every object made


class InvalidProfile(ValueError):
    """The ConfigMap cannot be used; the message says where and how to mend it."""


@dataclass(frozen=True)
class Kind:
    """One kind of object that a baseline consists of."""

    key: str                  # in the ConfigMap's data
    api_version: str
    kind: str
    resource: str
    fields: tuple[str, ...]   # top-level fields that the profile may set

    def path(self, namespace: str) -> str:
        root = "/apis/" if "/" in self.api_version else "/api/"
        return f"{root}{self.api_version}/namespaces/{namespace}/{self.resource}/{NAME}"


KINDS = (
    Kind("networkPolicy.yaml", "networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", ("spec",)),
    Kind("resourceQuota.yaml", "v1", "ResourceQuota", "resourcequotas", ("spec",)),
    Kind("limitRange.yaml", "v1", "LimitRange", "limitranges", ("spec",)),
    Kind("roleBinding.yaml", "rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", ("roleRef", "subjects")),
)


@dataclass(frozen=True)
class Profile:
    name: str
    parts: dict[str, Object] = field(default_factory=dict)  # Kind.key -> top-level fields; absent: no such object

    @property
    def digest(self) -> str:
        return digest(self.parts)

    @property
    def applied(self) -> str:
        """The value of APPLIED_ANNOTATION. No time in it: it must not change when nothing did."""
        return f"{self.name}@{self.digest}"


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def parse_profile(name: str, config_map: Object) -> Profile:
    data = config_map.get("data") or {}
    unknown = sorted(set(data) - {kind.key for kind in KINDS})
    if unknown:
        known = ", ".join(kind.key for kind in KINDS)
        raise InvalidProfile(f"data: unknown key {unknown[0]}; known are {known}")
    return Profile(name, {kind.key: _parse_part(kind, data[kind.key]) for kind in KINDS if kind.key in data})


def _parse_part(kind: Kind, text: str) -> Object:
    try:
        part = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidProfile(f"data[{kind.key}]: is not YAML: {error}") from error
    if not isinstance(part, dict) or not part:
        raise InvalidProfile(f"data[{kind.key}]: must be a mapping with {' and '.join(kind.fields)}")
    for name in part:
        if name not in kind.fields:
            raise InvalidProfile(f"data[{kind.key}].{name}: only {' and '.join(kind.fields)} may be set")
    for name in kind.fields:
        if not part.get(name):
            raise InvalidProfile(f"data[{kind.key}].{name}: is required")
    return _explicit_rules(part) if kind.kind == "NetworkPolicy" else part


def _explicit_rules(part: Object) -> Object:
    """An absent rule list means "none"; said explicitly, an apply owns it, and rules that others add are taken out again."""
    spec = part["spec"]
    types = spec.get("policyTypes") or ["Ingress", "Egress"]
    rules = {direction.lower(): spec.get(direction.lower()) or [] for direction in types}
    return {"spec": {"podSelector": {}, **spec, "policyTypes": types, **rules}}


def desired(profile: Profile, kind: Kind, namespace: Object) -> Object | None:
    """The object to apply, or None where the profile has none of this kind."""
    part = profile.parts.get(kind.key)
    if part is None:
        return None
    meta = namespace["metadata"]
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": NAME,
            "namespace": meta["name"],
            "labels": {**MANAGED_BY, PROFILE_LABEL: profile.name},
            # controller: true maps the object back to its Namespace, so that drift comes as a reconcile.
            "ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": meta["name"], "uid": meta["uid"], "controller": True}],
        },
        **part,
    }


def content(item: Object) -> str:
    """A digest of what somebody might have changed: all but status and the server's own metadata."""
    meta = item.get("metadata", {})
    kept = {name: value for name, value in item.items() if name not in ("metadata", "status", "apiVersion", "kind")}
    return digest([kept, meta.get("labels"), meta.get("ownerReferences"), meta.get("deletionTimestamp")])


def is_ours(item: Object) -> bool:
    labels = item["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in MANAGED_BY.items())
