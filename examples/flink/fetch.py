"""Pinned downloads of what a cluster on one machine needs, kept in skyhaul's cache.

Each comes through the ordinary client of its registry (pip, Maven, Go), which checks what it gets;
the Flink distribution and the parts of the job server are checked against digests here as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from processes import Unavailable

BEAM = "2.77.0"
FLINK = "1.19.3"
FLINK_SDIST_SHA256 = "4a58e3a1fb7d83340bc96b6c080624c6d792d69fae5d294b96224775204a9c60"

JOB_SERVER = Path(__file__).resolve().parent / "job-server"
JOB_SERVER_BEAM = "2.62.0"
"""The newest Beam of which Maven Central holds runner and job service alike; the Fn API between the
Java runner and the Python harness is the same as in BEAM."""

GO_TOOLS = {
    "versitygw": "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
    "minio": "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c",
    "prism": f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{BEAM}",
}
"""`go install` checks each module against Go's checksum database."""

OPERATOR_API = "org.apache.flink:flink-kubernetes-operator-api:1.10.0"
OPERATOR_API_SHA256 = "b1f44814e17514fa8395c61b329a3ee9087123a5bda5b21fe1a495d5182c30b6"
OPERATOR_SCHEMA = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"

OFFLINE = "SKYHAUL_OFFLINE"
"""Set: only what is cached is used, nothing is fetched or built."""

JOB_SERVER_JAR = "SKYHAUL_FLINK_JOB_SERVER_JAR"
"""Names a job server jar that is already there, for machines that cannot reach Maven Central."""


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "skyhaul"


@contextlib.contextmanager
def _once(target: Path) -> Iterator[bool]:
    """One process at a time prepares `target`; yields whether it is still to be prepared."""
    if os.environ.get(OFFLINE) and not target.exists():
        raise Unavailable(f"{target.name} is not cached yet: run `python examples/flink/fetch.py`")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not target.exists()


def _run(what: str, command: list[str], **environment: str) -> None:
    try:
        subprocess.run(
            command,
            check=True,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1500,
        )
    except FileNotFoundError as error:
        raise Unavailable(f"{what}: no {command[0]} on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{what}: {command[0]} took more than {error.timeout:.0f} s") from error
    except subprocess.CalledProcessError as error:
        said = [line for line in (error.stdout + error.stderr).splitlines() if line.strip()]
        told = next((line for line in said if "ERROR" in line), said[-1] if said else "")
        told = told[told.find("Unable to") :] if "Unable to" in told else told
        raise Unavailable(f"{what}: {command[0]} failed: {told[:160]}") from error


def go_tool(name: str) -> Path:
    """The pinned program, built once. Raises Unavailable."""
    module = GO_TOOLS[name]
    target = cache() / "bin" / f"{name}-{module.rpartition('@')[2]}"
    with _once(target) as missing:
        if missing:
            with tempfile.TemporaryDirectory(dir=target.parent) as building:
                _run(name, ["go", "install", module], GOBIN=building, GOFLAGS="-p=2")
                (Path(building) / name).rename(target)
    return target


def java() -> Path:
    """Java 17 or 11, as Flink 1.19 wants. Raises Unavailable."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    if found is None:
        raise Unavailable("Flink: no java on this machine")
    return Path(found)


def flink() -> Path:
    """The folder of Flink's distribution (its `lib` holds the jars), from PyPI. Raises Unavailable."""
    target = cache() / f"flink-{FLINK}"
    with _once(target) as missing:
        if missing:
            with tempfile.TemporaryDirectory(dir=target.parent) as unpacking:
                sdist = _flink_sdist(Path(unpacking))
                with tarfile.open(sdist) as archive:
                    archive.extractall(unpacking, filter="data")
                next(Path(unpacking).glob("apache?flink?libraries-*/deps")).rename(target)
    return target


