"""v1 and v2 of Backup, and back. Pure: a conversion is a function of the object alone, so the plane may keep its answers.

  v1.spec  schedule: "0 3 * * *"            destination: "s3://bucket/prefix"      retention: "2w"
  v2.spec  schedule: {cron, timeZone}       destination: {bucket, prefix}          retentionDays: 14

Nothing is lost either way: what v1 has no field for (the time zone) is in an annotation there, and how v1 wrote its retention
("2w", not "14d") in one of v2.
"""
from __future__ import annotations

import copy
import re
from typing import Any

GROUP = "samples.gulfstream.dev"
TIME_ZONE = "backups.samples.gulfstream.dev/time-zone"
RETENTION = "backups.samples.gulfstream.dev/v1-retention"
DAYS = {"d": 1, "w": 7}

Object = dict[str, Any]


class ConversionError(Exception):
    """This object has no form in the other version; says which field, and what is wrong."""


def convert(item: Object, desired: str) -> Object:
    have = item.get("apiVersion")
    way = WAYS.get((have, desired))
    if have == desired:
        return item
    if way is None:
        raise ConversionError(f"from {have} to {desired}: this delegate converts between {GROUP}/v1 and {GROUP}/v2")
    out = copy.deepcopy(item)
    out["apiVersion"] = desired
    # A server asks for what is not yet valid, too: an absent spec stays absent, and validation says so.
    if isinstance(out.get("spec"), dict):
        way(out, out["spec"])
    return out


def to_v2(out: Object, spec: Object) -> None:
    notes = annotations(out)
    if "schedule" in spec:
        spec["schedule"] = {"cron": text(spec, "schedule"), "timeZone": notes.pop(TIME_ZONE, "Etc/UTC")}
    if "destination" in spec:
        match = re.fullmatch(r"s3://([^/]+)(?:/(.*))?", text(spec, "destination"))
        if not match:
            raise ConversionError(f'spec.destination: "{spec["destination"]}" is not s3://BUCKET/PREFIX')
        # An empty prefix and none are told apart: "s3://bucket/" must come back as it was.
        spec["destination"] = {"bucket": match[1]} if match[2] is None else {"bucket": match[1], "prefix": match[2]}
    if "retention" in spec:
        written = text(spec, "retention")
        spec["retentionDays"] = days(written)
        del spec["retention"]
        if written != f'{spec["retentionDays"]}d':
            notes[RETENTION] = written
    set_annotations(out, notes)


def to_v1(out: Object, spec: Object) -> None:
    notes = annotations(out)
    if "schedule" in spec:
        schedule = mapping(spec, "schedule")
        spec["schedule"] = schedule.get("cron", "")
        if (zone := schedule.get("timeZone", "Etc/UTC")) != "Etc/UTC":
            notes[TIME_ZONE] = zone
    if "destination" in spec:
        destination = mapping(spec, "destination")
        prefix = destination.get("prefix")
        spec["destination"] = f's3://{destination.get("bucket", "")}' + ("" if prefix is None else f"/{prefix}")
    if "retentionDays" in spec:
        count = spec.pop("retentionDays")
        written = notes.pop(RETENTION, "")
        # Only while it says the same: v2 may have changed the number since.
        spec["retention"] = written if written and days(written) == count else f"{count}d"
    set_annotations(out, notes)


WAYS = {(f"{GROUP}/v1", f"{GROUP}/v2"): to_v2, (f"{GROUP}/v2", f"{GROUP}/v1"): to_v1}


def days(written: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,4})([dw])", written)
    if not match:
        raise ConversionError(f'spec.retention: "{written}" is not a number of days or weeks, as 10d or 2w')
    return int(match[1]) * DAYS[match[2]]


def text(spec: Object, field: str) -> str:
    if not isinstance(spec[field], str):
        raise ConversionError(f"spec.{field}: must be a string in v1")
    return spec[field]


def mapping(spec: Object, field: str) -> Object:
    if not isinstance(spec[field], dict):
        raise ConversionError(f"spec.{field}: must be an object in v2")
    return spec[field]


def annotations(item: Object) -> dict[str, str]:
    return dict((item.get("metadata") or {}).get("annotations") or {})


def set_annotations(item: Object, notes: dict[str, str]) -> None:
    if not isinstance(item.get("metadata"), dict):
        return
    if notes:
        item["metadata"]["annotations"] = notes
    else:
        item["metadata"].pop("annotations", None)
