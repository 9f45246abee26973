import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE_FILE = ROOT / "docker-compose.yml"

COMPOSE = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
GPU_WORKERS = [name for name in SERVICES if name.startswith("worker-gpu-")]
WORKERS = ["worker-cpu", *GPU_WORKERS]


def run_beside_python(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name(name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def instructions(keyword: str) -> list[str]:
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    return re.findall(rf"^{keyword}\s+(.+)$", text, flags=re.MULTILINE)


def test_dockerfile_passes_hadolint_without_exceptions() -> None:
    result = run_beside_python("hadolint", "--disable-ignore-pragma", DOCKERFILE)
    assert result.returncode == 0, result.stdout + result.stderr


def test_compose_file_follows_the_compose_schema() -> None:
    result = run_beside_python(
        "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE_FILE
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_build_context_is_what_the_dockerfile_reads() -> None:
    copied = {source for instruction in instructions("COPY") for source in instruction.split()[:-1]}
    bound = {
        source
        for instruction in instructions("RUN")
        for source in re.findall(r"--mount=type=bind,source=([^,]+)", instruction)
    }
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    exclude_all, *rules = [line for line in lines if not line.startswith("#")]
    assert exclude_all == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied | bound


def test_image_installs_the_dependencies_of_the_project() -> None:
    (script,) = (
        found[1]
        for instruction in instructions("RUN")
        if (found := re.match(r"python -c '(.+)' +> /requirements\.txt", instruction))
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert result.stdout.splitlines() == [
        *project["dependencies"],
        *extras["timm"],
        *extras["pml"],
        *extras["export"],
    ]


def test_image_runs_as_a_numbered_user_other_than_root() -> None:
    *_, user = instructions("USER")
    assert int(user) > 0


def test_base_image_is_pinned() -> None:
    assert re.fullmatch(r"python:3\.12\.\d+-slim-\w+ AS python", instructions("FROM")[0])
    assert all(image.split()[0] == "python" for image in instructions("FROM")[1:])


def test_build_argument_reaches_the_environment_and_the_label() -> None:
    arguments = SERVICES["dashboard"]["build"]["args"]
    assert arguments == {"HISTSEARCH_COMMIT": "${HISTSEARCH_COMMIT:-}"}
    assert "HISTSEARCH_COMMIT=${HISTSEARCH_COMMIT}" in instructions("ENV")
    (labels,) = instructions("LABEL")
    assert 'org.opencontainers.image.revision="${HISTSEARCH_COMMIT}"' in labels


def test_one_service_builds_the_image_and_none_pulls_it() -> None:
    ours = {name: service for name, service in SERVICES.items() if name != "postgres"}
    assert [name for name, service in ours.items() if "build" in service] == ["dashboard"]
    assert {service["image"] for service in ours.values()} == {"histsearch:local"}
    assert {service["pull_policy"] for service in ours.values()} == {"never"}


def test_only_the_dashboard_publishes_a_port_and_only_on_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"dashboard": ["127.0.0.1:8080:8080"]}
    assert not any("network_mode" in service for service in SERVICES.values())


def test_password_is_required_and_has_no_default() -> None:
    text = COMPOSE_FILE.read_text()
    substitutions = re.findall(r"\$\{?POSTGRES_PASSWORD(.{2})", text)
    assert substitutions
    assert set(substitutions) == {":?"}
    assert SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${")
    assert "\nPOSTGRES_PASSWORD=''\n" in (ROOT / ".env.example").read_text()


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "postgres"])
def test_password_stays_out_of_the_storage_url(name: str) -> None:
    environment = SERVICES[name]["environment"]
    assert environment["PGPASSWORD"] == SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"]
    assert environment["HISTSEARCH_STORAGE"] == (
        "postgresql+psycopg2://histsearch@postgres:5432/histsearch"
    )


def test_dashboards_token_comes_from_the_env_file_and_is_random_without_it() -> None:
    assert SERVICES["dashboard"]["environment"]["HISTSEARCH_DASHBOARD_TOKEN"] is None
    assert "\n# HISTSEARCH_DASHBOARD_TOKEN=''\n" in (ROOT / ".env.example").read_text()


def test_postgres_keeps_its_databases_in_a_named_volume() -> None:
    volume, target = SERVICES["postgres"]["volumes"][0].split(":")
    assert volume in COMPOSE["volumes"]
    assert SERVICES["postgres"]["image"] == "postgres:18"
    assert target == "/var/lib/postgresql"


def test_postgres_is_healthy_once_it_answers_over_tcp() -> None:
    command = SERVICES["postgres"]["healthcheck"]["test"]
    assert command[:3] == ["CMD", "pg_isready", "--host=127.0.0.1"]


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "postgres"])
def test_service_waits_for_a_healthy_postgres(name: str) -> None:
    assert SERVICES[name]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


@pytest.mark.parametrize("name", SERVICES)
def test_service_runs_without_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", SERVICES)
def test_service_limits_its_log(name: str) -> None:
    assert set(SERVICES[name]["logging"]["options"]) == {"max-size", "max-file"}


def test_workers_and_commands_start_only_on_request() -> None:
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert profiles == {
        "postgres": None,
        "dashboard": None,
        "worker-cpu": ["cpu"],
        **{name: ["gpu"] for name in GPU_WORKERS},
        "cli": ["cli"],
    }


def test_each_gpu_worker_reserves_the_gpu_of_its_name() -> None:
    assert len(GPU_WORKERS) >= 2
    for name in GPU_WORKERS:
        (device,) = SERVICES[name]["deploy"]["resources"]["reservations"]["devices"]
        assert device == {
            "driver": "nvidia",
            "device_ids": [name.removeprefix("worker-gpu-")],
            "capabilities": ["gpu"],
        }
        assert SERVICES[name]["command"] == ["worker", "--gpu", "0"]


def test_cpu_worker_reserves_no_gpu() -> None:
    assert SERVICES["worker-cpu"]["command"] == ["worker", "--device", "cpu"]
    assert "deploy" not in SERVICES["worker-cpu"]


@pytest.mark.parametrize("name", [*WORKERS, "cli"])
def test_data_sets_are_mounted_read_only_from_the_named_folder(name: str) -> None:
    (mount,) = (volume for volume in SERVICES[name]["volumes"] if isinstance(volume, dict))
    assert mount["source"] == "${HISTSEARCH_DATA:-./data}"
    assert mount["target"] == "/data"
    assert mount["read_only"] is True


@pytest.mark.parametrize("name", WORKERS)
def test_worker_has_time_to_hand_its_trial_back(name: str) -> None:
    assert SERVICES[name]["stop_grace_period"] == "30s"
    assert SERVICES[name]["restart"] == "unless-stopped"
