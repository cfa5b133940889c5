import pathlib

import pytest
import yaml
from namespace_baseline.profile import KINDS, InvalidProfile, content, desired, parse_profile

NAMESPACE = {"metadata": {"name": "shop", "uid": "u1"}}
NETWORK, QUOTA, LIMITS, BINDING = KINDS


def profile(**data):
    return parse_profile("p", {"data": {name + ".yaml": text for name, text in data.items()}})


def test_the_profiles_that_are_shipped_are_valid():
    shipped = pathlib.Path(__file__).parents[1] / "deploy" / "profiles.yaml"
    configs = {c["metadata"]["name"]: c for c in yaml.safe_load_all(shipped.read_text())}
    assert set(parse_profile("restricted", configs["baseline-restricted"]).parts) == {k.key for k in KINDS}
    assert set(parse_profile("open", configs["baseline-open"]).parts) == {QUOTA.key, BINDING.key}


def test_an_object_is_owned_by_its_namespace():
    made = desired(profile(resourceQuota="spec: {hard: {pods: '1'}}"), QUOTA, NAMESPACE)
    assert made["spec"] == {"hard": {"pods": "1"}}
    assert made["metadata"]["namespace"] == "shop"
    assert made["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Namespace", "name": "shop", "uid": "u1", "controller": True}]


def test_a_default_deny_owns_its_empty_rule_lists():
    made = desired(profile(networkPolicy="spec: {podSelector: {}, policyTypes: [Ingress]}"), NETWORK, NAMESPACE)
    assert made["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []}


def test_a_kind_that_the_profile_does_not_name_is_not_wanted():
    assert desired(profile(resourceQuota="spec: {hard: {pods: '1'}}"), LIMITS, NAMESPACE) is None


@pytest.mark.parametrize("data,message", [
    ({"quota": "spec: {}"}, "data: unknown key quota.yaml; known are networkPolicy.yaml"),
    ({"resourceQuota": "{"}, "data[resourceQuota.yaml]: is not YAML"),
    ({"resourceQuota": "[]"}, "data[resourceQuota.yaml]: must be a mapping with spec"),
    ({"resourceQuota": "metadata: {name: x}"}, "data[resourceQuota.yaml].metadata: only spec may be set"),
    ({"roleBinding": "subjects: [{}]"}, "data[roleBinding.yaml].roleRef: is required"),
])
def test_a_bad_profile_names_the_field(data, message):
    with pytest.raises(InvalidProfile) as error:
        profile(**data)
    assert str(error.value).startswith(message)


def test_paths_are_those_of_the_api_server():
    assert QUOTA.path("a") == "/api/v1/namespaces/a/resourcequotas/baseline"
    assert NETWORK.path("a") == "/apis/networking.k8s.io/v1/namespaces/a/networkpolicies/baseline"


def test_content_leaves_out_what_the_server_writes():
    before = {"metadata": {"labels": {"a": "b"}, "resourceVersion": "1"}, "spec": {"x": 1}}
    assert content(before) == content({**before, "metadata": {"labels": {"a": "b"}, "resourceVersion": "2"}, "status": {"used": 1}})
    assert content(before) != content({**before, "spec": {"x": 2}})
    assert content(before) != content({**before, "metadata": {"labels": {}}})


def test_the_annotation_changes_with_the_profile_only():
    one, same, other = (profile(resourceQuota=f"spec: {{hard: {{pods: '{n}'}}}}") for n in (1, 1, 2))
    assert one.applied == same.applied != other.applied
    assert one.applied.startswith("p@")
