"""A real study: from its CSV and a catalog written by hand to private answers beside the exact ones."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest

from budgets.clock import FixedClock
from engine.district import District
from engine.founding import INVENTED, Terms, found
from engine.office import Office

HERE = Path(__file__).parent
SOURCE = HERE.parents[2] / "shared" / "data" / "star" / "AER_STAR.csv"
EPSILON = 0.8
REPEATS = 60
COPIES = 5

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SOURCE.is_file(), reason="the STAR data is not in ../shared/data/star of this machine"),
]
BY = {"class_type": "stark", "school_type": "schoolk", "lunch": "lunchk"}
SQL = (
    "SELECT {by}, COUNT(reading) AS readers, AVG(reading) AS reading, AVG(maths) AS maths "
    "FROM star WHERE {by} <> '{without}' GROUP BY {by}"
)


def at(year):
    """A day in a budget year in which the class of 1998 is open."""
    return FixedClock(datetime(year, 3, 1, 12, tzinfo=UTC))


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    folder = tmp_path_factory.mktemp("star") / "star"
    terms = Terms(Fraction(1), policy=INVENTED)
    found(folder, HERE / "district.yaml", {"star": SOURCE}, clock=at(1990), terms=terms)
    return folder


@pytest.fixture(scope="module")
def exact():
    children = pd.read_csv(SOURCE)
    return {by: children.groupby(source)[["readk", "mathk"]].mean() for by, source in BY.items()}


def ask(folder, by, year):
    without = "unknown" if by == "lunch" else "none"
    with Office.open(folder, clock=at(year)) as office:
        office.accept_clock("A. Reader")
    with District.open(folder, clock=at(year)) as district:
        return district.ask(SQL.format(by=by, without=without), epsilon=EPSILON).to_pandas().set_index(by)


@pytest.mark.statistical
def test_the_published_advantage_of_small_classes_shows(star, exact, tmp_path):
    """One year's budget answers reading and maths by class type, school type and lunch over three years.

    Averaged over five districts of independent noise, so that a right build fails less than once in 10,000 runs; one
    district alone shows it in about 19 of 20.
    """
    found_classes = []
    for copy in range(COPIES):
        folder = tmp_path / f"star{copy}"
        shutil.copytree(star, folder)
        answers = {by: ask(folder, by, year) for by, year in zip(BY, (1990, 1991, 1992), strict=True)}
        found_classes.append(answers["class_type"].astype("float64"))
    classes = sum(found_classes) / COPIES
    for column in ("reading_se", "maths_se"):
        classes[column] = sum(each[column] ** 2 for each in found_classes) ** 0.5 / COPIES
    for subject in ("reading", "maths"):
        others = classes.loc[["regular", "regular+aide"], subject].mean()
        noise = (classes.loc["small", f"{subject}_se"] ** 2 + (classes[f"{subject}_se"] ** 2).sum() / 4) ** 0.5
        assert classes.loc["small", subject] - others > 1.645 * noise
    lunch = answers["lunch"]
    assert lunch.loc["non-free", "reading"] - lunch.loc["free", "reading"] > 10
    for by, frame in answers.items():
        for subject, column in (("reading", "readk"), ("maths", "mathk")):
            off = (frame[subject] - exact[by][column].reindex(frame.index)).abs()
            assert (off < 3 * frame[f"{subject}_moe90"]).all(), "five standard errors"


@pytest.mark.statistical
def test_the_exact_values_lie_within_the_margins_as_often_as_promised(star, exact, tmp_path):
    """Over independent districts 90 % margins cover about 90 %, 95 % margins about 95 %; half margins do not."""
    inside90, inside95, inside_half = [], [], []
    for repeat in range(REPEATS):
        folder = tmp_path / str(repeat)
        shutil.copytree(star, folder)
        frame = ask(folder, "class_type", 1990)
        for subject, column in (("reading", "readk"), ("maths", "mathk")):
            off = (frame[subject] - exact["class_type"][column].reindex(frame.index)).abs()
            inside90 += list(off <= frame[f"{subject}_moe90"])
            inside95 += list(off <= frame[f"{subject}_moe95"])
            inside_half += list(off <= frame[f"{subject}_moe90"] / 2)
        shutil.rmtree(folder)
    assert len(inside90) == 6 * REPEATS
    assert 0.83 < sum(inside90) / len(inside90) < 0.96  # 90 % ± four standard errors of 360 draws
    assert 0.90 < sum(inside95) / len(inside95) <= 1.0
    assert sum(inside_half) / len(inside_half) < 0.75
