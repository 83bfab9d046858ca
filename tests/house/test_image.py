"""The image, built and run for real: buildah without a daemon, on a Debian made by debootstrap.

The base is made once and kept in the user's cache folder; what this machine tells pip (its
indexes, its certificates) is shown to the build alone, and never enters the image.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.house.project import ROOT, files_in_git

SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
UNUSED = (
    "var/cache/apt",
    "var/lib/apt/lists",
    *(f"usr/share/{n}" for n in ("doc", "man", "locale")),
)
TOOLS = ("buildah", "debootstrap")

pytestmark = pytest.mark.timeout(900)


def why_not() -> str | None:
    """Say why the image cannot be built here; None if it can."""
    if os.geteuid() != 0:
        return "building a base with debootstrap needs root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"not installed: {', '.join(missing)} (make setup-image-tools)" if missing else None


@dataclass(frozen=True)
class Buildah:
    """buildah with a storage of its own under `cache`, so that no image of the user is touched."""

    cache: Path

    def __call__(self, *arguments: str, timeout_seconds: int = 300) -> str:
        """Run one command of buildah; give what it printed, or fail with what it said."""
        done = subprocess.run(
            ["buildah", "--storage-driver", "vfs", "--root", str(self.cache / "storage"),
             "--runroot", str(self.cache / "run"), *arguments],
            capture_output=True, text=True, check=False, timeout=timeout_seconds,
        )  # fmt: skip
        if done.returncode != 0:
            pytest.fail(
                f"buildah {' '.join(arguments)}\n{done.stdout}\n{done.stderr}", pytrace=False
            )
        return done.stdout.strip()


def pip_settings() -> dict[str, str]:
    """Give what this machine tells pip to install with, files and environment together."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    settings: dict[str, str] = {}
    # The environment (`:env:.name`) is listed last and wins, as it does in pip.
    for section, name, value in re.findall(r"^(\S+)\.([\w-]+)='(.*)'$", listed, re.MULTILINE):
        if section in ("global", "install", ":env:"):
            settings[name] = value.replace("\\n", " ")
    settings.pop("cache-dir", None)
    return settings


def machine_mounts(folder: Path) -> list[str]:
    """Write this machine's pip settings to one file, and list it, with all it names, as mounts."""
    settings = pip_settings()
    # pip brings certificates of its own, which may lack those that this machine trusts.
    bundle = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or ""
    if Path(bundle).is_file():
        settings.setdefault("cert", bundle)
    configuration = folder / "pip.conf"
    lines = [f"{name} = {value}" for name, value in settings.items()]
    configuration.write_text("\n".join(["[global]", *lines, ""]))
    words = " ".join(settings.values()).split()
    named = {Path(word.removeprefix("file://")) for word in words}
    # Of a folder of an index pages point to their siblings: the index's own parent is shown.
    shown = {path.parent if path.name == "simple" else path for path in named}
    mounts = [f"{path}:{path}:ro" for path in sorted(shown) if path.is_absolute() and path.exists()]
    return [f"--volume={mount}" for mount in [f"{configuration}:/etc/pip.conf:ro", *mounts]]


def make_base(buildah: Buildah) -> str:
    """Give the name of an image that is a small Debian with Python, made on first use."""
    recipe = hashlib.sha256(f"{SUITE} {PACKAGES}".encode()).hexdigest()[:12]
    name = f"localhost/barid-base:{recipe}"
    if buildah("images", "--quiet", "--filter", f"reference={name}"):
        return name
    with tempfile.TemporaryDirectory(dir=buildah.cache) as folder:
        root = Path(folder, "root")
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode != 0:
            pytest.fail(f"debootstrap\n{done.stdout[-4000:]}\n{done.stderr}", pytrace=False)
        # The storage copies every layer in full: what Python does not need is not carried along.
        for leftover in UNUSED:
            shutil.rmtree(root / leftover)
        Path(folder, "Dockerfile").write_text("FROM scratch\nADD root /\n")
        buildah("bud", "--quiet", "--isolation", "chroot", "--tag", name, folder)
    return name


