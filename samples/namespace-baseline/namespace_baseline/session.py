"""One stream of the protocol: who says what when. Knows nothing of Namespaces."""
from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from gulfstream.delegate.v1 import delegate_pb2 as pb

from .api import Answer, Api, Outcome, Request
from .profile import Object

log = logging.getLogger(__name__)

PROTOCOL_VERSION = 1
# pure: what is decided depends on nothing but the Namespace, the configs and what was read. ignores-echoes: what an apply
# answered is remembered, so our own change need not bring the key back.
CAPABILITIES = ("pure", "ignores-echoes")
Reconcile = Callable[[Request], Awaitable[Outcome]]


class ProtocolError(Exception):
    """The plane does what the protocol forbids, or speaks a version that we do not."""


@dataclass
class Pair:
    """A Controller in a cluster, for as long as the stream lives."""

    controller: str
    cluster: str
    cluster_uid: str
    configs: dict[str, Object] = field(default_factory=dict)


class PendingCall:
    """A Call whose answer comes in parts."""

    def __init__(self) -> None:
        self.done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._status, self._parts = 0, list[bytes]()

    def add(self, part: pb.CallResult) -> None:
        self._status = self._status or part.status
        self._parts.append(part.body)
        if part.end and not self.done.done():
            self.done.set_result(Answer(self._status, b"".join(self._parts)))


