# SPDX-License-Identifier: Apache-2.0
"""pyproject.toml says the rest: a wheel with the library inside runs on one kind of machine, with any Python 3."""

from pathlib import Path
from typing import Tuple

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel


class Native(Distribution):
    def has_ext_modules(self) -> bool:
        return True


class NativeWheel(bdist_wheel):
    def get_tag(self) -> Tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


if any(Path(__file__).parent.glob("pulsews/libpulsews.so*")):
    setup(distclass=Native, cmdclass={"bdist_wheel": NativeWheel})
else:
    setup()
