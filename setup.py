"""Builds lamella: sdk/ on the path, native/ through CMake and pybind11."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cmake
import ninja
import pybind11
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent

# Packages that live beside sdk/ and are linked into it.
LINKS = {"targets": "../../targets", "calibration": "../../calibration"}

DATA = ["py.typed", "*.pyi", "**/*.yaml", "**/*.toml", "**/*.md", "**/*.j2", "**/*.inc", "**/*.cc"]


class CMakeBuild(build_ext):
    """Builds every extension of the package by one run of CMake."""

    def build_extension(self, ext: Extension) -> None:
        """Builds `ext` to where setuptools expects it."""
        output = Path(self.get_ext_fullpath(ext.name)).resolve()
        folder = Path(self.build_temp).resolve()
        command = Path(cmake.CMAKE_BIN_DIR) / "cmake"
        configure = [
            *(command, "-G", "Ninja", "-S", ROOT / "native", "-B", folder),
            f"-DCMAKE_MAKE_PROGRAM={Path(ninja.BIN_DIR) / 'ninja'}",
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={output.parent}",
            "-DCMAKE_BUILD_TYPE=" + ("Debug" if self.debug else "Release"),
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        ]
        subprocess.run(configure, check=True)
        subprocess.run([command, "--build", folder, "--parallel", "2"], check=True)


def check_links() -> None:
    """Stops with a sentence if a checkout turned the links into text files."""
    for name, target in LINKS.items():
        link = ROOT / "sdk" / "lamella" / name
        if not link.is_dir():
            raise SystemExit(
                f"{link} must be a symbolic link to {target}, but this checkout made it "
                f"{'a text file' if link.is_file() else 'nothing'}; check out again with "
                "`git -c core.symlinks=true checkout -- sdk/lamella` on a file system with links"
            )


check_links()
setup(
    package_dir={"": "sdk"},
    packages=find_packages("sdk"),
    package_data={"lamella": DATA},
    ext_modules=[Extension("lamella._native", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
