"""Commands with which records come in: beginning a district, the next load, a drafted mapping, opt-outs."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from api import present
from api.demo import progress_bar
from api.terminal import EXIT_CODES, Folder, PresetName, guarded
from budgets.clock import SystemClock
from budgets.policy import PRESETS
from engine.catalog_file import read_catalog
from engine.folder import CATALOG_FILE, MAPPING_FILE
from engine.founding import Terms, found, require_new, sweep_beginnings
from engine.intake.kinds import file_rows
from engine.intake.mapping import draft
from engine.intake.oneroster import drafted_catalog
from engine.intake.recognise import are_bundles, named_sources, require_there, sources_of
from engine.intake.sources import Together
from engine.loading import Wishes, load_next
from engine.office import Office
from engine.refusals import CatalogRefused
from engine.starter import starter_catalog
from engine.witness import first_beginning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.catalog import Catalog
    from engine.intake.load import Loaded
    from engine.intake.sources import Sources

SHOWN_IDS_MAX, SHOWN_ID_MAX = 5, 40
NOTABLE_SHARE = 0.01

app = typer.Typer(no_args_is_help=True)
opt_out_app = typer.Typer(no_args_is_help=True, help="Who is in no research statistic, from the next load on.")
app.add_typer(opt_out_app, name="opt-out")

MappingFile = Annotated[Path | None, typer.Option(help="How the source's columns become the catalog's (YAML).")]
Tables = Annotated[list[str] | None, typer.Option("--table", metavar="NAME=PATH", help="A table's own file; repeat.")]
OptOuts = Annotated[Path | None, typer.Option(metavar="FILE", help="Ids of students who opted out, one a line.")]
Approvers = Annotated[
    list[str] | None, typer.Option("--approved-by", help="Of what is sensitive: two people, so twice. Written down.")
]
Reason = Annotated[str, typer.Option(help="Why what is sensitive is switched on; written down.")]
NewStudents = Annotated[bool, typer.Option("--new-students", help="Most students are new indeed, not their ids.")]
FewerStudents = Annotated[bool, typer.Option("--fewer-students", help="Most students have left indeed.")]
OptOutsLeft = Annotated[
    bool, typer.Option("--opt-outs-left", help="Students who opted out and are gone have left, with no other id.")
]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="Ids of students, as the source has them.")]
IdFile = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="The ids, one a line.")]


@app.command()
def init(  # noqa: PLR0913, PLR0917 - one for each option of the command
    folder: Folder,
    source: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="SOURCE", help="A OneRoster folder or zip, a folder of tables, or a file."),
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="The district's catalog (YAML); of OneRoster one is drafted.")
    ] = None,
    mapping: MappingFile = None,
    table: Tables = None,
    district_id: Annotated[str | None, typer.Option("--id", help="Of the district, where one is drafted.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the district, likewise.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Of the district, likewise; such as America/Chicago.")] = None,
    preset: Annotated[PresetName, typer.Option(help="What a class may lose in its lifetime.")] = PresetName.STANDARD,
    opt_outs: OptOuts = None,
    approved_by: Approvers = None,
    reason: Reason = "",
) -> None:
    """Start a district from its own records; they stay in the folder."""
    named = _named(table)
    if not source and not named:
        raise typer.BadParameter("name the records by --from, or each table's file by --table NAME=PATH")
    given = source or []
    wishes = Wishes(None, tuple(approved_by or ()), reason, _ids(None, opt_outs))

    folder = folder.absolute()

    def work() -> None:
        require_new(folder)
        require_there(given)
        drafted = catalog is None and are_bundles(given)
        if catalog is None and not drafted:
            message = "These sources need a catalog: which columns are taken, and what may stand in them."
            accepted = "--catalog FILE; engine/starter.yaml is one to start from"
            raise CatalogRefused(message, file="--catalog", accepted=accepted, load=True)
        with _catalog(catalog, given, district_id, name, time_zone) as declared:
            read = read_catalog(declared, str(catalog or "the drafted catalog"))
            sources = _sources(given, named, read, mapping)
            terms = Terms(preset=PRESETS[preset.value])
            sweep_beginnings(folder)
            with progress_bar(Console(stderr=True)) as step, first_beginning(read.district_id, folder):
                loaded = found(
                    folder, declared, sources, clock=SystemClock(), terms=terms, wishes=wishes, progress=step
                )
        _keep_mapping(folder, mapping)
        _tell(loaded)
        _tell_next(folder, drafted=drafted)

    guarded(None, work)


@app.command()
def load(  # noqa: PLR0913, PLR0917 - one for each option of the command
    folder: Folder,
    source: Annotated[list[Path] | None, typer.Argument(metavar="[SOURCE]…", help="As of init --from.")] = None,
    catalog: Annotated[Path | None, typer.Option(help="A catalog that takes the place of the present one.")] = None,
    mapping: MappingFile = None,
    table: Tables = None,
    opt_outs: OptOuts = None,
    approved_by: Approvers = None,
    reason: Reason = "",
    new_students: NewStudents = False,  # noqa: FBT002 - an option of the command
    fewer_students: FewerStudents = False,  # noqa: FBT002
    opt_outs_left: OptOutsLeft = False,  # noqa: FBT002
) -> None:
    """Replace the records of a district; budgets, grants and answers stay."""
    named = _named(table)
    if not source and not named:
        raise typer.BadParameter("name the records by SOURCE, or each table's file by --table NAME=PATH")
    confirmed = (new_students, fewer_students, opt_outs_left)
    wishes = Wishes(catalog, tuple(approved_by or ()), reason, _ids(None, opt_outs), *confirmed)

    def work() -> None:
        require_there(source or [])
        with Office.open(folder) as office:
            read = office.catalog if catalog is None else read_catalog(catalog)
        kept = mapping or (folder / MAPPING_FILE if (folder / MAPPING_FILE).is_file() else None)
        sources = _sources(source or [], named, read, kept)
        with progress_bar(Console(stderr=True)) as step:
            loaded = load_next(folder, sources, clock=SystemClock(), wishes=wishes, progress=step)
        _keep_mapping(folder, mapping)
        _tell(loaded)

    guarded(None, work)


def _sources(given: Sequence[Path], named: Mapping[str, Path], catalog: Catalog, mapping: Path | None) -> Sources:
    """What --from and --table name, together."""
    parts = [sources_of(given, catalog, mapping)] if given else []
    parts += [named_sources(named)] if named else []
    return parts[0] if len(parts) == 1 else Together(parts)


@app.command("map")
def map_headers(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Files whose headers are read, and nothing else.")
    ],
    catalog: Annotated[
        Path | None, typer.Option(help="The catalog that is mapped to; the starter catalog if none is given.")
    ] = None,
) -> None:
    """Draft a mapping from the names of columns alone; write it to a file, and finish it by hand."""

    def work() -> None:
        headers = {file.name: file_rows(file).names for file in files}
        typer.echo(draft(headers, starter_catalog() if catalog is None else read_catalog(catalog)), nl=False)

    guarded(None, work)


@opt_out_app.command("add")
def opt_out_add(folder: Folder, ids: Ids = None, file: IdFile = None) -> None:
    """Take students out of all research statistics, from the next load on; mandated statistics still count them."""
    _opt_out(folder, _ids(ids, file), out=True)


@opt_out_app.command("withdraw")
def opt_out_withdraw(folder: Folder, ids: Ids = None, file: IdFile = None) -> None:
    """Take back an opt-out, from the next load on."""
    _opt_out(folder, _ids(ids, file), out=False)


@opt_out_app.command("list")
def opt_out_list(folder: Folder) -> None:
    """Say how many students have opted out: for the officer alone, it is never published."""

    def work() -> None:
        with Office.open(folder) as office:
            told = f"{office.opted_out():,} students of the district have opted out of research."
            Console().print(told, markup=False)

    guarded(None, work)


def _opt_out(folder: Path, ids: tuple[str, ...], *, out: bool) -> None:
    strange: tuple[str, ...] = ()

    def work() -> None:
        nonlocal strange
        with Office.open(folder) as office:
            strange = office.opt_out(ids, out=out)
        console = Console(stderr=True)
        if len(strange) < len(set(ids)):
            load_again = present.command("load", str(folder), "SOURCE")
            console.print(f"Noted. It holds from the next load on: {load_again}", markup=False)
        _ask_after(console, strange, "NOT noted: the district has never seen")

    guarded(None, work)
    if strange:
        raise typer.Exit(EXIT_CODES[CatalogRefused])


def _ask_after(console: Console, strange: Sequence[str], what: str) -> None:
    """An id that means nobody is likely to be a slip, and then somebody is not out who wants to be."""
    if strange:
        shown = ", ".join(present.plain(one[:SHOWN_ID_MAX]) for one in strange[:SHOWN_IDS_MAX])
        more = f" and {len(strange) - SHOWN_IDS_MAX:,} more" if len(strange) > SHOWN_IDS_MAX else ""
        hint = "Is each written as in the source? Of OneRoster it is the identifier, where a student has one."
        console.print(f"{what} {shown}{more}. {hint}", markup=False, soft_wrap=True)


def _ids(given: Sequence[str] | None, file: Path | None) -> tuple[str, ...]:
    """Ids from the command line and from a file."""
    found = list(given or ())
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            raise typer.BadParameter(
                f"{present.plain(str(file))} cannot be read; a text file with one id a line can"
            ) from None
        lines = [line.split(",")[0].strip().strip('"') for line in text.splitlines()]
        if not any(lines):
            raise typer.BadParameter(f"{present.plain(str(file))} names nobody; one id a line is needed")
        found += [line for line in lines if line.strip()]
    return tuple(found)


def _named(table: Sequence[str] | None) -> dict[str, Path]:
    """Files by the tables they are of."""
    named: dict[str, Path] = {}
    for given in table or ():
        name, separator, path = given.partition("=")
        if not separator or not name or not path or name in named:
            raise typer.BadParameter(f"{given!r} is not NAME=PATH, each name once")
        named[name] = Path(path)
    return named


@contextmanager
def _catalog(
    given: Path | None, source: Sequence[Path], district_id: str | None, name: str | None, time_zone: str | None
) -> Iterator[Path]:
    """The declared catalog; of OneRoster bundles one is drafted from what is public in them."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / CATALOG_FILE
        text = drafted_catalog(source, district_id=district_id, name=name, time_zone=time_zone or _own_time_zone())
        path.write_text(text, encoding="utf-8")
        yield path


