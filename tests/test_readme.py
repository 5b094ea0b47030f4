from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

import api
import budgets
import engine
from api.cli import app, main
from api.terminal import EXIT_CODES
from budgets.loss import nanorho_for, odds
from budgets.policy import STANDARD, year_cap_nanorho

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES_MAX = 200
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def at_the_demo(folder, tmp_path, monkeypatch):
    """A working folder that has the demo's district."""
    (tmp_path / "homeroom-demo").symlink_to(folder)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("at_the_demo")
def test_every_command_of_the_readme_works(monkeypatch, capsys):
    """Each bash line is run; make's own two are targets of the Makefile, which the checks call."""
    lines = [line.split("#")[0].strip() for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8") if (ROOT / "Makefile").is_file() else ""
    for line in filter(None, lines):
        program, *arguments = shlex.split(line)
        if program == "make":
            assert not makefile or f"\n{arguments[0]}: " in makefile
            continue
        assert program == ".venv/bin/homeroom"
        monkeypatch.setattr(sys, "argv", ["homeroom", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, capsys.readouterr().err


@pytest.mark.usefixtures("at_the_demo")
def test_every_python_block_of_the_readme_runs(capsys):
    """The example prints a table with its margins."""
    for text in (text for kind, text in BLOCKS if kind == "python"):
        exec(compile(text, "README.md", "exec"), {})  # noqa: S102 - the README is ours
    assert "gpa_moe90" in capsys.readouterr().out


def test_the_readme_says_what_is_computed():
    """The promise's figures are those of the policy, and the page is short."""
    lifetime = nanorho_for(STANDARD.epsilon)
    assert f"at most {odds(lifetime):g} times as likely" in README.replace("\n", " ")
    assert f"it is {odds(year_cap_nanorho(lifetime, 2030, 2025)):g} times" in README.replace("\n", " ")
    assert f"ρ = {lifetime / 1e9:.4f}" in README
    assert README.count("\n") < LINES_MAX


def test_every_exit_code_and_dependency_is_in_the_readme():
    """Nothing is depended on without a line of defence."""
    listed = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("dependencies = [")[1].split("]")[0]
    for name in re.findall(r'"([a-z0-9.]+)', listed):
        assert re.search(rf"^\|[^|]*\b{re.escape(name)}\b[^|]*\|", README, flags=re.MULTILINE), name
    for code in EXIT_CODES.values():
        assert re.search(rf"\b{code} \w", README)
    assert app.registered_commands


def test_the_packages_are_ours():
    """Another distribution that ships a package of the same name would silently win."""
    parents = {Path(package.__file__).parents[1] for package in (api, budgets, engine)}
    assert len(parents) == 1


def test_no_other_randomness():
    """Random numbers come from OpenDP alone; the demo's inventions and names of things aside."""
    for path in [*(ROOT / "engine").rglob("*.py"), *(ROOT / "budgets").rglob("*.py"), *(ROOT / "api").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        if not path.name.startswith("demo"):
            assert not re.search(r"^\s*(import|from) random|np\.random|numpy\.random|RANDOM\(", text, re.MULTILINE), (
                path
            )
        assert "honest-but-curious" not in text, path
        assert "idealized" not in text, path
