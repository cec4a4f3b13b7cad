"""`python -m hostile.fuzz [RUNS]`: random changes of small artifacts, under the sanitizers.

Builds native/fuzz with libFuzzer and runs it from the seeds of `forge.py` and the files of
`corpus`. A file that crashes the reader is left in out/fuzz; it belongs into `corpus`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from hostile.forge import seeds

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NATIVE = ROOT / "native"
COMPILER = "clang++-16"
FLAGS = ("-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off")
SANITIZERS = ("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
LIMITS = ("-max_len=4096", "-timeout=10", "-rss_limit_mb=1024", "-seed=1", "-print_final_stats=1")


def main() -> int:
    """Returns what the fuzzer returns: 0 if it found nothing."""
    if shutil.which(COMPILER) is None:
        print(f"{COMPILER} is not installed: apt-get install clang-16", file=sys.stderr)
        return 1
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    out = ROOT / "out" / "fuzz"
    found, start = out / "found", out / "seeds"
    for folder in (found, start):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for name, content in seeds().items():
        (start / name).write_bytes(content)
    program = build(out)
    dictionary = NATIVE / "fuzz" / "artifact.dict"
    options = [f"-runs={runs}", *LIMITS, f"-dict={dictionary}", f"-artifact_prefix={out}/"]
    command = [program, *options, found, start, HERE / "corpus"]
    return subprocess.run(command, check=False).returncode


def build(folder: Path) -> Path:
    """Returns the fuzzer, built into a folder."""
    program = folder / "artifact_fuzz"
    sources = [
        *NATIVE.glob("fuzz/**/*.cc"),
        *NATIVE.glob("engine/file/*.cc"),
        *NATIVE.glob("base/*.cc"),
    ]
    flags = (*FLAGS, *SANITIZERS, "-pthread", f"-I{NATIVE}")
    subprocess.run([COMPILER, *flags, *sources, "-o", program], check=True)
    return program


if __name__ == "__main__":
    sys.exit(main())
