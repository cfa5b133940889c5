"""The protocol, with a plane that is a list of messages: no network, no gRPC."""
import asyncio
import json

import pytest
from gulfstream.delegate.v1 import delegate_pb2 as pb
from namespace_baseline.api import ApiError, Outcome
from namespace_baseline.session import ProtocolError, Session


class Plane:
    """Feeds a Session and reads what it says."""

    def __init__(self, reconcile, max_in_flight=4):
        self.session = Session(reconcile, max_in_flight=max_in_flight, identity="test", revision="r1")
        self.inbox = asyncio.Queue()
        self.said = self.session.run(self.incoming())

    async def incoming(self):
        while (message := await self.inbox.get()) is not None:
            yield message

    def say(self, **message):
        self.inbox.put_nowait(pb.PlaneMessage(**message))

    async def hear(self, kind):
        message = await asyncio.wait_for(anext(self.said), 2)
        assert message.WhichOneof("message") == kind, message
        return getattr(message, kind)

    async def begin(self):
        self.say(hello=pb.Hello(protocol_version=1, identity="plane"))
        await self.hear("hello")
        for pair, cluster in ((1, "a"), (2, "b")):
            self.say(open=pb.Open(pair=pair, controller="c", cluster=pb.Cluster(name=cluster)))
        return self


def in_loop(body):
    return lambda: asyncio.run(body())


@in_loop
async def test_the_delegate_greets_and_answers_pings():
    plane = Plane(None)
    plane.say(hello=pb.Hello(protocol_version=1))
    hello = await plane.hear("hello")
    assert (hello.protocol_version, hello.max_in_flight, hello.revision) == (1, 4, "r1")
    assert list(hello.capabilities) == ["pure", "ignores-echoes"]
    plane.say(ping=pb.Ping(payload=7))
    assert (await plane.hear("ping")).payload == 7


@in_loop
async def test_a_version_that_is_not_known_is_refused():
    plane = Plane(None)
    plane.say(hello=pb.Hello(protocol_version=0))
    with pytest.raises(ProtocolError):
        await plane.hear("hello")


@in_loop
async def test_a_reconcile_sees_its_pair_its_configs_and_what_was_prefetched():
    seen = []

    async def reconcile(request):
        seen.append((request.cluster, request.name, request.namespace, request.matched, dict(request.configs),
                     await request.api.get("/api/v1/namespaces/n/resourcequotas/baseline"), await request.api.get("/api/v1/namespaces/n/limitranges/baseline")))
        return Outcome()

    plane = await Plane(reconcile).begin()
    plane.say(config=pb.Config(pair=2, revision=1, objects=[
        pb.ConfigObject(reference=pb.ObjectReference(name="x"), object=b'{"data": {}}'), pb.ConfigObject(reference=pb.ObjectReference(name="y"), absent=True)]))
    quota = pb.Prefetched(resource=pb.GroupVersionResource(version="v1", resource="resourcequotas"), namespace="n", name="baseline", object=b'{"a": 1}')
    limits = pb.Prefetched(resource=pb.GroupVersionResource(version="v1", resource="limitranges"), namespace="n", name="baseline", absent=True)
    plane.say(reconcile=pb.Reconcile(id=5, pair=2, name="n", object=b'{"metadata": {}}', prefetched=[quota, limits]))
    result = await plane.hear("result")
    assert (result.id, result.WhichOneof("outcome"), result.pure) == (5, "ok", True)
    assert seen == [("b", "n", {"metadata": {}}, True, {"x": {"data": {}}}, {"a": 1}, None)]


@in_loop
async def test_answers_in_parts_are_joined_and_their_room_is_given_back():
    async def reconcile(request):
        return Outcome("transient", "Read", (await request.api.get("/x"))["kind"])

    plane = await Plane(reconcile).begin()
    plane.say(reconcile=pb.Reconcile(id=1, pair=1, name="n", gone=pb.Gone()))
    call = await plane.hear("call")
    assert (call.reconcile, call.method, call.path, call.query) == (1, "GET", "/x", "resourceVersion=0")
    plane.say(call_result=pb.CallResult(id=call.id, status=200, body=b'{"kind":'))
    plane.say(call_result=pb.CallResult(id=call.id, body=b' "Big"}', end=True))
    assert (await plane.hear("window")).bytes == 8
    assert (await plane.hear("result")).transient.message == "Big"


@in_loop
async def test_a_refusal_reaches_the_logic_in_the_words_of_the_plane():
    async def reconcile(request):
        try:
            await request.api.apply("/x", {})
        except ApiError as error:
            return Outcome("permanent", error.reason, error.message)

    plane = await Plane(reconcile).begin()
    plane.say(reconcile=pb.Reconcile(id=1, pair=1, name="n", gone=pb.Gone()))
    call = await plane.hear("call")
    plane.say(call_result=pb.CallResult(id=call.id, status=403, end=True, body=json.dumps({"reason": "Forbidden", "message": "add ..."}).encode()))
    result = await plane.hear("result")
    assert (result.permanent.reason, result.permanent.message) == ("Forbidden", "add ...")


@in_loop
async def test_cancelled_work_stops_and_still_has_a_result():
    started, finished = asyncio.Event(), []

    async def reconcile(request):
        started.set()
        await asyncio.sleep(60)
        finished.append(request.name)

    plane = await Plane(reconcile).begin()
    plane.say(reconcile=pb.Reconcile(id=1, pair=1, name="n", gone=pb.Gone()))
    plane.say(reconcile=pb.Reconcile(id=2, pair=1, name="at-once", gone=pb.Gone()))
    plane.say(cancel=pb.Cancel(id=2))
    assert (await plane.hear("result")).id == 2
    plane.say(cancel=pb.Cancel(id=1))
    result = await plane.hear("result")
    assert (result.id, result.transient.reason, finished) == (1, "Cancelled", [])


@in_loop
async def test_the_deadline_and_a_defect_are_transient():
    async def reconcile(request):
        if request.name == "slow":
            await asyncio.sleep(60)
        raise KeyError("defect")

    plane = await Plane(reconcile).begin()
    plane.say(reconcile=pb.Reconcile(id=1, pair=1, name="slow", deadline_ms=20, gone=pb.Gone()))
    result = await plane.hear("result")
    assert (result.transient.reason, result.pure) == ("DeadlineExceeded", False)
    plane.say(reconcile=pb.Reconcile(id=2, pair=1, name="bad", gone=pb.Gone()))
    assert (await plane.hear("result")).transient.reason == "KeyError"


@in_loop
async def test_more_than_was_promised_ends_the_stream():
    async def reconcile(request):
        await asyncio.sleep(60)

    plane = await Plane(reconcile, max_in_flight=1).begin()
    for i in (1, 2):
        plane.say(reconcile=pb.Reconcile(id=i, pair=1, name="n", gone=pb.Gone()))
    with pytest.raises(ProtocolError):
        await plane.hear("result")


@in_loop
async def test_a_drain_lets_the_plane_end_the_stream_when_work_is_done():
    release = asyncio.Event()

    async def reconcile(request):
        await release.wait()
        return Outcome("skip")

    plane = await Plane(reconcile).begin()
    plane.say(reconcile=pb.Reconcile(id=1, pair=1, name="n", gone=pb.Gone()))
    plane.session.drain("bye")
    assert (await plane.hear("drain")).why == "bye"
    release.set()
    assert (await plane.hear("result")).WhichOneof("outcome") == "skip"
    plane.inbox.put_nowait(None)
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(anext(plane.said), 2)
