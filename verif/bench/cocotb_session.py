"""cocotb test module of a session: runs one after the other, as they are asked for. While nobody asks, the simulator waits with all else."""

import ctypes
import json
import os
from pathlib import Path

import cocotb

from .cocotb_main import configured, inference, recover
from .job import ANSWERS, REQUESTS, STATUS_ERROR, JobRun


@cocotb.test()
async def serve(dut):
    """Answer runs until the other side closes its end."""
    folder = Path(os.environ["COVENANT_WORK"])
    job, bus, image = await configured(dut, folder)
    with os.fdopen(int(os.environ[REQUESTS]), "r") as requests, os.fdopen(int(os.environ[ANSWERS]), "w") as answers:
        failed = False
        for line in iter(requests.readline, ""):
            if failed:
                await recover(bus, job)
            entry, dumped = await inference(dut, bus, image, job, JobRun(**json.loads(line)), (folder / "request.bin").read_bytes())
            (folder / "answer.bin").write_bytes(dumped)
            ctypes.CDLL(None).fflush(None)  # the monitor's records
            answers.write(json.dumps(entry) + "\n")
            answers.flush()
            failed = bool(entry["status"] & STATUS_ERROR)
            if entry["timed_out"]:
                break
