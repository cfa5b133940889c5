#!/usr/bin/env python3
"""Writes src/schema/kubernetes.inc from what Kubernetes publishes: the shape of every type that a plain kube-apiserver
serves by default. Run by hand when tools/kube names another version of Kubernetes; --check says whether it is out of date.

The inputs are in the Go module k8s.io/kubernetes (api/discovery, api/openapi-spec/v3) and in those of its API types.
src/schema/README.md says what the lines of the output mean."""
import argparse
import json
import os
import re
import subprocess
import sys

from go_types import Packages

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
OUTPUT = os.path.join(ROOT, "src", "schema", "kubernetes.inc")
MODULES = {"io.k8s.api.": "k8s.io/api", "io.k8s.apimachinery.": "k8s.io/apimachinery",
           "io.k8s.apiextensions-apiserver.": "k8s.io/apiextensions-apiserver", "io.k8s.kube-aggregator.": "k8s.io/kube-aggregator"}
# Types with a form of their own in JSON.
SPECIAL = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intstr",
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Duration": "duration",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "raw",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "raw",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "props[]",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "props|b",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "props|s",
}
SCALARS = {("string", None): "s", ("string", "byte"): "bytes", ("string", "date-time"): "time", ("integer", "int32"): "i32",
           ("integer", "int64"): "i64", ("integer", None): "i64", ("boolean", None): "b", ("number", "double"): "f", ("number", None): "f"}
GO_OF = {"s": "string", "bytes": "[]uint8", "i32": "int32", "i64": "int64", "b": "bool", "f": "float64"}


def module_dir(module):
    return subprocess.run(["go", "list", "-m", "-f", "{{.Dir}}", module], cwd=os.path.join(ROOT, "tools", "kube"), check=True,
                          capture_output=True, text=True).stdout.strip()


def short(name):
    """io.k8s.api.core.v1.PodSpec -> core.v1.PodSpec"""
    for prefix in ("io.k8s.api.", "io.k8s.apimachinery.pkg.apis.", "io.k8s.apimachinery.pkg.",
                   "io.k8s.apiextensions-apiserver.pkg.apis.", "io.k8s.kube-aggregator.pkg.apis."):
        if name.startswith(prefix):
            return name[len(prefix):]
    raise ValueError(f"{name}: a definition of a package that is not known")


