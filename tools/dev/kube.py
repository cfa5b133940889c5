"""The few words of kubectl that the demo needs, for machines without it: the same arguments, the same output.

    kube.py --context NAME get|delete TYPE[,TYPE...] [NAME] [-n NAMESPACE] -o name
    kube.py --context NAME create -f FILE
"""
import argparse
import base64
import json
import os
import ssl
import sys
import tempfile
import urllib.error
import urllib.request

import yaml

CORE = "/api/v1"


class Api:
    def __init__(self, path, context):
        with open(path) as f:
            config = yaml.safe_load(f)
        find = lambda part, name: next(e for e in config[part + "s"] if e["name"] == name)[part]  # noqa: E731
        chosen = find("context", context or config["current-context"])
        cluster, user = find("cluster", chosen["cluster"]), find("user", chosen["user"])
        self.server = cluster["server"]
        decode = lambda field, of: base64.b64decode(of[field]).decode()  # noqa: E731
        self.tls = ssl.create_default_context(cadata=decode("certificate-authority-data", cluster))
        # Python takes a client's key from a file only.
        with tempfile.NamedTemporaryFile("w") as pem:
            pem.write(decode("client-certificate-data", user) + decode("client-key-data", user))
            pem.flush()
            self.tls.load_cert_chain(pem.name)

    def request(self, method, path, body=None):
        request = urllib.request.Request(self.server + path, method=method, data=None if body is None else json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, context=self.tls, timeout=10) as answer:
            return json.load(answer)

    def resources(self):
        """Of each group in its preferred version."""
        paths = [CORE] + ["/apis/" + group["preferredVersion"]["groupVersion"] for group in self.request("GET", "/apis")["groups"]]
        for path in paths:
            for resource in self.request("GET", path)["resources"]:
                if "/" not in resource["name"]:
                    yield path, resource

    def find(self, wanted):
        """Path, resource; `wanted` as people write it: networkpolicy, ns, deployments, clusters.gulfstream.dev."""
        name, _, group = wanted.partition(".")
        for path, resource in self.resources():
            if group and not path.startswith(f"/apis/{group}/"):
                continue
            names = [resource["name"], resource["singularName"], resource["kind"].lower(), *resource.get("shortNames", [])]
            if name.lower() in names:
                return path, resource
        raise LookupError(f'the server doesn\'t have a resource type "{wanted}"')

    def collection(self, path, resource, namespace):
        middle = f"/namespaces/{namespace}" if resource["namespaced"] else ""
        return f"{path}{middle}/{resource['name']}"


def show(path, resource, name):
    group = "" if path == CORE else "." + path.split("/")[2]
    print(f"{resource['singularName']}{group}/{name}")


def get_or_delete(api, args):
    for wanted in args.types.split(","):
        path, resource = api.find(wanted)
        collection = api.collection(path, resource, args.namespace)
        if args.command == "delete":
            api.request("DELETE", f"{collection}/{args.name}")
            show(path, resource, args.name)
            continue
        found = api.request("GET", f"{collection}/{args.name}" if args.name else collection)
        for item in found["items"] if "items" in found else [found]:
            show(path, resource, item["metadata"]["name"])


def create(api, args):
    with open(args.file) as f:
        documents = [document for document in yaml.safe_load_all(f) if document]
    for document in documents:
        group = "" if "/" not in document["apiVersion"] else document["apiVersion"].split("/")[0]
        path, resource = api.find(document["kind"])
        assert path == ("/apis/" + document["apiVersion"] if group else CORE), f"{document['apiVersion']} is not the preferred version"
        namespace = document["metadata"].get("namespace", args.namespace)
        api.request("POST", api.collection(path, resource, namespace), document)
        show(path, resource, document["metadata"]["name"])


def main():
    parser = argparse.ArgumentParser(prog="kube.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--context")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("get", "delete"):
        one = commands.add_parser(command)
        one.add_argument("types")
        one.add_argument("name", nargs="?")
        one.add_argument("-n", "--namespace", default="default")
        one.add_argument("-o", choices=["name"], required=True)
    one = commands.add_parser("create")
    one.add_argument("-f", dest="file", required=True)
    one.add_argument("-n", "--namespace", default="default")
    one.add_argument("-o", choices=["name"], default="name")
    args = parser.parse_args()
    if args.command == "delete" and not args.name:
        parser.error("delete needs a name")
    try:
        api = Api(os.environ["KUBECONFIG"], args.context)
        create(api, args) if args.command == "create" else get_or_delete(api, args)
    except urllib.error.HTTPError as error:
        sys.exit(f"Error from server: {json.load(error)['message']}")
    except (LookupError, OSError) as error:
        sys.exit(f"error: {error}")


main()
