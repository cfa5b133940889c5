"""A delegate in the test's own process: stock grpcio on the other end of the plane's sessions.

A test gives it a function reconcile(r) that runs on a thread of its own for each Reconcile; r.call()
makes Kubernetes requests through the plane. What it returns is the Result's outcome.
"""
import importlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
import traceback
from concurrent import futures

import grpc

from .process import free_port

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


def _load_proto():
    out = os.path.join(ROOT, "build", "e2e-proto")
    source = os.path.join(ROOT, "proto")
    proto = os.path.join(source, "gulfstream", "delegate", "v1", "delegate.proto")
    made = os.path.join(out, "gulfstream", "delegate", "v1", "delegate_pb2.py")
    if not os.path.exists(made) or os.path.getmtime(made) < os.path.getmtime(proto):
        os.makedirs(out, exist_ok=True)
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{source}", f"--python_out={out}",
                        f"--grpc_python_out={out}", proto], check=True)
    sys.path.insert(0, out)
    return (importlib.import_module("gulfstream.delegate.v1.delegate_pb2"),
            importlib.import_module("gulfstream.delegate.v1.delegate_pb2_grpc"))


pb, pb_grpc = _load_proto()


class Answer:
    def __init__(self, status, body, warnings=()):
        self.status = status
        self.body = body
        self.warnings = list(warnings)

    def json(self):
        return json.loads(self.body)


class Reconcile:
    """One reconcile, as the test's function sees it."""

    def __init__(self, session, message):
        self.session = session
        self.message = message
        self.pair = session.pairs.get(message.pair)
        self.cluster = self.pair.cluster.name if self.pair else None
        self.controller = self.pair.controller if self.pair else None
        self.namespace, self.name = message.namespace, message.name
        self.state = message.WhichOneof("primary")
        self.primary = json.loads(message.object) if self.state == "object" else None
        self.at = time.monotonic()

    def config(self, name):
        for entry in self.session.configs[self.message.pair].objects:
            if entry.reference.name == name:
                return None if entry.absent else json.loads(entry.object)
        return None

    def call(self, method, path, body=None, query="", content_type="application/json", reconcile=None):
        data = b"" if body is None else json.dumps(body).encode()
        return self.session.call(pb.Call(reconcile=self.message.id if reconcile is None else reconcile, method=method,
                                         path=path, query=query, content_type=content_type if body is not None else "", body=data))

    def apply(self, path, body):
        return self.call("PATCH", path, body, query="force=true", content_type="application/apply-patch+yaml")

    def cached(self, path, query=""):
        """Whatever version will do: from the plane's cache, where that covers it."""
        return self.call("GET", path, query="resourceVersion=0" + ("&" + query if query else ""))

    def prefetched(self, name):
        """What came with the Reconcile: None where nothing did, False where it is told as absent."""
        for read in self.message.prefetched:
            if read.name == name:
                return False if read.absent else json.loads(read.object)
        return None

    def pair_call(self, path, query=""):
        return self.session.call(pb.Call(pair=self.message.pair, method="GET", path=path, query=query))


