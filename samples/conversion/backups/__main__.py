"""The program: a gRPC server with sessions, and an orderly end."""
from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import pathlib
import signal
import socket
from collections.abc import AsyncIterator

import grpc
from gulfstream.delegate.v1 import delegate_pb2 as pb
from gulfstream.delegate.v1 import delegate_pb2_grpc

from .reconciler import reconcile
from .session import ProtocolError, Session
from .versions import convert

log = logging.getLogger("backups")


def revision() -> str:
    """The version of the logic: when it is another, the plane reconciles everything anew, and forgets what was converted."""
    sources = sorted(pathlib.Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]


class Delegate(delegate_pb2_grpc.DelegateServicer):
    def __init__(self, max_in_flight: int, max_reviews: int) -> None:
        self._max_in_flight, self._max_reviews = max_in_flight, max_reviews
        self._revision = revision()
        self._sessions: set[Session] = set()

    async def Session(self, request_iterator: AsyncIterator[pb.PlaneMessage],  # noqa: N802 - the name in the proto
                      context: grpc.aio.ServicerContext) -> AsyncIterator[pb.DelegateMessage]:
        session = Session(reconcile, convert, max_in_flight=self._max_in_flight, max_reviews=self._max_reviews, revision=self._revision,
                          identity=f"backups/{self._revision} {socket.gethostname()}")
        self._sessions.add(session)
        try:
            async for message in session.run(request_iterator):
                yield message
        except ProtocolError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        finally:
            self._sessions.discard(session)

    def drain(self, why: str) -> None:
        for session in list(self._sessions):
            session.drain(why)


async def serve(flags: argparse.Namespace) -> None:
    # The plane pings a silent stream itself; these let a server of many streams and big answers be.
    options = [("grpc.max_receive_message_length", 4 << 20), ("grpc.max_send_message_length", 4 << 20)]
    server = grpc.aio.server(options=options)
    delegate = Delegate(flags.max_in_flight, flags.max_reviews)
    delegate_pb2_grpc.add_DelegateServicer_to_server(delegate, server)
    if flags.tls_cert:
        pair = (pathlib.Path(flags.tls_key).read_bytes(), pathlib.Path(flags.tls_cert).read_bytes())
        port = server.add_secure_port(flags.address, grpc.ssl_server_credentials([pair]))
    else:
        port = server.add_insecure_port(flags.address)
    await server.start()
    log.info("serving on %s (port %d)", flags.address, port)

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    delegate.drain("the delegate is stopping")
    await server.stop(grace=flags.drain_seconds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="backups", description="Converts Backups between their versions and makes CronJobs of them.")
    parser.add_argument("--address", default="127.0.0.1:9446", help="host:port to serve on (default %(default)s)")
    parser.add_argument("--max-in-flight", type=int, default=64, help="reconciles at once on one stream (default %(default)s)")
    parser.add_argument("--max-reviews", type=int, default=256, help="conversions at once on one stream (default %(default)s)")
    parser.add_argument("--drain-seconds", type=float, default=20, help="for what is in flight at SIGTERM (default %(default)s)")
    parser.add_argument("--tls-cert", help="certificate chain (PEM); without it the delegate speaks plain HTTP/2, for loopback only")
    parser.add_argument("--tls-key", help="its key (PEM)")
    flags = parser.parse_args()
    if bool(flags.tls_cert) != bool(flags.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(serve(flags))


if __name__ == "__main__":
    main()
