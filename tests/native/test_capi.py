"""Mirrors native/capi: an installed library, its C API through ctypes, and apps that use it."""

from __future__ import annotations

import ctypes
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from classifier import CLASSES, classifier, pack, pictures
from one_call import opened

from native import library as c

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return c.installed(tmp_path_factory.mktemp("capi"))


@pytest.fixture(scope="module")
def library(prefix: Path) -> ctypes.CDLL:
    return c.open_library(prefix)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "toy.lamella"
    pack(path)
    return path


@pytest.fixture
def model(library: ctypes.CDLL, file: Path) -> Iterator[ctypes.c_void_p]:
    handle = ctypes.c_void_p()
    assert library.lamella_open(str(file).encode(), 0, ctypes.byref(handle)) == c.OK
    yield handle
    library.lamella_close(handle)


def start(library: ctypes.CDLL, model: ctypes.c_void_p, threads: int = 1) -> ctypes.c_void_p:
    session = ctypes.c_void_p()
    options = c.Options(threads, 0)
    found = library.lamella_start(model, ctypes.byref(options), ctypes.byref(session))
    assert found == c.OK, library.lamella_error(session)
    return session


def feed(library: ctypes.CDLL, session: ctypes.c_void_p, x: Any, name: bytes = b"pixels") -> int:
    sizes = (ctypes.c_int64 * 6)(*x.shape)
    tensor = c.Tensor(c.FLOAT32, x.ndim, sizes, x.ctypes.data)
    return int(library.lamella_set_input(session, name, ctypes.byref(tensor)))


def scores(library: ctypes.CDLL, session: ctypes.c_void_p) -> Any:
    tensor = c.Tensor()
    assert library.lamella_get_output(session, b"scores", ctypes.byref(tensor)) == c.OK
    shape = tuple(tensor.sizes[: tensor.rank])
    kind = ctypes.POINTER(ctypes.c_float)
    return np.ctypeslib.as_array(ctypes.cast(tensor.data, kind), shape).copy()


def test_outputs_are_those_of_the_session_in_python(
    library: ctypes.CDLL, model: ctypes.c_void_p
) -> None:
    session = start(library, model)
    reference = opened(classifier())
    for batch in (1, 4, 2):
        x = pictures(batch, batch)
        assert feed(library, session, x) == c.OK
        assert library.lamella_run(session) == c.OK
        expected = reference.run({"pixels": x})["scores"]
        assert scores(library, session).tobytes() == expected.tobytes()
    library.lamella_stop(session)


def test_ports_attachments_and_memory(library: ctypes.CDLL, model: ctypes.c_void_p) -> None:
    shape, size = c.Tensor(), ctypes.c_size_t()
    assert library.lamella_input(model, 0, ctypes.byref(shape)) == b"pixels"
    assert (shape.dtype, list(shape.sizes[: shape.rank])) == (c.FLOAT32, [-1, 3, 8, 6])
    assert library.lamella_output(model, 0, None) == b"scores"
    assert library.lamella_output(model, 1, None) is None
    found = library.lamella_attachment(model, b"labels.txt", ctypes.byref(size))
    assert ctypes.string_at(found, size.value) == b"cat\ndog\n"
    assert library.lamella_attachment(model, b"other", None) is None
    session, memory = start(library, model), c.Memory()
    assert library.lamella_memory_use(session, ctypes.byref(memory)) == c.OK
    # The picture with its channels last, and what the convolution gives, for 4 pictures; weights
    # fill whole lines of 64 bytes.
    assert memory.arena == 4 * 8 * 6 * (3 + CLASSES) * 4
    assert (memory.state, memory.weights) == (0, 9 * 3 * 8 * 4 + 32)
    library.lamella_stop(session)


def test_the_canary_tells_a_device_that_computes_something_else(
    library: ctypes.CDLL, model: ctypes.c_void_p, tmp_path: Path
) -> None:
    session = start(library, model)
    assert library.lamella_verify(session) == c.OK
    assert library.lamella_run(session) == c.BAD_ARGUMENT
    assert library.lamella_error(session) == b"input pixels is not set"
    library.lamella_stop(session)
    pack(tmp_path / "shifted.lamella", shift=0.5)
    other = ctypes.c_void_p()
    path = str(tmp_path / "shifted.lamella").encode()
    assert library.lamella_open(path, 0, ctypes.byref(other)) == c.OK
    session = start(library, other)
    assert library.lamella_verify(session) == c.FAILED
    assert b"computes something else" in library.lamella_error(session)
    library.lamella_stop(session)
    library.lamella_close(other)


def refused(library: ctypes.CDLL, path: Path) -> str:
    handle = ctypes.c_void_p()
    assert library.lamella_open(str(path).encode(), 0, ctypes.byref(handle)) == c.BAD_FILE
    sentence: bytes = library.lamella_model_error(handle)
    session = ctypes.c_void_p()
    assert library.lamella_start(handle, None, ctypes.byref(session)) == c.BAD_ARGUMENT
    library.lamella_stop(session)
    library.lamella_close(handle)
    return sentence.decode()


