"""The doctor: each line is true of this machine, and what is needed and missing fails."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from importlib import metadata

import pytest
from packaging.version import Version

from mmhallu_core import doctor
from mmhallu_core.data.sources import sources
from mmhallu_core.store import PACKAGE


def lines():
    return {line["what"]: line for line in doctor.examine()["lines"]}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of one shipped model's folder, in a package of its own."""
    folder = tmp_path / "checkpoints" / "tiny-llava"
    shutil.copytree(PACKAGE / "checkpoints" / "tiny-llava", folder)
    monkeypatch.setattr(doctor, "PACKAGE", tmp_path)
    return folder


def test_versions_are_those_installed():
    found = lines()
    for name in doctor.NAMED:
        assert found[name]["state"] == "ok" and Version(found[name]["found"]) == Version(metadata.version(name))


def test_every_line_that_is_not_ok_says_what_to_do():
    for line in doctor.examine()["lines"]:
        assert line["state"] in ("ok", "missing", "optional")
        assert (line["state"] == "ok") == (line["do"] == ""), line


@pytest.mark.parametrize(
    "have, state", [("2.11.0", "ok"), ("2.15.0+cu132", "ok"), ("2.9.1", "missing"), (None, "missing")]
)
def test_an_old_or_absent_package_is_found(monkeypatch, have, state):
    real = metadata.version

    def version(name):
        if name != "torch":
            return real(name)
        if have is None:
            raise metadata.PackageNotFoundError(name)
        return have

    monkeypatch.setattr(doctor.metadata, "version", version)
    report = doctor.examine()
    line = next(line for line in report["lines"] if line["what"] == "torch")
    assert line["state"] == state and (have or "not installed") in line["found"]
    assert report["ok"] or state == "missing" or "torch" not in report["summary"]
    if state == "missing":
        assert not report["ok"] and "torch" in report["summary"]


@pytest.mark.parametrize("have, state", [("5.24.3", "ok"), ("5.25.0", "missing"), ("5.16.9", "missing")])
def test_a_version_that_was_not_tried_is_found(monkeypatch, have, state):
    real, project = metadata.version, tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    monkeypatch.setattr(doctor.metadata, "version", lambda name: have if name == "transformers" else real(name))
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: project["project"]["dependencies"])
    found = {line["what"]: line for line in doctor.check_packages()}["transformers"]
    assert found["state"] == state and (state == "ok" or "At least 5.17 and below 5.25 is needed" in found["do"])


@pytest.mark.long
def test_a_torchvision_of_another_build_is_found_and_says_what_is_wrong(tmp_path):
    """It fails on import, as torchvision 0.28 does with torch 2.15; its version alone looks right."""
    (tmp_path / "torchvision").mkdir()
    code = 'raise RuntimeError("operator torchvision::nms does not exist")'
    (tmp_path / "torchvision" / "__init__.py").write_text(code, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "mmhallu_core.cli", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, timeout=120)
    report = json.loads(done.stdout)
    found = {line["what"]: line for line in report["lines"]}["torchvision"]
    assert done.returncode == 1 and found["state"] == "missing" and "torchvision" in report["summary"]
    assert "operator torchvision::nms does not exist" in found["found"] and "belong together" in found["do"]


def test_a_damaged_or_absent_checkpoint_is_missing(package):
    check = partial(doctor.check_checkpoint, command="mmhallu pretrain tiny-llava")
    assert check(package, "model.safetensors")["state"] == "ok"
    weights = package / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0\0")
    line = check(package, "model.safetensors")
    assert (
        line["state"] == "missing"
        and "not the recorded" in line["found"]
        and "mmhallu pretrain tiny-llava" in line["do"]
    )
    weights.unlink()
    assert check(package, "model.safetensors")["state"] == "missing"
    assert {line["state"] for line in doctor.check_checkpoints()} == {"missing"}


def test_data_that_is_not_here_is_optional_and_has_its_command(tmp_path, monkeypatch):
    monkeypatch.setenv("MMHALLU_DATA", str(tmp_path))
    found = {line["what"]: line for line in doctor.check_data()}
    for name in sources():
        line = found[f"data {name}"]
        assert (
            line["state"] == "optional"
            and f"mmhallu data get {name}" in line["do"]
            and line["found"].startswith("0 of")
        )


def test_network_profile_and_device(monkeypatch):
    monkeypatch.setenv("MMHALLU_OFFLINE", "1")
    assert "MMHALLU_OFFLINE" in doctor.check_network()["found"]
    monkeypatch.setenv("MMHALLU_PROFILE", "huge")
    assert {line["what"]: line["state"] for line in doctor.check_devices()[1]}["profile"] == "missing"
    monkeypatch.setenv("MMHALLU_PROFILE", "full")
    monkeypatch.setenv("MMHALLU_DEVICE", "cpu")
    found = {line["what"]: line for line in doctor.check_devices()[1]}
    assert found["GPU"]["state"] == "missing" and "24 GB" in found["GPU"]["do"]
    monkeypatch.setenv("MMHALLU_PROFILE", "tiny")
    assert {line["state"] for line in doctor.check_devices()[1]} == {"ok"}


def test_memory_and_folders(tmp_path, monkeypatch):
    assert doctor.check_memory()["state"] == "ok" and 0 < int(doctor.check_memory()["found"].split()[0]) < 2**14
    monkeypatch.setenv("MMHALLU_CACHE", str(tmp_path / "not" / "yet"))
    assert doctor.check_folders()[0]["state"] == "ok" and not (tmp_path / "not").exists(), "it only looks"
    (tmp_path / "file").touch()
    monkeypatch.setenv("MMHALLU_CACHE", str(tmp_path / "file" / "cache"))
    assert doctor.check_folders()[0]["state"] == "missing"
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage._replace(free=10**8))
    assert doctor.check_folders()[1]["state"] == "missing"


def test_the_doctor_opens_no_connection_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("MMHALLU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MMHALLU_DATA", str(tmp_path / "data"))
    doctor.examine()
    assert os.listdir(tmp_path) == []