class Generator:
    def __init__(self):
        self.kubernetes = module_dir("k8s.io/kubernetes")
        self.go = Packages({module: module_dir(module) for module in MODULES.values()})
        self.definitions = {}
        spec = os.path.join(self.kubernetes, "api", "openapi-spec", "v3")
        for file in sorted(os.listdir(spec)):
            if file.endswith(".json"):
                with open(os.path.join(spec, file)) as f:
                    self.definitions.update(json.load(f).get("components", {}).get("schemas", {}))
        self.by_kind = {}
        for name, definition in self.definitions.items():
            for gvk in definition.get("x-kubernetes-group-version-kind", []):
                self.by_kind.setdefault((gvk["group"], gvk["version"], gvk["kind"]), name)
        self.wanted = []  # names of definitions, in the order they are met
        self.generations = self._generations()

    def _generations(self):
        """(group directory, kind in lower case) of types with a generation: those whose PrepareForCreate says Generation = 1."""
        out = {("apiextensions", "customresourcedefinition")}  # in a module of its own
        registry = os.path.join(self.kubernetes, "pkg", "registry")
        for directory, _, files in os.walk(registry):
            if "strategy.go" in files:
                with open(os.path.join(directory, "strategy.go")) as f:
                    if "Generation = 1" in f.read():
                        group, kind = os.path.relpath(directory, registry).split(os.sep)[:2]
                        out.add((group, kind))
        return out

    def go_package(self, name):
        prefix = next(p for p in MODULES if name.startswith(p))
        path = name[len(prefix):].rsplit(".", 1)
        return MODULES[prefix] + "/" + path[0].replace(".", "/"), path[1]

    def reference(self, schema):
        ref = schema.get("$ref") or (schema["allOf"][0]["$ref"] if "allOf" in schema else None)
        return ref.rsplit("/", 1)[1] if ref else None

    def type_of(self, schema):
        """The type of a place: s, i32, @core.v1.PodSpec, []s, {}quantity, special words."""
        if name := self.reference(schema):
            if name in SPECIAL:
                return SPECIAL[name]
            target = self.definitions[name]
            if "properties" not in target:
                word = self.type_of(target)
                return "empty" if word == "raw" else word  # a struct without fields
            if name not in self.wanted:
                self.wanted.append(name)
            return "@" + short(name)
        if schema.get("type") == "array":
            return "[]" + self.type_of(schema["items"])
        if "additionalProperties" in schema:
            return "{}" + self.type_of(schema["additionalProperties"])
        if schema.get("type") == "object":
            return "raw"
        return SCALARS[(schema.get("type"), schema.get("format"))]

    def field(self, name, schema, required, go, package):
        kind = self.type_of(schema)
        options = []
        if required:
            options.append("!")
        if go:
            if go.numbers:
                if max(go.numbers) > 255 or len(go.numbers) > 4:
                    raise ValueError(f"{name}: protobuf numbers {go.numbers} do not fit src/schema/schema.h")
                options.append("#" + ".".join(map(str, go.numbers)))
            if go.pointer:
                options.append("p")
            if go.omit_empty:
                options.append("o")
            if go.omit_zero:
                options.append("z")
            natural = GO_OF.get(kind)
            if natural and go.go_type != natural and "." not in go.go_type and go.go_type[:1].isupper():
                options.append("go=" + package.rsplit("/", 1)[1] + "." + go.go_type)
        elif name in ("apiVersion", "kind"):
            options.append("o")  # of the embedded TypeMeta
        for key, mark in (("x-kubernetes-list-type", "list="), ("x-kubernetes-map-type", "map="), ("x-kubernetes-patch-strategy", "patch="),
                          ("x-kubernetes-patch-merge-key", "merge=")):
            if key in schema:
                options.append(mark + schema[key])
        if "x-kubernetes-list-map-keys" in schema:
            options.append("keys=" + ",".join(schema["x-kubernetes-list-map-keys"]))
        if schema.get("default") not in (None, {}, "", 0, False):
            options.append("default=" + json.dumps(schema["default"], separators=(",", ":")))
        return " ".join([f" {name}:{kind}", *options])

    def definition(self, name):
        schema = self.definitions[name]
        package, struct = self.go_package(name)
        go = self.go.fields(package, struct)
        lines = ["@" + short(name) + (" map=atomic" if schema.get("x-kubernetes-map-type") == "atomic" else "")]
        for field, inner in schema["properties"].items():
            if field not in go and field not in ("apiVersion", "kind", "metadata"):
                raise ValueError(f"{name}.{field}: not found in {package}.{struct}")
            lines.append(self.field(field, inner, field in schema.get("required", []), go.get(field), package))
        return lines

    def resources(self):
        """Lines of all resources that are served by default: those of versions without alpha or beta."""
        directory = os.path.join(self.kubernetes, "api", "discovery")
        lines = []
        for file in sorted(os.listdir(directory)):
            if not re.fullmatch(r"apis?__.*v\d+\.json|api__v1\.json", file) or not re.search(r"__v\d+\.json$", file):
                continue
            with open(os.path.join(directory, file)) as f:
                document = json.load(f)
            group, _, version = document["groupVersion"].rpartition("/")
            subresources = {}
            for r in document["resources"]:
                if "/" in r["name"]:
                    parent, name = r["name"].split("/", 1)
                    subresources.setdefault(parent, []).append(
                        f" /{name} {r.get('group', group) or '-'} {r.get('version', version)} {r['kind']} {','.join(r['verbs'])}")
            for r in document["resources"]:
                if "/" in r["name"]:
                    continue
                definition = self.by_kind[(r.get("group", group), r.get("version", version), r["kind"])]
                if definition not in self.wanted:
                    self.wanted.append(definition)
                registry = {"": "core", "discovery.k8s.io": "discovery"}.get(group, group.split(".")[0])
                generation = (registry, r["singularName"]) in self.generations
                lines.append(" ".join(["=" + (group or "-"), version, r["name"], r["kind"], r["singularName"],
                                       "namespaced" if r["namespaced"] else "cluster", "generation" if generation else "-",
                                       ",".join(r.get("shortNames", [])) or "-", ",".join(r.get("categories", [])) or "-",
                                       ",".join(r["verbs"]), "@" + short(definition)]))
                lines += sorted(subresources.get(r["name"], []))
        # Bodies of subresources and options.
        for kind in (("autoscaling", "v1", "Scale"), ("policy", "v1", "Eviction"), ("authentication.k8s.io", "v1", "TokenRequest"),
                     ("", "v1", "DeleteOptions"), ("", "v1", "Status")):
            if self.by_kind[kind] not in self.wanted:
                self.wanted.append(self.by_kind[kind])
        return lines

    def write(self):
        lines = self.resources()
        done = 0
        bodies = []
        while done < len(self.wanted):  # grows while it runs
            bodies.append(self.definition(self.wanted[done]))
            done += 1
        for body in sorted(bodies):
            lines += body
        version = os.path.basename(self.kubernetes).split("@")[1]
        head = f"// Kubernetes {version}; written by tools/schema/generate.py, not by hand.\n"
        return head + 'R"k8s(\n' + "\n".join(lines) + '\n)k8s"\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the checked-in file is what would be written")
    check = parser.parse_args().check
    text = Generator().write()
    if not check:
        with open(OUTPUT, "w") as f:
            f.write(text)
        print(f"{OUTPUT}: {len(text)} bytes, {text.count(chr(10))} lines")
        return 0
    with open(OUTPUT) as f:
        if f.read() == text:
            return 0
    print("src/schema/kubernetes.inc is out of date: run tools/schema/generate.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
