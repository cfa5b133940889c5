"""The conversion: nothing is lost, and what cannot be said is said to be so."""
import copy
import itertools

import pytest
from backups.versions import GROUP, RETENTION, TIME_ZONE, ConversionError, convert

V1, V2 = f"{GROUP}/v1", f"{GROUP}/v2"


def v1(schedule="0 3 * * *", destination="s3://nightly/db", retention="14d", notes=None):
    meta = {"name": "db", "namespace": "shop", "uid": "u", "labels": {"a": "b"}}
    if notes:
        meta["annotations"] = notes
    return {"apiVersion": V1, "kind": "Backup", "metadata": meta,
            "spec": {"schedule": schedule, "destination": destination, "retention": retention}, "status": {"cronJob": "db"}}


def test_v2_says_in_fields_what_v1_says_in_strings():
    out = convert(v1(retention="2w"), V2)
    assert out["apiVersion"] == V2
    assert out["spec"] == {"schedule": {"cron": "0 3 * * *", "timeZone": "Etc/UTC"}, "destination": {"bucket": "nightly", "prefix": "db"},
                           "retentionDays": 14}
    assert out["metadata"]["annotations"] == {RETENTION: "2w"}
    assert out["status"] == {"cronJob": "db"}, "what both have alike is left alone"


DESTINATIONS = ("s3://nightly", "s3://nightly/", "s3://nightly/db/x")
NOTES = (None, {"other": "kept"}, {TIME_ZONE: "Europe/Berlin"}, {TIME_ZONE: "Europe/Berlin", "other": "kept"})


@pytest.mark.parametrize(("destination", "retention", "notes"), itertools.product(DESTINATIONS, ("14d", "2w", "1d"), NOTES))
def test_nothing_is_lost_from_v1_to_v2_and_back(destination, retention, notes):
    item = v1(destination=destination, retention=retention, notes=notes)
    before = copy.deepcopy(item)
    assert convert(convert(item, V2), V1) == before
    assert item == before, "the original is not touched"


@pytest.mark.parametrize("zone", ["Etc/UTC", "Europe/Berlin"])
@pytest.mark.parametrize("count", [1, 7, 14, 400])
def test_nothing_is_lost_from_v2_to_v1_and_back(zone, count):
    item = convert(v1(), V2)
    item["spec"]["schedule"]["timeZone"] = zone
    item["spec"]["retentionDays"] = count
    assert convert(convert(item, V1), V2) == item


def test_a_number_changed_in_v2_wins_over_how_v1_wrote_it():
    item = convert(v1(retention="2w"), V2)
    item["spec"]["retentionDays"] = 15
    out = convert(item, V1)
    assert out["spec"]["retention"] == "15d"
    assert "annotations" not in out["metadata"]


@pytest.mark.parametrize(("spec", "why"), [
    ({"destination": "gs://x"}, 'spec.destination: "gs://x" is not s3://BUCKET/PREFIX'),
    ({"retention": "2m"}, 'spec.retention: "2m" is not a number of days or weeks, as 10d or 2w'),
    ({"retention": 3}, "spec.retention: must be a string in v1"),
])
def test_what_has_no_form_in_v2_names_the_field(spec, why):
    with pytest.raises(ConversionError) as failed:
        convert({"apiVersion": V1, "kind": "Backup", "metadata": {}, "spec": spec}, V2)
    assert str(failed.value) == why


def test_an_object_without_a_spec_is_left_to_validation():
    assert convert({"apiVersion": V1, "kind": "Backup", "metadata": {}}, V2) == {"apiVersion": V2, "kind": "Backup", "metadata": {}}


def test_another_group_or_version_is_refused():
    with pytest.raises(ConversionError, match="converts between"):
        convert(v1(), f"{GROUP}/v3")
