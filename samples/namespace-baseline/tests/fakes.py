"""An API server in a dict, as far as the reconciler can tell."""
import copy
import json

from namespace_baseline.api import Answer, Api, Request


class FakeServer:
    def __init__(self):
        self.objects = {}
        self.writes = []
        self.fail = {}       # path -> (status, reason)
        self.uid = 0

    async def __call__(self, method, path, *, query="", content_type="", body=b""):
        if method != "GET":
            self.writes.append((method, path))
        if path in self.fail:
            status, reason = self.fail[path]
            return Answer(status, json.dumps({"reason": reason, "message": f"{reason} of {path}"}).encode())
        content = json.loads(body) if body else None
        have = self.objects.get(path)
        if method == "GET":
            assert query == "resourceVersion=0", "reads go to the plane's cache"
        elif method == "PATCH" and content_type.startswith("application/apply-patch"):
            self.uid += have is None
            meta = {"uid": have["metadata"]["uid"] if have else f"u{self.uid}", **content["metadata"]}
            have = self.objects[path] = {**(have or {}), **copy.deepcopy(content), "metadata": meta}
        elif method == "PATCH":
            annotations = have["metadata"].setdefault("annotations", {})
            for name, value in content["metadata"]["annotations"].items():
                annotations.pop(name, None) if value is None else annotations.update({name: value})
        elif method == "DELETE" and have:
            assert content["preconditions"]["uid"] == have["metadata"]["uid"]
            del self.objects[path]
        if have is None:
            return Answer(404, b'{"reason": "NotFound", "message": "not found"}')
        return Answer(200, json.dumps(have).encode())

    def namespace(self, name="shop", profile=None, **meta):
        item = {"metadata": {"name": name, "uid": f"uid-of-{name}", "labels": {"baseline.gulfstream.dev/profile": profile} if profile else {}, **meta}}
        self.objects[f"/api/v1/namespaces/{name}"] = item
        return item

    def request(self, namespace, configs, matched=True):
        return Request(cluster="c1", name=namespace["metadata"]["name"], namespace=copy.deepcopy(namespace), matched=matched,
                       configs=configs, api=Api(self))