class Session:
    def __init__(self, reconcile: Reconcile, *, max_in_flight: int, identity: str, revision: str) -> None:
        self._reconcile = reconcile
        self._max_in_flight = max_in_flight
        self._hello = pb.Hello(protocol_version=PROTOCOL_VERSION, capabilities=CAPABILITIES, identity=identity, revision=revision,
                               max_in_flight=max_in_flight)
        # Holds at most one Call or Result of each reconcile, and what answers a message of the plane.
        self._out: asyncio.Queue[pb.DelegateMessage | None] = asyncio.Queue()
        self._pairs: dict[int, Pair] = {}
        self._working: dict[int, asyncio.Task[Outcome]] = {}
        self._calls: dict[int, PendingCall] = {}
        self._last_call = 0

    async def run(self, incoming: AsyncIterator[pb.PlaneMessage]) -> AsyncIterator[pb.DelegateMessage]:
        """What to send, until the plane ends the stream."""
        reader = asyncio.create_task(self._read(incoming))
        try:
            while (message := await self._out.get()) is not None:
                yield message
            await reader  # its exception, where that is why
        finally:
            reader.cancel()
            for task in list(self._working.values()):
                task.cancel()

    def drain(self, why: str) -> None:
        """Asks for nothing new. The plane waits for what is in flight, then ends the stream."""
        self._send(pb.DelegateMessage(drain=pb.Drain(why=why)))

    def _send(self, message: pb.DelegateMessage) -> None:
        self._out.put_nowait(message)

    async def _read(self, incoming: AsyncIterator[pb.PlaneMessage]) -> None:
        try:
            async for message in incoming:
                self._receive(message)
        finally:
            self._out.put_nowait(None)

    def _receive(self, message: pb.PlaneMessage) -> None:
        match message.WhichOneof("message"):
            case "hello":
                self._greet(message.hello)
            case "open":
                self._open(message.open)
            case "config":
                self._pairs[message.config.pair].configs = config_maps(message.config)
            case "close":
                self._pairs.pop(message.close.pair, None)
            case "reconcile":
                self._start(message.reconcile)
            case "call_result":
                self._answer(message.call_result)
            case "cancel":
                if task := self._working.get(message.cancel.id):
                    task.cancel()
            case "ping":
                self._send(pb.DelegateMessage(ping=message.ping))
            case "drain":
                log.info("the plane drains this stream: %s", message.drain.why)  # it ends the stream itself
            case _:
                pass  # of a newer plane

    def _greet(self, hello: pb.Hello) -> None:
        if hello.protocol_version < PROTOCOL_VERSION:
            raise ProtocolError(f"protocol version {hello.protocol_version} is not supported")
        log.info("session with %s", hello.identity)
        self._send(pb.DelegateMessage(hello=self._hello))

    def _open(self, message: pb.Open) -> None:
        known = self._pairs.get(message.pair)
        pair = Pair(message.controller, message.cluster.name, message.cluster.uid or message.cluster.name)
        pair.configs = known.configs if known else {}
        self._pairs[message.pair] = pair

    def _start(self, message: pb.Reconcile) -> None:
        if len(self._working) >= self._max_in_flight:
            raise ProtocolError(f"more than max_in_flight={self._max_in_flight} reconciles")
        task = asyncio.create_task(self._work(message, self._pairs[message.pair]))
        self._working[message.id] = task
        # A callback, because a task that is cancelled before its first step runs nothing of its own.
        task.add_done_callback(lambda done: self._finish(message.id, done))

    async def _work(self, message: pb.Reconcile, pair: Pair) -> Outcome:
        try:
            async with asyncio.timeout(message.deadline_ms / 1000 or None):
                return await self._reconcile(self._request(message, pair))
        except TimeoutError:
            return Outcome("transient", "DeadlineExceeded", f"not finished within {message.deadline_ms} ms")
        except Exception as error:  # a defect of ours must not hold the key for ever
            log.exception("%s in %s", message.name, pair.cluster)
            return Outcome("transient", type(error).__name__, str(error))

    def _finish(self, reconcile: int, task: asyncio.Task[Outcome]) -> None:
        del self._working[reconcile]
        outcome = Outcome("transient", "Cancelled", "cancelled by the plane") if task.cancelled() else task.result()
        self._send(pb.DelegateMessage(result=result_of(reconcile, outcome)))

    def _request(self, message: pb.Reconcile, pair: Pair) -> Request:
        state = message.WhichOneof("primary")
        raw = {"object": message.object, "unmatched": message.unmatched.object, "gone": b""}.get(state or "gone", b"")
        prefetched = {object_path(read): None if read.absent else json.loads(read.object) for read in message.prefetched}

        async def call(method: str, path: str, *, query: str = "", content_type: str = "", body: bytes = b"") -> Answer:
            return await self._call(pb.Call(reconcile=message.id, method=method, path=path, query=query, content_type=content_type, body=body))

        return Request(cluster=pair.cluster_uid, name=message.name, namespace=json.loads(raw) if raw else None,
                       matched=state == "object", configs=pair.configs, api=Api(call, prefetched))

    async def _call(self, call: pb.Call) -> Answer:
        self._last_call += 1
        call.id = self._last_call
        pending = self._calls[call.id] = PendingCall()
        self._send(pb.DelegateMessage(call=call))
        try:
            return await pending.done
        except asyncio.CancelledError:
            self._send(pb.DelegateMessage(cancel_call=pb.CancelCall(id=call.id)))
            raise
        finally:
            del self._calls[call.id]

    def _answer(self, part: pb.CallResult) -> None:
        if part.body and not part.end:
            self._send(pb.DelegateMessage(window=pb.Window(id=part.id, bytes=len(part.body))))
        if pending := self._calls.get(part.id):
            pending.add(part)


def config_maps(config: pb.Config) -> dict[str, Object]:
    return {entry.reference.name: json.loads(entry.object) for entry in config.objects if not entry.absent}


def object_path(read: pb.Prefetched) -> str:
    resource = read.resource
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    return f"{root}/namespaces/{read.namespace}/{resource.resource}/{read.name}" if read.namespace else f"{root}/{resource.resource}/{read.name}"


def result_of(reconcile: int, outcome: Outcome) -> pb.Result:
    result = pb.Result(id=reconcile)
    if outcome.kind in ("ok", "skip"):
        getattr(result, outcome.kind).SetInParent()
        result.pure = True
    else:
        getattr(result, outcome.kind).CopyFrom(pb.Failure(reason=outcome.reason, message=outcome.message))
    for event in outcome.events:
        result.events.add(type="Warning" if event.warning else "Normal", reason=event.reason, message=event.message)
    return result
