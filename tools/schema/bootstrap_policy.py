#!/usr/bin/env python3
"""Writes src/apiserver/authorization/bootstrap_policy.inc: the roles and bindings that kube-apiserver makes for itself
(plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata of the Go module k8s.io/kubernetes, which its own tests hold
against what it makes). Run by hand, with tools/dev's Python, when tools/kube names another version of Kubernetes; --check
says whether it is out of date."""
import argparse
import json
import os
import sys

import yaml

from generate import ROOT, module_dir

OUTPUT = os.path.join(ROOT, "src", "apiserver", "authorization", "bootstrap_policy.inc")
# In the order in which they are made: roles before what binds them.
FILES = ["cluster-roles", "controller-roles", "cluster-role-bindings", "controller-role-bindings", "namespace-roles", "namespace-role-bindings"]


def write():
    kubernetes = module_dir("k8s.io/kubernetes")
    lines = []
    for name in FILES:
        with open(os.path.join(kubernetes, "plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata", name + ".yaml")) as f:
            for item in yaml.safe_load(f)["items"]:
                lines.append(json.dumps({k: v for k, v in item.items() if v is not None}, separators=(",", ":")))
    head = f"// Kubernetes {os.path.basename(kubernetes).split('@')[1]}; written by tools/schema/bootstrap_policy.py, not by hand.\n"
    return head + "".join(f"R\"k8s({line})k8s\",\n" for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the checked-in file is what would be written")
    text = write()
    if not parser.parse_args().check:
        with open(OUTPUT, "w") as f:
            f.write(text)
        return 0
    with open(OUTPUT) as f:
        if f.read() == text:
            return 0
    print(f"{os.path.relpath(OUTPUT, ROOT)} is out of date: run tools/schema/bootstrap_policy.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
