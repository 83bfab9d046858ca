"""Rules of the house that no other tool checks: Makefile, locks, sizes, paths, docstrings."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.house.project import ROOT, files_in_git, run

LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")
MODULE_LINES_MAX = 400
"""A room that would pass this is two rooms."""

MACHINE_PATH = re.compile(r"(?<![\w.*/~-])/(?:home|mnt|opt/pypi|root|Users|work)/[\w.]")
"""A path that exists on somebody's machine only."""

HOST_IN_LOCK = re.compile(r"://|^\s*-|--|\.(?:com|org|net|io)\b", re.MULTILINE)
"""An address, an option such as --index-url, or a bare host name."""


def without_hashes(lock: str) -> str:
    """Give a lock, comments too, without the one option that may stand in it."""
    return re.sub(r"--hash=sha256:[0-9a-f]{64}", "", (ROOT / lock).read_text())


def pins(lock: str) -> dict[str, str]:
    """Give the version that a lock pins for each package."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_make_help_lists_every_target() -> None:
    """A target that help does not name would be found by nobody; help is what `make` alone does."""
    targets = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"^  make (\S+) +\S", run("make"), re.MULTILINE)
    assert sorted(targets) == sorted(listed)
    assert {"help", "setup", "demo", "test", "check", "bench", "lock", "clean"} <= set(listed)


def test_no_module_is_over_the_limit() -> None:
    """Every Python file in git stays within the limit of lines."""
    sizes = {path: len(path.read_text().splitlines()) for path in files_in_git("*.py")}
    assert len(sizes) > 10
    too_long = {str(path): size for path, size in sizes.items() if size > MODULE_LINES_MAX}
    assert too_long == {}


def test_every_folder_of_modules_is_a_package() -> None:
    """A folder without `__init__.py` would be missing in the wheel: no migrations, no hub."""
    folders = {path.parent for path in files_in_git("broker/*.py", "keys/*.py", "schemas/*.py")}
    assert ROOT / "broker" / "hub" / "migrations" / "versions" in folders
    without = [str(folder) for folder in folders if not (folder / "__init__.py").is_file()]
    assert without == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_host(lock: str) -> None:
    """A lock says what is installed, never from where."""
    assert HOST_IN_LOCK.findall(without_hashes(lock)) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    """Each requirement has one exact version, and the hashes of wheel and source archive."""
    text = (ROOT / lock).read_text()
    requirements = re.findall(
        r"^\w[^\n]*(?:\n +--hash=sha256:[0-9a-f]{64}[ \\]*)*", text, re.MULTILINE
    )
    assert len(requirements) == len(pins(lock)) > 0
    few = [each.split()[0] for each in requirements if each.count("--hash=sha256:") < 2]
    assert few == []


def test_locks_agree() -> None:
    """What is tested is what is shipped: the development lock holds the pins of the other two."""
    shipped = pins("requirements.lock") | pins("requirements-build.lock")
    assert shipped.items() <= pins("requirements-dev.lock").items()


def test_project_names_no_path_of_a_machine() -> None:
    """No file in git holds a path that exists on one machine only."""
    found = []
    for path in files_in_git():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        lines = enumerate(text.splitlines(), start=1)
        found += [f"{path.relative_to(ROOT)}:{n}" for n, line in lines if MACHINE_PATH.search(line)]
    assert found == []


@pytest.mark.parametrize("package", ["schemas", "keys", "broker"])
def test_every_package_has_a_docstring(package: str) -> None:
    """Every folder of code is a package that says what lives in it."""
    folders = {path.parent for path in files_in_git(f"{package}/**/*.py", f"{package}/*.py")}
    assert folders
    silent = []
    for folder in folders:
        if folder.name == "versions":  # alembic's migrations, loaded by path
            continue
        opening = folder / "__init__.py"
        if not opening.is_file() or not ast.get_docstring(ast.parse(opening.read_text())):
            silent.append(str(folder.relative_to(ROOT)))
    assert silent == []


def test_readme_names_the_two_commands() -> None:
    """A newcomer finds `make demo` and `make test` in the README."""
    readme = (ROOT / "README.md").read_text()
    assert [word for word in ("make demo", "make test") if word not in readme] == []


def test_ci_runs_what_the_readme_names() -> None:
    """CI runs the commands that people run, with skipping forbidden, and is valid bash."""
    script = (ROOT / ".ci" / "run").read_text()
    run("bash", "-n", ".ci/run")
    wanted = ("set -euo pipefail", "make check", "BARID_FORBID_SKIP=1 make test", "make demo")
    assert [line for line in wanted if line not in script] == []


def test_command_is_installed_with_this_interpreter() -> None:
    """The command of the distribution stands beside the interpreter that runs the tests."""
    assert (Path(sys.executable).parent / "barid").is_file()
