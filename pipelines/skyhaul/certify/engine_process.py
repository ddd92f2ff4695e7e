"""Run an engine in a process of its own: no network, caches and home in a folder that goes away."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import re
import shutil
import signal
import site
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from skyhaul.certify.engine_reading import Reading, Request
from skyhaul.certify.engines import Engine
from skyhaul_schemas.storage_errors import passing_in, storage_error

JAVA_NEEDED = 17
"""The oldest Java that Spark 4 runs on."""

_STDERR_KEPT = 64 * 1024
"""Bytes of an engine's last words in which its error is looked for: Java's stack traces are long. Chosen, not
measured."""


class EngineFailed(Exception):
    """An engine gave no reading; the text says why, in its own words."""


def missing(engine: Engine) -> str | None:
    """Why the engine cannot run here, or None."""
    # Found and not imported: an engine's code runs in its own process only.
    if importlib.util.find_spec(engine.package) is None:
        return f"{engine.package} is not installed: pip install 'skyhaul[{engine.extra}]'"
    if engine.package != "pyspark":
        return None
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return f"Spark needs an entry of its user in passwd, and user {os.getuid()} has none"
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        return f"Spark needs Java {JAVA_NEEDED} or newer, and there is none"
    # Java writes its version to stderr.
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_NEEDED:
        found = version[1] if version else "of no known version"
        return f"Spark needs Java {JAVA_NEEDED} or newer, Java here is {found}"
    return None


def run_engine(engine: Engine, request: Request, sandbox: Path, limit: float) -> Reading:
    """Let `engine` read the dataset, and give what it read.

    The engine's processes have ended when this returns.

    Args:
        engine: One of ENGINES.
        request: What it is asked to read.
        sandbox: An empty folder for all that it writes, and its working directory.
        limit: Seconds.

    Raises:
        EngineFailed
        StorageError: Where this machine is short of something."""
    ask, answer = sandbox / "request.json", sandbox / "answer.json"
    ask.write_text(json.dumps(asdict(request)), encoding="utf-8")
    stderr = sandbox / "stderr"
    # -P: with -m Python would put the working directory, the sandbox, first on its import path.
    command = [sys.executable, "-P", "-m", "skyhaul.certify.engine_main", engine.name, str(ask), str(answer)]
    # A file and no pipe: a pipe that nobody reads meanwhile would stop an engine that talks much.
    with stderr.open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=sandbox,
            env=_environment(sandbox),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            # A group of its own, which is ended as one; its number is the process's. The terminal's Ctrl-C
            # does not reach it, so the `finally` below has to.
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            raise EngineFailed(f"gave no answer within {limit:.0f} s") from None
        finally:
            # Spark's Java is a process of its own in the same group.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code or not answer.exists():
        said = _last_line(stderr)
        lacking = passing_in(said)
        if lacking is not None:
            # No word on the dataset: the certificate can say neither that it holds nor that it does not.
            raise storage_error(lacking, f"reading with {engine.name} failed")
        raise EngineFailed(f"ended with {code}: {said}")
    return Reading.from_json(json.loads(answer.read_text(encoding="utf-8")))


def _environment(sandbox: Path) -> dict[str, str]:
    # Everything that an engine might keep or fetch goes into the sandbox or is forbidden: a certificate that
    # rests on a cache of yesterday, or on a network, says nothing of the files here.
    own = str(sandbox)
    return {
        **os.environ,
        # HOME changes, and packages of the user's own would be looked for below the new one.
        "PYTHONUSERBASE": site.getuserbase(),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": own,
        "TMPDIR": own,
        "XDG_CACHE_HOME": f"{own}/cache",
        "HF_HOME": f"{own}/huggingface",
        "HF_DATASETS_CACHE": f"{own}/huggingface/datasets",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={own} -Duser.home={own} -XX:-UsePerfData",
        "PYSPARK_PYTHON": sys.executable,
    }


def _last_line(stderr: Path) -> str:
    with stderr.open("rb") as file:
        file.seek(max(0, stderr.stat().st_size - _STDERR_KEPT))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    # The last line of an exception tells more than the last line: libraries print while they are torn down.
    said = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return (said or [line for line in lines if line] or ["it said nothing"])[-1][:500]