def test_files_that_do_not_fit_are_refused(
    library: ctypes.CDLL, file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.lamella"
    assert "x.lamella" in refused(library, path)
    content = bytearray(file.read_bytes())
    path.write_bytes(content[:-64])
    assert refused(library, path)
    content[-200] ^= 1
    path.write_bytes(content)
    assert refused(library, path)
    pack(path, target="onnx")
    assert "for the target onnx" in refused(library, path)


def test_arguments_that_do_not_fit_are_refused(
    library: ctypes.CDLL, model: ctypes.c_void_p
) -> None:
    session = start(library, model)
    assert feed(library, session, pictures(1, 1), b"image") == c.BAD_ARGUMENT
    assert library.lamella_error(session) == b"there is no input image; there are: pixels"
    assert feed(library, session, pictures(5, 1)) == c.OK
    assert library.lamella_run(session) == c.FAILED
    assert b"from 1 to 4, not 5" in library.lamella_error(session)
    assert library.lamella_get_output(session, b"y", ctypes.byref(c.Tensor())) == c.BAD_ARGUMENT
    assert library.lamella_set_input(session, b"pixels", None) == c.BAD_ARGUMENT
    for call in (library.lamella_run, library.lamella_verify):
        assert call(None) == c.BAD_ARGUMENT
    library.lamella_stop(session)
    library.lamella_stop(None)
    library.lamella_close(None)


def test_a_file_in_memory_must_be_aligned(library: ctypes.CDLL, file: Path) -> None:
    content = np.frombuffer(file.read_bytes(), np.uint8)
    room = np.zeros(len(content) + 128, np.uint8)
    first = -room.ctypes.data % 64
    room[first : first + len(content)] = content
    handle = ctypes.c_void_p()
    for shift, expected in ((0, c.OK), (8, c.BAD_FILE)):
        at = ctypes.c_void_p(room.ctypes.data + first + shift)
        size = ctypes.c_size_t(len(content))
        assert library.lamella_open_memory(at, size, 0, ctypes.byref(handle)) == expected
        library.lamella_close(handle)


def test_four_threads_with_four_sessions_give_the_bits_of_one(
    library: ctypes.CDLL, model: ctypes.c_void_p
) -> None:
    x = [pictures(3, seed) for seed in range(4)]
    expected = [opened(classifier()).run({"pixels": each})["scores"].tobytes() for each in x]
    wrong: list[int] = []

    def work(number: int) -> None:
        session = start(library, model, threads=1 + number % 2)
        feed(library, session, x[number])
        for _ in range(200):
            same = library.lamella_run(session) == c.OK
            if not same or scores(library, session).tobytes() != expected[number]:
                wrong.append(number)
        library.lamella_stop(session)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_ten_thousand_runs_and_a_thousand_sessions_leak_nothing(
    library: ctypes.CDLL, model: ctypes.c_void_p
) -> None:
    session = start(library, model)
    pairs = [pictures(batch, 1) for batch in (1, 2)]

    def some(runs: int, sessions: int) -> int:
        for turn in range(runs):
            feed(library, session, pairs[turn % 2])
            assert library.lamella_run(session) == c.OK
        for _ in range(sessions):
            library.lamella_stop(start(library, model, threads=2))
        return int(psutil.Process().memory_info().rss)

    before = some(1000, 100)
    after = some(10_000, 1000)
    library.lamella_stop(session)
    # A leak of one array of a run, 2,016 bytes and more, would be 20 MB.
    assert after - before < 2_000_000


def test_an_app_in_c_builds_on_the_installed_package(
    prefix: Path, file: Path, tmp_path: Path
) -> None:
    found = f"-DCMAKE_PREFIX_PATH={prefix}"
    c.configure(ROOT / "samples/embed_c", tmp_path / "app", found, "-DCMAKE_BUILD_TYPE=Release")
    app = tmp_path / "app" / "classify"
    photo = np.random.default_rng(3).integers(0, 256, (16, 12, 3), np.uint8)
    (tmp_path / "photo.ppm").write_bytes(b"P6\n12 16\n255\n" + photo.tobytes())
    done = subprocess.run(
        [app, file, tmp_path / "photo.ppm"], capture_output=True, text=True, check=True
    )
    near = photo[1::2, 1::2].astype(np.float32).transpose(2, 0, 1)[None]
    pixels = np.ascontiguousarray((near - np.float32(127)) / np.float32(128))
    expected = opened(classifier()).run({"pixels": pixels})
    row = expected["scores"][0]
    order = np.argsort(-row, kind="stable")[:5]
    lines = [f"{place + 1}. class {i}  {row[i]:.4f}" for place, i in enumerate(order)]
    assert done.stdout.splitlines() == lines
    broken = subprocess.run([app, file, file], capture_output=True, text=True, check=False)
    assert (broken.returncode, broken.stdout) == (1, "")


def test_the_library_is_small(prefix: Path, tmp_path: Path) -> None:
    library = next(prefix.glob("lib*/liblamella.so.*.*"))
    subprocess.run(["strip", "-o", tmp_path / "stripped.so", library], check=True)
    assert (tmp_path / "stripped.so").stat().st_size < 600_000


def test_the_operations_of_a_file_are_found(file: Path, tmp_path: Path) -> None:
    script = tmp_path / "find.cmake"
    chosen = tmp_path / "chosen.inc"
    operations = ROOT / "native/cmake/operations.cmake"
    script.write_text(f'include({operations})\nwrite_operations("{file}" "{chosen}")\n')
    c.run_cmake("-P", script)
    used = sorted({call.operation for call in classifier().calls})
    assert chosen.read_text().splitlines() == [f"LAMELLA_OP({name})" for name in used]
    known = (ROOT / "native/engine/ops.inc").read_text().splitlines()
    assert set(chosen.read_text().splitlines()) <= set(known)
    script.write_text(f'include({operations})\nwrite_operations("{script}" "{chosen}")\n')
    with pytest.raises(AssertionError, match=r"is no \.lamella file"):
        c.run_cmake("-P", script)
