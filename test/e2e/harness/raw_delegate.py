"""Delegates that do what no delegate may: gRPC servers whose bytes a test writes itself, and servers that are none."""
import socket
import threading
from concurrent import futures

import grpc

from .delegate import pb
from .process import free_port


def hello(**more):
    return pb.DelegateMessage(hello=pb.Hello(**{"protocol_version": 1, "identity": "raw", "max_in_flight": 8, **more})).SerializeToString()


def said(**message):
    return pb.DelegateMessage(**message).SerializeToString()


def heard(requests):
    for message in requests:
        yield pb.PlaneMessage.FromString(message)


class RawDelegate:
    """serve(requests, context) is the generator of a stream: bytes in, bytes out. Without it the service is not there."""

    def __init__(self, serve=None):
        self.port, self.streams = free_port(), 0
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=[("grpc.max_send_message_length", -1)])
        if serve is not None:
            def counted(requests, context):
                self.streams += 1
                yield from serve(requests, context)
            self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
                "gulfstream.delegate.v1.Delegate", {"Session": grpc.stream_stream_rpc_method_handler(counted)})])
        assert self.server.add_insecure_port(f"127.0.0.1:{self.port}") == self.port
        self.server.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.server.stop(0).wait()


class NoDelegate:
    """A TCP server: `answer` goes out at once; then it hangs up, or says nothing more for ever."""

    def __init__(self, answer=b"", hangs_up=True):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.streams = self.listener.getsockname()[1], 0
        self.answer, self.hangs_up, self.open = answer, hangs_up, []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.streams += 1
            connection.sendall(self.answer)
            if self.hangs_up:
                connection.close()
            else:
                self.open.append(connection)

    def stop(self):
        self.listener.close()
        for connection in self.open:
            connection.close()