@pytest.fixture(scope="module")
def buildah() -> Buildah:
    """Give buildah, or skip and say why."""
    if (reason := why_not()) is not None:
        pytest.skip(f"the image is not built here: {reason}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "barid", "image")
    cache.mkdir(parents=True, exist_ok=True)
    return Buildah(cache)


@pytest.fixture(scope="module")
def image(buildah: Buildah, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Build the image as the Dockerfile says."""
    base = make_base(buildah)
    name = f"localhost/barid-test:{os.getpid()}"
    mounts = machine_mounts(tmp_path_factory.mktemp("machine"))
    buildah(
        "bud", "--isolation", "chroot", "--format", "docker", "--pull-never", "--build-arg",
        f"BASE={base}", *mounts, "--tag", name, str(ROOT), timeout_seconds=600,
    )  # fmt: skip
    yield name
    buildah("rmi", "--force", name)


@dataclass(frozen=True)
class Container:
    """A container of the image, and the folder of this machine to which its commands write."""

    buildah: Buildah
    name: str
    output: Path

    def __call__(self, *command: str) -> str:
        """Run a command as the image's user and give what it wrote to standard output.

        It writes to a file, since buildah may close the pipe of a chroot before it has read all.
        """
        self.buildah(
            "run", "--isolation", "chroot", f"--volume={self.output}:/out", self.name, "--",
            "sh", "-c", 'exec "$@" >/out/stdout', "sh", *command,
        )  # fmt: skip
        return (self.output / "stdout").read_text().strip()


@pytest.fixture(scope="module")
def container(
    buildah: Buildah, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    """Start from the image as an operator would."""
    output = tmp_path_factory.mktemp("output")
    output.chmod(0o777)
    name = buildah("from", "--pull-never", image)
    yield Container(buildah, name, output)
    buildah("rm", name)


@pytest.fixture(scope="module")
def config(buildah: Buildah, image: str) -> dict[str, Any]:
    """Give the configuration that an engine reads from the image."""
    inspected: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", image))
    settings: dict[str, Any] = inspected["Docker"]["config"]
    return settings


def test_image_runs_as_another_than_root(container: Container) -> None:
    """The user within is not root, and is the one of the Dockerfile."""
    assert container("id", "-u") == "10001"


def test_image_has_the_command(container: Container, config: dict[str, Any]) -> None:
    """The image's own entry point answers as its user, with this version."""
    entrypoint = config["Entrypoint"]
    assert entrypoint == ["barid"]
    assert version("barid-broker") in container(*entrypoint, "--version")
    assert "hub" in container(*entrypoint, *config["Cmd"])


def test_image_has_a_health_check(config: dict[str, Any]) -> None:
    """An engine asks the hub whether it is well."""
    assert config["Healthcheck"]["Test"] == ["CMD", "barid", "hub", "health"]


def test_data_belongs_to_the_user_alone(container: Container, config: dict[str, Any]) -> None:
    """The folder of the data is a volume, named in the environment, that nobody else may read."""
    assert list(config["Volumes"]) == ["/var/lib/barid"]
    assert "BARID_DATA=/var/lib/barid" in config["Env"]
    assert container("stat", "--format=%U %a", "/var/lib/barid") == "barid 700"


def test_image_holds_the_pinned_packages_alone(container: Container) -> None:
    """What is installed is the runtime lock and ourselves: no pip, no build backend, no tests."""
    listing = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    installed = container("/opt/barid/bin/python", "-c", listing)
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    normal = {re.sub(r"[-_.]+", "-", name).lower() for name in installed.split()}
    assert normal == {*pinned, "barid-broker"}


def test_image_holds_every_file_of_the_packages(container: Container) -> None:
    """Code, migrations, rules, schemas and samples all reach the image, and nothing else does."""
    find = "cd /opt/barid/lib/python3*/site-packages && find schemas keys broker -type f"
    found = container("sh", "-c", find)
    installed = {name for name in found.split() if not name.endswith(".pyc")}
    expected = files_in_git("schemas", "keys", "broker")
    assert installed == {path.relative_to(ROOT).as_posix() for path in expected}


def test_nothing_of_this_machine_stays_in_the_image(container: Container) -> None:
    """The settings that this machine gave to pip are in no file of the image."""
    assert container("sh", "-c", "cat /etc/pip.conf || true") == ""
