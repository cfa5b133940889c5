"""Reads Go's struct declarations of Kubernetes' API types: which fields are pointers, which are left out when empty, and
what Go calls their types. OpenAPI says none of that, and what a server answers and complains of depends on it."""
import copy
import os
import re

NUMBER = re.compile(r'protobuf:"(?:\w+,)?(\d+)')
STRUCT = re.compile(r"^type (\w+) struct \{$")
FIELD = re.compile(r"^\s+(?:(\w+)\s+)?([\w.*\[\]]+)\s+`.*?json:\"([^\"]*)\".*`")
NAMED = re.compile(r"^type (\w+) (\[\]\w+|map\[\w+\][\w.]+|string|int32|int64|int|bool)$")


class Field:
    def __init__(self, name, go_type, options, numbers):
        self.name = name
        self.numbers = numbers  # of the field in protobuf, behind those of the messages that stand for embedded structs
        self.pointer = go_type.startswith("*")
        self.go_type = go_type.lstrip("*")
        self.omit_empty = "omitempty" in options
        self.omit_zero = "omitzero" in options


class Packages:
    """Struct fields by JSON name, by (package path, struct name)."""

    def __init__(self, modules):
        self.modules = modules  # import path prefix -> directory
        self.packages = {}

    def _load(self, package):
        if package in self.packages:
            return self.packages[package]
        structs, named = {}, {}
        self.packages[package] = (structs, named)
        directory = self._directory(package)
        for file in sorted(os.listdir(directory)) if directory and os.path.isdir(directory) else []:
            if file.endswith(".go") and not file.endswith("_test.go") and not file.startswith("zz_generated"):
                self._read(os.path.join(directory, file), structs, named)
        return self.packages[package]

    def _directory(self, package):
        for prefix, directory in self.modules.items():
            if package == prefix or package.startswith(prefix + "/"):
                return directory + package[len(prefix):]
        return None

    @staticmethod
    def _read(path, structs, named):
        current = None
        with open(path) as file:
            for line in file:
                line = line.rstrip("\n")
                if current is None:
                    if match := STRUCT.match(line):
                        current = structs.setdefault(match[1], [])
                    elif match := NAMED.match(line):
                        named[match[1]] = match[2]
                    continue
                if line == "}":
                    current = None
                elif match := FIELD.match(line):
                    name, *options = match[3].split(",")
                    if name != "-":
                        number = NUMBER.search(line)
                        current.append(Field(name, match[2], options, [int(number[1])] if number else []))

    def fields(self, package, struct):
        structs, _ = self._load(package)
        out = {}
        for field in structs.get(struct, []):
            if field.name:
                out[field.name] = field
            elif "." not in field.go_type:  # embedded, of the same package
                for inner in self.fields(package, field.go_type).values():
                    # JSON knows no embedding; in protobuf it is a message of its own, or is not there (TypeMeta).
                    nested = copy.copy(inner)
                    nested.numbers = field.numbers + inner.numbers if field.numbers else []
                    out[nested.name] = nested
        return out

    def underlying(self, package, go_type):
        """What a named type of this package is made of: string for Protocol."""
        return self._load(package)[1].get(go_type, go_type)
