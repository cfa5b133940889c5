"""Reviews between the plane's own client and a delegate on stock grpc-go, over a real connection: no cluster is needed."""
import os
import subprocess

import pytest
from harness.cluster import ROOT
from test_delegates import Interop


@pytest.mark.parametrize("flags", [(), ("-gzip", "-min-time=5m")], ids=["plain", "compressed"])
def test_reviews_calls_cancels_and_deadlines_work_with_stock_grpc_go(run_dir, flags):
    interop = Interop(run_dir)
    interop.start(*flags)
    try:
        program = os.path.join(ROOT, "build", "release", "test", "reviews_interop")
        done = subprocess.run([program, "--gtest_brief=1"], env={**os.environ, "INTEROP_URL": f"http://127.0.0.1:{interop.port}"},
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert any("cancelled" in line for line in interop.lines()), "the delegate heard of what nobody waited for"
        assert interop.process.stop(timeout=10) == 0, "GracefulStop ends, so the streams ended"
    finally:
        interop.process.kill()
