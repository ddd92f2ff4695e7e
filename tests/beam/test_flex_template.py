"""The Flex Template: what its launcher submits to Dataflow, and the form of what asks people for parameters.

Submitted by Beam's own DataflowRunner, with Google's side faked: uploads land in a folder, nobody is asked
for credentials. As by Google's launcher a template's location is given: the job is written, and not sent.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from cli.jobs import write_job
from skyhaul.beam.bad_options import _GOOGLE
from skyhaul.dataset.runs import runs
from skyhaul.dataset.storage.opening import open_store
from skyhaul_schemas import layout
from skyhaul_schemas.errors import EXIT_OK, EXIT_USAGE

CONTAINER = Path(__file__).resolve().parents[2] / "examples" / "container"
TEMPLATE = json.loads((CONTAINER / "flex_template.json").read_text())
CANARY = "canary-d4t4fl0w"
IMAGE = "europe-docker.pkg.dev/my-project/hauls/skyhaul:0.2.0"
OPTIONS = [
    *("--runner=DataflowRunner", "--project=my-project", "--region=europe-west1", "--job_name=haul-daily"),
    *("--temp_location=gs://bucket/temp", "--staging_location=gs://bucket/staging"),
    "--template_location=gs://bucket/staging/template_launches/2026-12-01_job/job_object",
    # Of the service, and unknown to Beam's Python.
    *("--labels=goog-dataflow-provided-template-type=flex", "--launcher_only_option=1"),
]


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


with_google = pytest.mark.skipif(
    not all(map(_found, _GOOGLE)), reason="Google's clients are not installed (extra dataflow-test)"
)


@pytest.fixture(scope="module")
def launcher() -> ModuleType:
    spec = importlib.util.spec_from_file_location("launch", CONTAINER / "launch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Google's storage would have what is uploaded."""
    import google.auth
    from apache_beam.options.pipeline_options import GoogleCloudOptions
    from apache_beam.runners.dataflow.internal import apiclient
    from google.auth.credentials import AnonymousCredentials

    folder = tmp_path / "uploads"
    folder.mkdir()

    def stage(self: object, location: str, name: str, stream: Any, *rest: object, **more: object) -> None:
        if isinstance(stream, str):
            shutil.copy(stream, folder / name)
        else:
            (folder / name).write_bytes(stream.read())

    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setattr(google.auth, "default", lambda *a, **k: (AnonymousCredentials(), "my-project"))
    monkeypatch.setattr(apiclient, "get_service_credentials", lambda options: AnonymousCredentials())
    monkeypatch.setattr(apiclient, "create_storage_client", lambda *a, **k: None)
    for name in ("stage_file", "stage_file_with_retry"):
        monkeypatch.setattr(apiclient.DataflowApplicationClient, name, stage)
    monkeypatch.setattr(GoogleCloudOptions, "_warn_if_soft_delete_policy_enabled", lambda self, option: None)
    return folder