class Watch:
    """A watch of the plane's cache for the whole pair: next() gives one event at a time. Where `reads` is false it
    takes what fits its window and no more."""

    def __init__(self, session, call, reads=True):
        self.session, self.call_id, self.reads = session, call.id, reads
        self.parts = queue.Queue()
        self.buffer, self.status, self.ended = b"", None, False

    def next(self, timeout=20):
        """(type, object), or None at the end."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self.buffer and not self.ended:
            result = self.parts.get(timeout=max(0.01, deadline - time.monotonic()))
            self.status = self.status or result.status
            self.buffer += result.body
            self.ended = result.end
            if result.body and self.reads:
                self.session.send(window=pb.Window(id=self.call_id, bytes=len(result.body)))
        if b"\n" not in self.buffer:
            return None
        line, self.buffer = self.buffer.split(b"\n", 1)
        event = json.loads(line)
        return event["type"], event["object"]

    def until(self, kind, timeout=20):
        """All events up to the first of this type."""
        seen = []
        while not seen or seen[-1][0] != kind:
            seen.append(self.next(timeout))
            assert seen[-1] is not None, seen
        return seen

    def resume(self):
        """Reads from here on; what was taken before is given back to the window."""
        self.reads = True
        self.session.send(window=pb.Window(id=self.call_id, bytes=256 * 1024))

    def cancel(self):
        self.session.send(cancel_call=pb.CancelCall(id=self.call_id))


class _Session:
    def __init__(self, delegate):
        self.delegate = delegate
        self.out = queue.Queue()
        self.pairs, self.configs, self.answers, self.partial, self.watches = {}, {}, {}, {}, {}
        self.longest_part = 0
        self.next_call = 0
        self.lock = threading.Lock()

    def send(self, **message):
        self.out.put(pb.DelegateMessage(**message))

    def call(self, call):
        with self.lock:
            self.next_call += 1
            call.id = self.next_call
            answered = self.answers[call.id] = queue.Queue()
        self.send(call=call)
        answer = answered.get(timeout=60)
        if answer is None:
            raise ConnectionError("the session ended")
        return answer

    def watch(self, pair, path, query="", reads=True):
        with self.lock:
            self.next_call += 1
            call = pb.Call(id=self.next_call, pair=pair, method="GET", path=path, query="watch=true" + ("&" + query if query else ""))
            watch = self.watches[call.id] = Watch(self, call, reads)
        self.send(call=call)
        return watch

    def on_call_result(self, result):
        self.longest_part = max(self.longest_part, len(result.body))
        if result.id in self.watches:
            self.watches[result.id].parts.put(result)
            return
        part = self.partial.setdefault(result.id, [0, b"", []])
        part[0] = part[0] or result.status
        part[1] += result.body
        part[2] += result.warnings
        if result.body:
            self.send(window=pb.Window(id=result.id, bytes=len(result.body)))
        if result.end:
            status, body, warnings = self.partial.pop(result.id)
            self.answers.pop(result.id).put(Answer(status, body, warnings))

    def on_reconcile(self, message):
        reconcile = Reconcile(self, message)
        self.delegate.record(reconcile)
        try:
            outcome = self.delegate.reconcile(reconcile) or {"ok": pb.Ok()}
        except Exception as error:  # noqa: BLE001 - a test's mistake is a failure of the key
            outcome = {"transient": pb.Failure(reason=type(error).__name__, message=str(error))}
        if outcome != "never":
            self.send(result=pb.Result(id=message.id, **outcome))

    def on_admit(self, message):
        self.send(admitted=pb.Admitted(id=message.id, **self.delegate.admit(json.loads(message.request))))

    def on_convert(self, message):
        objects = [json.dumps(self.delegate.convert(json.loads(o), message.desired_api_version)).encode() for o in message.objects]
        self.send(converted=pb.Converted(id=message.id, converted=pb.ConvertedObjects(objects=objects)))

    def run(self, requests):
        self.send(hello=pb.Hello(protocol_version=1, identity="e2e", max_in_flight=self.delegate.max_in_flight, max_reviews_in_flight=1000,
                                 revision=self.delegate.revision, capabilities=self.delegate.capabilities))
        threading.Thread(target=self.read, args=(requests,), daemon=True).start()
        while True:
            message = self.out.get()
            if message is None:
                return
            yield message

    def read(self, requests):
        try:
            for message in requests:
                kind = message.WhichOneof("message")
                if kind == "open":
                    self.pairs[message.open.pair] = message.open
                elif kind == "config":
                    self.configs[message.config.pair] = message.config
                elif kind == "reconcile":
                    self.delegate.workers.submit(self.on_reconcile, message.reconcile)
                elif kind == "admit":
                    self.delegate.workers.submit(self.on_admit, message.admit)
                elif kind == "convert":
                    self.delegate.workers.submit(self.on_convert, message.convert)
                elif kind == "call_result":
                    self.on_call_result(message.call_result)
                elif kind == "ping":
                    self.send(ping=message.ping)
                elif kind == "cancel":
                    self.delegate.cancelled.append(message.cancel.id)
        except grpc.RpcError:
            pass
        finally:
            for answered in list(self.answers.values()):
                answered.put(None)
            self.out.put(None)


class Workers:
    """As a ThreadPoolExecutor, but that nobody's exit waits for a reconcile that never ends."""

    def __init__(self, count):
        self.jobs, self.lock, self.missing = queue.Queue(), threading.Lock(), count

    def submit(self, function, *args):
        self.jobs.put((function, args))
        with self.lock:
            if self.missing > 0:
                self.missing -= 1
                threading.Thread(target=self._work, daemon=True).start()

    def _work(self):
        while True:
            function, args = self.jobs.get()
            try:
                function(*args)
            except Exception:  # noqa: BLE001 - a test's mistake; the next job is not to blame
                traceback.print_exc()


class Delegate(pb_grpc.DelegateServicer):
    def __init__(self, reconcile, max_in_flight=32, revision="r1", port=None, capabilities=(), credentials=None, admits=None,
                 admit=None, convert=None):
        """`credentials`: of the server, for TLS. `admits`: of a stream's metadata. `admit(request)` gives fields of an
        Admitted, `convert(object, desired_api_version)` an object: then it serves Webhooks."""
        self.reconcile, self.admit, self.convert = reconcile, admit, convert
        self.max_in_flight = max_in_flight
        self.revision = revision
        self.capabilities = [*capabilities, *(["webhooks"] if admit or convert else [])]
        self.seen, self.cancelled, self.sessions = [], [], []
        self.lock = threading.Lock()
        self.port = port or free_port()
        self.credentials, self.admits, self.metadata = credentials, admits, []
        self.server = None
        self.start()

    @property
    def url(self):
        return f"{'https' if self.credentials else 'http'}://127.0.0.1:{self.port}"

    def start(self):
        self.workers = Workers(self.max_in_flight)
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=64))
        pb_grpc.add_DelegateServicer_to_server(self, self.server)
        address = f"127.0.0.1:{self.port}"
        bound = self.server.add_secure_port(address, self.credentials) if self.credentials else self.server.add_insecure_port(address)
        assert bound == self.port
        self.server.start()

    def stop(self, grace=0):
        self.server.stop(grace).wait()

    def Session(self, request_iterator, context):
        metadata = dict(context.invocation_metadata())
        self.metadata.append(metadata)
        if self.admits is not None and not self.admits(metadata):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "not admitted")
        session = _Session(self)
        self.sessions.append(session)
        context.add_callback(lambda: session.out.put(None))
        return session.run(request_iterator)

    def record(self, reconcile):
        with self.lock:
            self.seen.append(reconcile)

    def count(self, cluster=None, name=None):
        with self.lock:
            return sum(1 for r in self.seen if cluster in (None, r.cluster) and name in (None, r.name))
