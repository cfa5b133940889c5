"""The protocol, with a plane that is a list of messages: no network, no gRPC."""
import asyncio
import json

from backups.reconciler import Outcome, reconcile
from backups.session import Session
from backups.versions import GROUP, convert
from gulfstream.delegate.v1 import delegate_pb2 as pb

BACKUP = {"apiVersion": f"{GROUP}/v1", "kind": "Backup", "metadata": {"name": "db", "namespace": "shop", "uid": "u", "generation": 2},
          "spec": {"schedule": "0 3 * * *", "destination": "s3://nightly/db", "retention": "2w"}}


class Plane:
    """Feeds a Session and reads what it says."""

    def __init__(self, how=reconcile, way=convert):
        self.session = Session(how, way, identity="test", revision="r1", max_in_flight=4, max_reviews=9)
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

    async def answer(self, status, body):
        call = await self.hear("call")
        self.say(call_result=pb.CallResult(id=call.id, status=status, body=json.dumps(body).encode(), end=True))
        return call


def in_loop(body):
    return lambda: asyncio.run(body())


@in_loop
async def test_the_hello_says_that_webhooks_are_served_and_how_many_at_once():
    plane = Plane()
    plane.say(hello=pb.Hello(protocol_version=1))
    hello = await plane.hear("hello")
    assert "webhooks" in hello.capabilities
    assert (hello.max_in_flight, hello.max_reviews_in_flight, hello.revision) == (4, 9, "r1")


@in_loop
async def test_many_objects_are_converted_in_order():
    plane = Plane()
    objects = [{**BACKUP, "metadata": {**BACKUP["metadata"], "name": f"n{i}"}} for i in range(50)]
    plane.say(convert=pb.Convert(id=3, pair=1, desired_api_version=f"{GROUP}/v2", objects=[json.dumps(item).encode() for item in objects]))
    answer = await plane.hear("converted")
    assert (answer.id, answer.WhichOneof("outcome")) == (3, "converted")
    got = [json.loads(raw) for raw in answer.converted.objects]
    assert [item["metadata"]["name"] for item in got] == [f"n{i}" for i in range(50)]
    assert all(item["apiVersion"] == f"{GROUP}/v2" and item["spec"]["retentionDays"] == 14 for item in got)


@in_loop
async def test_what_cannot_be_converted_has_failed_and_a_defect_of_ours_is_undecided():
    plane = Plane()
    bad = {**BACKUP, "spec": {"retention": "soon"}}
    plane.say(convert=pb.Convert(id=1, desired_api_version=f"{GROUP}/v2", objects=[json.dumps(bad).encode()]))
    answer = await plane.hear("converted")
    assert answer.failed.message.startswith('spec.retention: "soon" is not')
    plane.say(convert=pb.Convert(id=2, desired_api_version=f"{GROUP}/v2", objects=[b"[]"]))
    answer = await plane.hear("converted")
    assert (answer.id, answer.WhichOneof("outcome")) == (2, "undecided")


@in_loop
async def test_a_backup_in_v2_becomes_a_cron_job_and_has_a_status():
    plane = Plane()
    backup = convert(BACKUP, f"{GROUP}/v2")
    plane.say(reconcile=pb.Reconcile(id=5, pair=1, namespace="shop", name="db", deadline_ms=2000, object=json.dumps(backup).encode()))
    call = await plane.answer(200, {})
    assert (call.method, call.path, call.query, call.reconcile) == ("PATCH", "/apis/batch/v1/namespaces/shop/cronjobs/db", "force=true", 5)
    job = json.loads(call.body)
    assert (job["spec"]["schedule"], job["spec"]["timeZone"]) == ("0 3 * * *", "Etc/UTC")
    assert job["metadata"]["ownerReferences"][0]["controller"] is True
    call = await plane.answer(200, {})
    assert call.path.endswith("/v2/namespaces/shop/backups/db/status")
    assert json.loads(call.body)["status"] == {"observedGeneration": 2, "cronJob": "db"}
    result = await plane.hear("result")
    assert (result.id, result.WhichOneof("outcome"), result.pure) == (5, "ok", True)


@in_loop
async def test_a_status_that_is_right_is_not_written_and_what_is_gone_is_ok():
    plane = Plane()
    backup = {**convert(BACKUP, f"{GROUP}/v2"), "status": {"observedGeneration": 2, "cronJob": "db"}}
    plane.say(reconcile=pb.Reconcile(id=1, pair=1, object=json.dumps(backup).encode()))
    await plane.answer(200, {})
    assert (await plane.hear("result")).WhichOneof("outcome") == "ok"
    plane.say(reconcile=pb.Reconcile(id=2, pair=1, gone=pb.Gone()))
    assert (await plane.hear("result")).WhichOneof("outcome") == "ok"


@in_loop
async def test_an_answer_that_is_no_success_decides_how_it_is_tried_again():
    for status, outcome in ((409, "conflict"), (422, "permanent"), (403, "transient"), (504, "transient"), (404, "ok")):
        plane = Plane()
        plane.say(reconcile=pb.Reconcile(id=1, pair=1, object=json.dumps(convert(BACKUP, f"{GROUP}/v2")).encode()))
        await plane.answer(status, {"reason": "R", "message": "m"})
        assert (await plane.hear("result")).WhichOneof("outcome") == outcome


@in_loop
async def test_a_cancelled_reconcile_is_answered_and_conversions_go_on_meanwhile():
    async def forever(primary, call):
        await asyncio.sleep(60)
        return Outcome()

    plane = Plane(forever)
    plane.say(reconcile=pb.Reconcile(id=1, pair=1, gone=pb.Gone()))
    plane.say(convert=pb.Convert(id=2, desired_api_version=f"{GROUP}/v2", objects=[json.dumps(BACKUP).encode()]))
    assert (await plane.hear("converted")).id == 2
    plane.say(cancel=pb.Cancel(id=1))
    assert (await plane.hear("result")).transient.reason == "Cancelled"
