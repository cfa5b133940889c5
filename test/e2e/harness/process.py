"""Child processes that never outlive the test run, ended by their id only."""
import ctypes
import os
import random
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1


def _die_with_parent():
    ctypes.CDLL("libc.so.6").prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# Which of pytest-xdist's workers this is: "gw0", "gw1"...; without -n there is one, with no name.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


def _ports():
    """Ports below those that outgoing connections take: one of these could have a server's port before it binds it, or
    while it is restarted. Each worker has a part of its own."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        ephemeral = int(f.read().split()[0])
    first, end = 10000, ephemeral if ephemeral > 20000 else 32768
    workers, mine = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)), int(WORKER[2:] or 0)
    share = (end - first) // workers
    first, end = first + mine * share, first + (mine + 1) * share
    at = random.randrange(first, end)
    while True:
        yield at
        at = at + 1 if at + 1 < end else first


PORTS = _ports()


def free_port():
    """Never the same twice, until all have been given out."""
    for port in PORTS:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def eventually(check, timeout=30, interval=0.1, what="condition"):
    """Waits until check() returns something true, and returns it. Its last failure is in the error."""
    deadline = time.monotonic() + timeout
    last = None
    while time.monotonic() < deadline:
        try:
            value = check()
            if value:
                return value
            last = value
        except Exception as error:  # noqa: BLE001 - whatever it is, it may pass
            last = error
        time.sleep(interval)
    raise AssertionError(f"{what} did not come true within {timeout} s; last: {last!r}")


class Process:
    def __init__(self, args, log, env=None):
        self.args = [str(a) for a in args]
        self.log = log
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(
                self.args, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env, preexec_fn=_die_with_parent)

    @property
    def alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.alive:
            self.popen.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def stop(self, timeout=30):
        """SIGTERM, and SIGKILL where that does not help. The exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def output(self):
        with open(self.log, "r", errors="replace") as f:
            return f.read()
