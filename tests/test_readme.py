from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import api
import budgets
import engine
from api.cli import app, main
from api.problems import CODES, RETRY_S, STATUSES
from api.rights import RIGHTS
from api.terminal import EXIT_CODES
from budgets.loss import nanorho_for, odds
from budgets.policy import STANDARD, year_cap_nanorho
from budgets.refusals import AccessRefused, BudgetRefused, LedgerUnavailable, RefusalCode
from engine.refusals import CatalogRefused, QueryRefused

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES_MAX = 200
BUDGET = ("budget_year", "budget_lifetime", "cohort_sealed")
QUERY = (
    "syntax", "unsupported", "unknown_name", "bounds_missing", "keys_undeclared", "too_large", "owner_exposed",
    "crosses_students",
)  # fmt: skip
SERVER = (ROOT / "api" / "README.md").read_text(encoding="utf-8")
COMMAND = (sys.executable, "-c", "from api.cli import main; main()")


def blocks_of(text):
    """(kind, text) of each block of code."""
    return re.findall(r"```(\w+)\n(.*?)```", text, flags=re.DOTALL)


BLOCKS = blocks_of(README)


@pytest.fixture
def at_the_demo(folder, tmp_path, monkeypatch):
    """A working folder that has the demo's district."""
    (tmp_path / "homeroom-demo").symlink_to(folder)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("at_the_demo")
def test_every_command_of_the_readme_works(monkeypatch, capsys):
    """Each bash line is run; make's own two are targets of the Makefile, which the checks call."""
    run_commands([text for kind, text in BLOCKS if kind == "bash" and " serve " not in text], monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.usefixtures("at_the_demo")
@pytest.mark.parametrize("page", [README, SERVER], ids=["README", "api/README"])
def test_every_command_about_a_server_works(page, monkeypatch, capsys):
    """All of a page in its order, with a server that really listens; then its Python."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    page = page.replace("8000", port)
    servers = run_commands([text for kind, text in blocks_of(page) if kind == "bash"], monkeypatch, capsys)
    try:
        for text in (text for kind, text in blocks_of(page) if kind == "python"):
            exec(compile(text, "README.md", "exec"), {})  # noqa: S102 - the README is ours
    finally:
        for server in servers:
            server.terminate()
            server.communicate(timeout=30)


def run_commands(blocks, monkeypatch, capsys):
    """Run the lines of some blocks; the servers they start, which go on."""
    servers = []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8") if (ROOT / "Makefile").is_file() else ""
    for line in filter(None, (line.split(" #")[0].strip() for text in blocks for line in text.splitlines())):
        program, *arguments = shlex.split(line)
        if program == "make":
            assert not makefile or f"\n{arguments[0]}: " in makefile
            continue
        assert program == ".venv/bin/homeroom"
        if arguments[-1] == "&":
            servers.append(subprocess.Popen((*COMMAND, *arguments[:-1]), stdout=subprocess.PIPE, text=True))
            assert "served at" in servers[-1].stdout.readline()
            continue
        monkeypatch.setattr(sys, "argv", ["homeroom", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, capsys.readouterr().err
    return servers


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


def test_every_route_scope_and_code_is_in_the_servers_page():
    """With the scope it needs and the status it has; and no other."""
    rows = re.findall(r"^\| `(GET|POST) (\S+)` \| (\w+) \|", SERVER, flags=re.MULTILINE)
    assert {(method, path): scope for method, path, scope in rows} == {
        route: scope or "nothing" for route, scope in RIGHTS.items()
    }
    told: dict[str, str] = {}
    for statuses, codes in re.findall(r"^\| (\d{3}(?:, \d{3})*) \| (.*) \|$", SERVER, flags=re.MULTILINE):
        named = re.findall(r"`([a-z_]+)`", codes)
        each = statuses.split(", ")
        told |= dict(zip(named, each, strict=True)) if len(each) > 1 else dict.fromkeys(named, each[0])
    kinds = {QueryRefused: QUERY, BudgetRefused: BUDGET, CatalogRefused: ("catalog", "load")}
    of_kind = {code: kind for kind, codes in kinds.items() for code in codes}
    every = {*get_args(RefusalCode), *CODES, "internal", "ledger_damaged"}
    assert set(told) == every
    for code in get_args(RefusalCode):
        kind = of_kind.get(code, LedgerUnavailable if code == "ledger_unavailable" else AccessRefused)
        expected = CODES.get(code) or STATUSES[kind]
        assert told[code] == str(expected.value), code
    assert (told["internal"], told["ledger_damaged"]) == ("500", "503")
    for code in RETRY_S:
        assert f"`{code}`" in SERVER.split("come with `Retry-After`")[0].rsplit("\n\n", maxsplit=1)[-1]


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
