"""The delegates of samples/, as a user starts them."""
import importlib
import json
import os
import subprocess
import sys

import yaml

from .cluster import ROOT
from .process import Process, eventually, free_port

SAMPLES = os.path.join(ROOT, "samples")


def manifests(sample, *names):
    """The documents of files in a sample's deploy/."""
    out = []
    for name in names:
        with open(os.path.join(SAMPLES, sample, "deploy", name)) as f:
            out.extend(yaml.safe_load_all(f))
    return out


class Sample:
    """One delegate program; `started` is a line of its log."""

    def __init__(self, args, log, started, env=None):
        self.port = free_port()
        self.args, self.log, self.started, self.env = args, log, started, {**os.environ, **(env or {})}
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.process = Process([*self.args, "--address", f"127.0.0.1:{self.port}"], self.log, env=self.env)
        eventually(lambda: self.started in self.process.output(), what=f"the start of {self.args}")
        return self

    def controller(self, sample):
        """The sample's Controller, with the port that its delegate has here."""
        (made,) = manifests(sample, "controller.yaml")
        made["spec"]["delegate"] = self.url
        return made


# Programs in Go: name -> (folder of the module, package).
PROGRAMS = {"website": ("samples/website", "."), "image-policy": ("samples/image-policy", "."), "testregistry": ("samples/image-policy", "./testregistry"),
            "interop": ("test/interop", ".")}


def go_build(program):
    module, package = PROGRAMS[program]
    binary = os.path.join(ROOT, "build", "samples", program)
    go = subprocess.run(["bash", "-c", "source tools/dev/go.sh; find_go"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run([go, "build", "-o", binary, package], cwd=os.path.join(ROOT, module), check=True)
    return binary


def generate(sample):
    """Where a sample in Python finds its modules: its own, and those of the protocol."""
    home = os.path.join(SAMPLES, sample)
    subprocess.run(["make", "-s", "-C", home, f"PYTHON={sys.executable}", "generated"], check=True)
    return {"PYTHONPATH": f"{home}/generated:{home}"}


def build_all():
    """Before workers start side by side: what each would make then is there, and is left as it is."""
    importlib.import_module(".delegate", __package__)  # the protocol's modules
    for sample in ("namespace-baseline", "conversion"):
        generate(sample)
    for program in PROGRAMS:
        go_build(program)


def namespace_baseline(directory):
    return Sample([sys.executable, "-m", "namespace_baseline"], os.path.join(directory, "namespace-baseline.log"), "serving on",
                  env=generate("namespace-baseline"))


def website(directory):
    return Sample([go_build("website")], os.path.join(directory, "website.log"), "serving")


def image_policy(directory):
    return Sample([go_build("image-policy")], os.path.join(directory, "image-policy.log"), "serving")


def conversion(directory):
    return Sample([sys.executable, "-m", "backups"], os.path.join(directory, "conversion.log"), "serving on", env=generate("conversion"))


class Registry:
    """A registry of container images with one, app:v1."""

    def __init__(self, directory):
        self.process = Process([go_build("testregistry")], os.path.join(directory, "registry.log"))
        said = json.loads(eventually(lambda: self.process.output().strip(), what="the registry"))
        self.host, self.digest = said["host"], said["digest"]