@pytest.fixture
def daily(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job with values of both kinds from outside."""
    place = tmp_path / "place"
    place.mkdir()
    path = Path(write_job(place))
    content = yaml.safe_load(path.read_text())
    content["spool"] = "relative/spool"
    # What is secret is where the sources lie: of files of this machine, what selects below it is in the plan.
    (tmp_path / "root").write_text(f"{tmp_path}/{CANARY}\n")
    (tmp_path / CANARY).mkdir()
    monkeypatch.setenv("SKYHAUL_TEST_ROOT", f"{tmp_path}/{CANARY}")
    for number in range(4):
        (tmp_path / CANARY / f"{number}.txt").write_text(f"text {number}")
    content["sources"] = {
        "filed": {"url": f"${{file:{tmp_path}/root}}/*.txt"},
        "named": {"url": "${SKYHAUL_TEST_ROOT}/*.txt"},
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


Launch = Callable[..., dict[str, Any]]


@pytest.fixture
def launch(launcher: ModuleType, daily: str, uploads: Path) -> Launch:
    def launched(*more: str) -> dict[str, Any]:
        assert launcher.main([f"--job={daily}", f"--sdk_container_image={IMAGE}", *OPTIONS, *more]) == EXIT_OK
        job: dict[str, Any] = json.loads((uploads / "job_object").read_text())
        return job

    return launched


def said(job: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = job["environment"]["sdkPipelineOptions"]["options"]
    return options


@with_google
def test_a_launch_writes_the_job_and_ends_with_0_before_anything_is_hauled(
    launch: Launch, uploads: Path, daily: str
) -> None:
    job = launch()
    assert job["type"] == "JOB_TYPE_BATCH"
    assert (uploads / "pipeline.pb").stat().st_size < 100_000, "Dataflow takes some 10 MB"
    dataset = open_store(yaml.safe_load(Path(daily).read_text())["dataset"], writable=False)
    assert dataset.exists(layout.JOB), "the launcher plans"
    assert list(runs(dataset)) == []
    assert not dataset.exists(layout.CARD)


@with_google
def test_workers_start_from_the_templates_image(launch: Launch, uploads: Path) -> None:
    from apache_beam.portability.api import beam_runner_api_pb2

    job = launch()
    images = {harness["containerImage"] for pool in job["environment"]["workerPools"]
              for harness in pool["sdkHarnessContainerImages"]}  # fmt: skip
    assert images == {IMAGE}
    pipeline = beam_runner_api_pb2.Pipeline.FromString((uploads / "pipeline.pb").read_bytes())
    for environment in pipeline.components.environments.values():
        docker = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
        assert docker.container_image == IMAGE


@with_google
def test_the_last_step_records_behind_a_barrier(launch: Launch, uploads: Path) -> None:
    from apache_beam.portability.api import beam_runner_api_pb2

    launch()
    pipeline = beam_runner_api_pb2.Pipeline.FromString((uploads / "pipeline.pb").read_bytes())
    (record,) = (
        beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
        for transform in pipeline.components.transforms.values()
        if transform.unique_name.endswith("FinishHaul/Record") and transform.spec.payload
    )
    assert len(record.side_inputs) == 1


@with_google
def test_no_secret_is_in_what_is_sent_or_kept(launch: Launch, uploads: Path, daily: str) -> None:
    launch()
    for folder in (uploads, Path(daily).parent):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files
        assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


@with_google
def test_a_hauls_disk_and_workers_are_asked_for_where_nobody_says_otherwise(launch: Launch) -> None:
    options = said(launch("--parallelism=7"))
    assert options["autoscaling_algorithm"] == "NONE"
    assert "no_use_multiple_sdk_containers" in options["experiments"]
    assert options["num_workers"] == 7
    assert options["disk_size_gb"] == 40 + 18, "room for the spool's 16 GiB"
    options = said(
        launch(
            *("--autoscaling_algorithm=THROUGHPUT_BASED", "--max_num_workers=3", "--disk_size_gb=99"),
            "--experiments=use_multiple_sdk_containers",
        )
    )
    assert "no_use_multiple_sdk_containers" not in options["experiments"]
    assert (options["autoscaling_algorithm"], options["disk_size_gb"]) == ("THROUGHPUT_BASED", 99)
    assert (options.get("num_workers"), options["max_num_workers"]) == (None, 3)


@with_google
def test_parameters_reach_the_haul(
    launcher: ModuleType, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    real = launcher.submit_haul

    def noted(loaded: Any, options: Any, *, parallelism: int | None) -> str:
        seen.append((options, parallelism))
        run: str = real(loaded, options, parallelism=parallelism)
        return run

    monkeypatch.setattr(launcher, "submit_haul", noted)
    launch()
    launch(
        *("--workers=4", "--parallelism=3", "--max_duration=1h30m", "--deadline=6h"),
        *("--wait=true", "--spool=/mnt/spool"),
    )
    (default, _), (options, parallelism) = seen
    assert (default.spool, default.wait, default.max_duration) == ("/var/tmp/skyhaul/spool", False, None)
    assert (options.workers, parallelism, options.max_duration) == (4, 3, 5400)
    assert (options.deadline, options.wait, options.spool) == (6 * 3600, True, "/mnt/spool")


@with_google
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--job=/nowhere/job.yaml", f"--sdk_container_image={IMAGE}", *OPTIONS], "cannot be read"),
        (["--job=JOB", *OPTIONS], "--sdk_container_image: name the image"),
        (["--job=JOB", f"--sdk_container_image={IMAGE}", "--runner=DataflowRunner"], "Missing required"),
        (["--job=JOB", f"--sdk_container_image={IMAGE}", *OPTIONS, "--spool=here"], "found here, allowed"),
    ],
)
def test_a_launch_that_cannot_be_is_2_with_one_line(
    arguments: list[str],
    told: str,
    launcher: ModuleType,
    daily: str,
    uploads: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SKYHAUL_IMAGE", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")  # no gcloud
    assert launcher.main([argument.replace("JOB", daily) for argument in arguments]) == EXIT_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (uploads / "job_object").exists()


@with_google
def test_the_image_knows_its_own_name(
    launcher: ModuleType, daily: str, uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYHAUL_IMAGE", IMAGE)
    assert launcher.main([f"--job={daily}", *OPTIONS]) == EXIT_OK
    assert IMAGE in (uploads / "job_object").read_text()


# Of the template's metadata: https://cloud.google.com/dataflow/docs/reference/rest/v1b3/TemplateMetadata
REQUIRED = {"name", "label", "helpText"}
OPTIONAL = {"isOptional", "regexes", "paramType", "defaultValue", "enumOptions", "hiddenUi"}
TYPES = {"TEXT", "GCS_READ_FILE", "NUMBER", "BOOLEAN", "ENUM"}
"""Those of its types that a parameter here may have."""

TAKEN = {
    "job": ["gs://bucket/jobs/daily.yaml", "gs://bucket/out/_skyhaul/job.yaml", "gs://b/a job.yml"],
    "parallelism": ["1", "40"],
    "workers": ["1", "16"],
    "max_duration": ["6h", "1h30m", "90s", "1.5h"],
    "deadline": ["6h", "2026-11-23T06:00Z", "2026-11-23T06:00:00+02:00"],
    "wait": ["true", "false"],
    "spool": ["/mnt/disk/spool"],
    "sdk_container_image": [IMAGE, "gcr.io/p/skyhaul@sha256:00"],
}
REFUSED = {
    "job": ["daily.yaml", "gs://bucket/out", "gs://b/a\n.yaml", ""],
    "parallelism": ["0", "-1", "x", "10000"],
    "workers": ["0", ""],
    "max_duration": ["6", "h", "6 hours"],
    "deadline": ["tomorrow", "2026-11-23T06:00"],
    "wait": ["yes"],
    "spool": ["spool", ""],
    "sdk_container_image": ["two words"],
}


def test_the_metadata_has_the_documented_form() -> None:
    assert TEMPLATE.keys() == {"name", "description", "parameters"}
    names = [parameter["name"] for parameter in TEMPLATE["parameters"]]
    assert len(set(names)) == len(names)
    for parameter in TEMPLATE["parameters"]:
        assert REQUIRED <= parameter.keys() <= REQUIRED | OPTIONAL, parameter["name"]
        assert all(parameter[name].strip() for name in REQUIRED)
        assert parameter["paramType"] in TYPES
        assert parameter.get("isOptional", False) is (parameter["name"] != "job")
        if "defaultValue" in parameter:
            assert all(re.fullmatch(r, parameter["defaultValue"]) for r in parameter["regexes"])


@with_google
def test_googles_own_message_takes_the_metadata() -> None:
    from google.cloud import dataflow_v1beta3
    from google.protobuf import json_format

    message = dataflow_v1beta3.TemplateMetadata.pb()()
    json_format.ParseDict(TEMPLATE, message)
    assert [parameter.name for parameter in message.parameters] == list(TAKEN)


@pytest.mark.parametrize("parameter", TEMPLATE["parameters"], ids=lambda p: str(p["name"]))
def test_a_parameters_patterns_take_what_the_launcher_takes(
    parameter: dict[str, Any], launcher: ModuleType
) -> None:
    name = parameter["name"]

    def fits(value: str) -> bool:
        return all(re.fullmatch(pattern, value) for pattern in parameter["regexes"])

    assert [value for value in TAKEN[name] if not fits(value)] == []
    assert [value for value in REFUSED[name] if fits(value)] == []
    for value in TAKEN[name]:
        launcher._parser().parse_args([*([] if name == "job" else ["--job=x"]), f"--{name}={value}"])


def test_the_launcher_asks_for_nothing_that_the_template_does_not_offer(launcher: ModuleType) -> None:
    taken = {action.dest for action in launcher._parser()._actions} - {"help", "runner"}
    assert taken == {parameter["name"] for parameter in TEMPLATE["parameters"]}


def test_one_image_serves_launcher_and_workers() -> None:
    text = (CONTAINER / "Dockerfile").read_text()
    assert sorted(os.listdir(CONTAINER)) == ["Dockerfile", "flex_template.json", "launch.py"]
    entry = re.findall(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)
    assert entry == ['["/opt/apache/beam/boot"]']
    assert "/opt/google/dataflow/python_template_launcher" in text
    (script,) = re.findall(r"^ENV FLEX_TEMPLATE_PYTHON_PY_FILE=(.+)$", text, re.MULTILINE)
    assert re.search(rf"^COPY examples/container/launch\.py {re.escape(script)}$", text, re.MULTILINE)
