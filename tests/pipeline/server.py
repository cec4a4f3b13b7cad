"""Runs the command line in forked children, so that many runs load torch only once.

A line on stdin is a job: {"argv": [...], "cwd": ..., "out": ..., "err": ..., "file_bytes": ...}.
For each job two lines come back: the id of the child, and, once it is gone, its exit status, or
the negative number of the signal that killed it. `file_bytes` limits the size of any file that
the child writes, as a full disk would.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from typing import Any

# What a run loads on its way, without starting a thread.
PRELOADED = (
    "lamella.cli.entry",
    "lamella.api.optimize",
    "lamella.api.stages",
    "lamella.api.timing",
    "lamella.benchmark.plots",
    "lamella.runtime.generate",
    "torch.onnx._internal.exporter._core",
    "transformers",
)


def child(job: dict[str, Any]) -> None:
    """Becomes the command; never returns."""
    os.chdir(job["cwd"])
    for name, number in (("out", 1), ("err", 2)):
        file = os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    if job["file_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_bytes"],) * 2)
    sys.argv = ["lamella", *job["argv"]]
    from lamella.cli.entry import main

    status = 1
    try:
        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def warm_up() -> None:
    """Loads everything and exports a layer, which fills the tables of torch's exporter."""
    for name in PRELOADED:
        importlib.import_module(name)
    import torch
    import tqdm

    from lamella.frontend.trace import trace
    from lamella.graph.export import export_onnx

    # A child has only the thread that forked; what another one holds would stay locked forever.
    # onnxruntime starts one when it is loaded, so that is left to the children.
    tqdm.tqdm.monitor_interval = 0
    model = trace(torch.nn.Sequential(torch.nn.Linear(4, 4)), torch.zeros(2, 4))
    export_onnx(model.module, model.args, model.kwargs, None, tuple(model.by_id))
    assert len(os.listdir("/proc/self/task")) == 1


def serve() -> None:
    warm_up()
    print("ready", flush=True)
    for line in sys.stdin:
        process = os.fork()
        if not process:
            child(json.loads(line))
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
