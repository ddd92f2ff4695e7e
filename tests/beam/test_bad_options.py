"""Options with which a runner cannot start are told in one line, with 2, before anything is planned."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions

from cli.jobs import write_job
from cli.program import call
from skyhaul.beam import bad_options, runners
from skyhaul.beam.runners import OFFERED, adapter_for, check_runner
from skyhaul_schemas.errors import EXIT_USAGE, UsageError

ENDPOINT = "--job_endpoint=127.0.0.1:1"
ENOUGH = {
    "DirectRunner": [],
    "FlinkRunner": ["--parallelism=2", "--flink_master=127.0.0.1:1"],
    "PortableRunner": [ENDPOINT],
    "PrismRunner": [ENDPOINT],
    "DataflowRunner": [],
}
"""With these alone a runner is content, but Dataflow's."""

OF_ANY = [
    (["stray"], "found stray after the --"),
    (["-p", "2"], "begin with --; found -p"),
    (["--streaming=perhaps"], "argument --streaming: ignored explicit argument 'perhaps'"),
    (["--direct_num_workers=x"], "argument --direct_num_workers: invalid int value: 'x'"),
    (["--direct_num_workers"], "argument --direct_num_workers: expected one argument"),
    (["--flink_version=9.9"], "argument --flink_version: invalid choice: '9.9'"),
    (["--element_processing_timeout_minutes=5"], "a lot of shards is one element"),
    (["--runner=FlinkRunner"], "give --runner before the --"),
]
OF_THOSE_ELSEWHERE = [
    (["--setup_file=/nowhere/setup.py"], "--setup_file: there is no file /nowhere/setup.py"),
    (["--extra_package=/nowhere/a.whl"], "--extra_packages: there is no file /nowhere/a.whl"),
    (["--environment_type=NONSENSE"], "--environment_type: found NONSENSE, allowed: DOCKER, PROCESS"),
    (["--environment_type=PROCESS"], "Option process_command is required"),
    (["--environment_type=PROCESS", "--environment_config=boot"], "of PROCESS it is JSON"),
    (["--environment_type=PROCESS", '--environment_config={"env": {}}'], "of PROCESS it is JSON"),
    (["--environment_type=EXTERNAL", "--environment_config=there"], "HOST:PORT; found there"),
    (["--environment_type=EXTERNAL", "--environment_config={}"], "HOST:PORT; found {}"),
    (["--job_endpoint=there"], "--job_endpoint: found there, allowed: HOST:PORT"),
    (["--job_endpoint=there:99999"], "--job_endpoint: found there:99999"),
    (["--pickle_library=dill"], "ill"),
]
OF_ONE = [
    ("DirectRunner", ["--no_such_option=1"], "Beam knows no option --no_such_option"),
    ("FlinkRunner", ["--parallelism=0"], "say --parallelism"),
    ("FlinkRunner", ["--flink_job_server_jar=/nowhere.jar"], "--flink_job_server_jar: there is no file"),
    ("PrismRunner", ["--prism_location=/nowhere"], "--prism_location: there is no file /nowhere"),
    ("DataflowRunner", ["--disk_size_bg=100"], "Beam knows no option --disk_size_bg"),
    ("DataflowRunner", [], "Missing required option: project; Missing required option: region"),
    (
        "DataflowRunner",
        ["--project=p", "--region=us-central1", "--temp_location=gs://b/t"],
        "Invalid GCS bucket (gs://b/t)",
    ),
    ("DataflowRunner", ["--num_workers=-1"], "Invalid value (-1) for option: num_workers"),
]
CASES = [
    *((runner, bad, told) for bad, told in OF_ANY for runner in OFFERED),
    *((runner, bad, told) for bad, told in OF_THOSE_ELSEWHERE for runner in OFFERED[1:]),
    *OF_ONE,
]


@pytest.fixture(autouse=True)
def _libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Google's were installed: what else is wrong is then told."""
    monkeypatch.setattr(bad_options, "_missing_libraries", lambda: iter(()))
    # Beam asks gcloud for the region, and Google, if its clients are there, for a bucket.
    monkeypatch.setenv("CLOUDSDK_COMPUTE_REGION", "")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(GoogleCloudOptions, "_create_default_gcs_bucket", lambda self: None)


@pytest.mark.parametrize(("runner", "bad", "told"), CASES, ids=[f"{r} {' '.join(b)}" for r, b, _ in CASES])
def test_a_bad_option_of_any_runner_is_told_in_one_line(runner: str, bad: list[str], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_runner(runner, [*ENOUGH[runner], *bad])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize("runner", [name for name in OFFERED if name != "DataflowRunner"])
def test_good_options_pass_and_leave_nothing_behind(
    runner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    check_runner(runner, ENOUGH[runner])
    if runner != "DirectRunner":
        pool = ["--environment_type=EXTERNAL", "--environment_config=127.0.0.1:50000"]
        check_runner(runner, [*ENOUGH[runner], *pool])
        command = ["--environment_type=PROCESS", "--environment_config", '{"command": "/opt/boot"}']
        check_runner(runner, [*ENOUGH[runner], *command])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "DaskRunner",
        "SparkRunner",
        "InteractiveRunner",
        "flinkrunner",
        "direct",
        "apache_beam.runners.direct.DirectRunner",
        "",
    ],
)
def test_runners_that_no_test_has_run_are_refused_with_those_that_are_offered(name: str) -> None:
    with pytest.raises(UsageError, match="use one of DirectRunner, FlinkRunner") as caught:
        check_runner(name, [])
    assert str(caught.value).startswith(f"--runner {name}: not supported, ")


def test_runners_that_split_an_element_get_the_splittable_adapter() -> None:
    splitting = [name for name in OFFERED if adapter_for(name) == "splittable"]
    assert splitting == ["PrismRunner", "DataflowRunner"]


def test_the_help_offers_the_runners_that_there_are_and_no_other() -> None:
    answer = call("run", "--help")
    offered = {word.strip(",.") for word in answer.out.split() if word.strip(",.").endswith("Runner")}
    assert offered == set(OFFERED)


def test_nothing_is_planned_for_a_runner_that_cannot_start(tmp_path: Path) -> None:
    job = write_job(tmp_path)
    answer = call("run", job, "--runner", "PortableRunner", "--", "--environment_type=PROCESS")
    assert answer.code == EXIT_USAGE
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "dataset").exists()


def test_a_relative_spool_is_refused_where_the_workers_are_machines_of_dataflows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "check_runner", lambda name, arguments: None)
    job = write_job(tmp_path, spool="here")
    answer = call("run", job, "--runner", "DataflowRunner")
    assert answer.code == EXIT_USAGE
    assert "spool: found here, allowed: an absolute path" in answer.err
    assert not (tmp_path / "dataset").exists()


def test_dataflow_without_googles_libraries_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(bad_options, "_GOOGLE", ("google.cloud.no_such_library",))
    with pytest.raises(UsageError, match=r"no_such_library is not installed; pip install 'skyhaul\[dataflow"):
        check_runner("DataflowRunner", ["--project=my-project", "--region=us-central1"])
