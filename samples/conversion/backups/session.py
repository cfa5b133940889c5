"""One stream of the protocol: who says what when. Knows nothing of Backups."""
from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from gulfstream.delegate.v1 import delegate_pb2 as pb

from .reconciler import Answer, Caller, Outcome
from .versions import ConversionError, Object

log = logging.getLogger(__name__)

PROTOCOL_VERSION = 1
Reconcile = Callable[[Object | None, Caller], Awaitable[Outcome]]
Convert = Callable[[Object, str], Object]


class ProtocolError(Exception):
    """The plane does what the protocol forbids, or speaks a version that we do not."""


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
    def __init__(self, reconcile: Reconcile, convert: Convert, *, identity: str, revision: str, max_in_flight: int = 64,
                 max_reviews: int = 256) -> None:
        self._reconcile, self._convert = reconcile, convert
        self._max_in_flight = max_in_flight
        self._hello = pb.Hello(protocol_version=PROTOCOL_VERSION, capabilities=("webhooks", "pure", "ignores-echoes"), identity=identity,
                               revision=revision, max_in_flight=max_in_flight, max_reviews_in_flight=max_reviews)
        # Bounded by the credit: one Result or Call for each reconcile, and what answers a message of the plane.
        self._out: asyncio.Queue[pb.DelegateMessage | None] = asyncio.Queue()
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
        self._send(drain=pb.Drain(why=why))

    def _send(self, **message: object) -> None:
        self._out.put_nowait(pb.DelegateMessage(**message))

    async def _read(self, incoming: AsyncIterator[pb.PlaneMessage]) -> None:
        try:
            async for message in incoming:
                self._receive(message)
        finally:
            self._out.put_nowait(None)

    def _receive(self, message: pb.PlaneMessage) -> None:
        match message.WhichOneof("message"):
            case "hello":
                if message.hello.protocol_version < PROTOCOL_VERSION:
                    raise ProtocolError(f"protocol version {message.hello.protocol_version} is not supported")
                log.info("session with %s", message.hello.identity)
                self._send(hello=self._hello)
            case "convert":
                # At once and here: it takes microseconds, waits for nothing, and so is never cancelled.
                self._send(converted=self._converted(message.convert))
            case "reconcile":
                self._start(message.reconcile)
            case "call_result":
                self._answer(message.call_result)
            case "cancel":
                if task := self._working.get(message.cancel.id):
                    task.cancel()
            case "ping":
                self._send(ping=message.ping)
            case _:
                pass  # open, close: one Controller and one Webhook, alike in all clusters. Others: of a newer plane

    def _converted(self, message: pb.Convert) -> pb.Converted:
        answer = pb.Converted(id=message.id)
        try:
            objects = [self._convert(json.loads(raw), message.desired_api_version) for raw in message.objects]
            answer.converted.objects.extend(json.dumps(item, separators=(",", ":")).encode() for item in objects)
            answer.converted.SetInParent()
        except ConversionError as error:
            answer.failed.CopyFrom(pb.Failure(reason="NotConvertible", message=str(error)))
        except Exception as error:  # a defect of ours; what it is, is for our log
            log.exception("converting to %s", message.desired_api_version)
            answer.undecided.CopyFrom(pb.Failure(reason=type(error).__name__, message="the delegate has a defect; see its log"))
        return answer

    def _start(self, message: pb.Reconcile) -> None:
        if len(self._working) >= self._max_in_flight:
            raise ProtocolError(f"more than max_in_flight={self._max_in_flight} reconciles")
        task = asyncio.create_task(self._work(message))
        self._working[message.id] = task
        # A callback, because a task that is cancelled before its first step runs nothing of its own.
        task.add_done_callback(lambda done: self._finish(message.id, done))

    async def _work(self, message: pb.Reconcile) -> Outcome:
        async def call(method: str, path: str, *, query: str = "", content_type: str = "", body: bytes = b"") -> Answer:
            return await self._call(pb.Call(reconcile=message.id, method=method, path=path, query=query, content_type=content_type, body=body))

        primary = json.loads(message.object) if message.WhichOneof("primary") == "object" else None
        try:
            async with asyncio.timeout(message.deadline_ms / 1000 or None):
                return await self._reconcile(primary, call)
        except TimeoutError:
            return Outcome("transient", "DeadlineExceeded", f"not finished within {message.deadline_ms} ms")
        except Exception as error:  # a defect of ours must not hold the key for ever
            log.exception("%s/%s", message.namespace, message.name)
            return Outcome("transient", type(error).__name__, str(error))

    def _finish(self, reconcile: int, task: asyncio.Task[Outcome]) -> None:
        del self._working[reconcile]
        outcome = Outcome("transient", "Cancelled", "cancelled by the plane") if task.cancelled() else task.result()
        result = pb.Result(id=reconcile)
        if outcome.kind == "ok":
            result.ok.SetInParent()
            result.pure = True
        else:
            getattr(result, outcome.kind).CopyFrom(pb.Failure(reason=outcome.reason, message=outcome.message))
        self._send(result=result)

    async def _call(self, call: pb.Call) -> Answer:
        self._last_call += 1
        call.id = self._last_call
        pending = self._calls[call.id] = PendingCall()
        self._send(call=call)
        try:
            return await pending.done
        except asyncio.CancelledError:
            self._send(cancel_call=pb.CancelCall(id=call.id))
            raise
        finally:
            del self._calls[call.id]

    def _answer(self, part: pb.CallResult) -> None:
        if part.body and not part.end:
            self._send(window=pb.Window(id=part.id, bytes=len(part.body)))
        if pending := self._calls.get(part.id):
            pending.add(part)