def _flink_sdist(folder: Path) -> Path:
    # `pip download` would run the package's setup.py for its metadata.
    _run(
        f"Flink {FLINK}",
        [
            sys.executable,
            *("-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"),
            *("--dest", str(folder), f"apache-flink-libraries=={FLINK}"),
        ],
    )
    sdist = next(folder.glob("apache?flink?libraries-*.tar.gz"))
    _check(sdist, FLINK_SDIST_SHA256)
    return sdist


def job_server_jar() -> Path:
    """Beam's job server for Flink 1.19: built by Maven, or what $SKYHAUL_FLINK_JOB_SERVER_JAR names.

    Raises Unavailable, also where a part is not the one that `job-server/jars.sha256` pins."""
    given = os.environ.get(JOB_SERVER_JAR)
    if given:
        if not Path(given).is_file():
            raise Unavailable(f"${JOB_SERVER_JAR} names {given}, which is not there")
        return Path(given)
    name = f"beam-runners-flink-{FLINK.rpartition('.')[0]}-job-server-{JOB_SERVER_BEAM}.jar"
    target = cache() / "jars" / name
    with _once(target) as missing:
        if missing:
            with tempfile.TemporaryDirectory(dir=target.parent) as building:
                folder = Path(building)
                shutil.copy(JOB_SERVER / "pom.xml", folder)
                _run(
                    f"Beam's job server for Flink ({name})",
                    ["mvn", "--quiet", "--batch-mode", "--file", str(folder / "pom.xml"), "package"],
                )
                _check_parts(folder / "target" / "jars")
                (folder / "target" / name).rename(target)
    return target


def operator_schema() -> Path:
    """What Flink's Kubernetes operator says a FlinkDeployment is, out of its jar. Raises Unavailable."""
    target = cache() / f"flinkdeployments-{OPERATOR_API.rpartition(':')[2]}.yml"
    with _once(target) as missing:
        if missing:
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
                options = [f"-Dartifact={OPERATOR_API}", f"-DoutputDirectory={folder}"]
                _run("Flink's Kubernetes operator", ["mvn", "--quiet", "--batch-mode", goal, *options])
                (jar,) = Path(folder).glob("*.jar")
                _check(jar, OPERATOR_API_SHA256)
                with zipfile.ZipFile(jar) as opened:
                    Path(opened.extract(OPERATOR_SCHEMA, folder)).rename(target)
    return target


def _check_parts(folder: Path) -> None:
    """What Maven resolved is what is pinned, no more and no less."""
    pinned = {}
    for line in (JOB_SERVER / "jars.sha256").read_text().splitlines():
        sha256, name = line.split()
        pinned[name] = sha256
    found = {path.name for path in folder.glob("*.jar")}
    if found != set(pinned):
        odd = ", ".join(sorted(found ^ set(pinned)))
        raise Unavailable(f"Beam's job server for Flink: other parts than pinned: {odd}")
    for name, sha256 in pinned.items():
        _check(folder / name, sha256)


def _check(path: Path, sha256: str) -> None:
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != sha256:
        raise Unavailable(f"{path.name} has sha256 {found}, expected {sha256}")


GETTERS: dict[str, Callable[[], Path]] = {
    **{name: functools.partial(go_tool, name) for name in GO_TOOLS},
    "java": java,
    "flink": flink,
    "job-server": job_server_jar,
    "operator": operator_schema,
}
"""What can be fetched, by name. Each raises Unavailable."""


def main() -> int:
    """Fetch what is named (default: all), and print where each lies or why it cannot be had."""
    missing = 0
    for name in sys.argv[1:] or GETTERS:
        if name not in GETTERS:
            sys.exit(f"no {name}; known: {', '.join(GETTERS)}")
        try:
            print(f"{name}: {GETTERS[name]()}", flush=True)
        except Unavailable as reason:
            missing += 1
            print(f"{name}: cannot be had: {reason}", flush=True)
    return min(missing, 1)


if __name__ == "__main__":
    sys.exit(main())