def _own_time_zone() -> str:
    """The time zone this machine is set to.

    Raises:
        CatalogRefused: it does not say, or is one of no district.
    """
    for file in (Path("/etc/timezone"), Path("/etc/localtime")):
        try:
            text = str(file.readlink()) if file.is_symlink() else file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        zone = text.strip().rpartition("zoneinfo/")[2]
        if "/" in zone and not zone.startswith("Etc/"):
            return zone
    message = "In which time zone is the district? Its budget years begin by its own calendar, for ever."
    raise CatalogRefused(message, file="--time-zone", accepted="--time-zone America/Chicago, say", load=True)


def _keep_mapping(folder: Path, mapping: Path | None) -> None:
    """Keep a mapping for the next load."""
    if mapping is not None and mapping.resolve() != (folder / MAPPING_FILE).resolve():
        shutil.copyfile(mapping, folder / MAPPING_FILE)
        (folder / MAPPING_FILE).chmod(0o600)


def _tell(loaded: Loaded) -> None:
    """What was taken and what was not: for whoever loads, who has the records before them."""
    console = Console(stderr=True)
    report = loaded.report
    console.print("Taken:", markup=False)
    for table, columns in report.taken.items():
        console.print(f"  {table}: {', '.join(columns)}", markup=False, highlight=False)
    left = sum(len(columns) for columns in report.left_behind.values())
    console.print(f"Left behind, and not read: {left:,} columns.", markup=False)
    students = report.students
    told = f"{students.all:,} students, {students.new:,} of them new, {students.opted_out:,} opted out."
    console.print(told, markup=False)
    for warning in report.warnings(NOTABLE_SHARE):
        console.print(f"! {warning}", markup=False, style="yellow", soft_wrap=True)
    _ask_after(console, loaded.unknown, "! Opt-outs of nobody: the district has never seen")
    console.print(f"All of it, for you alone: {loaded.page}", markup=False, soft_wrap=True)


def _tell_next(folder: Path, *, drafted: bool) -> None:
    console = Console(stderr=True)
    console.print(f"The district is in {folder}.", markup=False)
    if drafted:
        console.print(
            f"Its catalog was drafted from the bundle's public files. Read it: {folder / CATALOG_FILE}",
            markup=False,
            soft_wrap=True,
        )
    home = read_catalog(folder / CATALOG_FILE).cohort_table
    question = f"SELECT COUNT(*) AS students FROM {home}"  # noqa: S608 - shown, not run
    console.print(
        "It is in its pilot: under its own grant you may ask it; every other grant gets rehearsals until "
        f"{present.command('open', str(folder))} with two names.",
        markup=False,
    )
    console.print("What a first question would cost, for free:")
    console.print(present.command("preview", str(folder), question), markup=False, highlight=False, soft_wrap=True)
