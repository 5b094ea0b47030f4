"""LIKE and regular expressions, in time that a short pattern and a short text bound: nothing here backtracks.

Regular expressions are a subset that RE2 (DuckDB's) and we read alike: characters, `.`, classes, groups, alternatives,
anchors and greedy repetition. They run as a list of threads (Pike's machine; Cox, "Regular Expression Matching: the
Virtual Machine Approach"), whose order makes the first match the one that a backtracking matcher would find.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from engine.functions.shape import Misfit

PROGRAM_MAX = 300
"""Most instructions of a compiled pattern."""

REPEATS_MAX = 50
"""Largest number in {m,n}."""

GROUPS_MAX = 9
DEPTH_MAX = 20

_ACCEPTED = "characters, . [a-z] ( ) | ^ $ * + ? {m,n}, \\d \\w \\s and a \\ before a sign"


def like(text: str, pattern: str, escape: str = "") -> bool:
    """Whether a text is like a pattern: % is any characters, _ is one.

    >>> like("Grade 9", "Grade _"), like("a%b", "a!%b", "!"), like("", "%%")
    (True, True, True)
    """
    reach = {0}
    position = 0
    while position < len(pattern):
        sign = pattern[position]
        if escape and sign == escape:
            position += 1
            if position == len(pattern):
                raise Misfit("The pattern of LIKE ends with its escape.", "a character after it", position=1)
            sign = pattern[position]
            reach = {at + 1 for at in reach if text[at : at + 1] == sign}
        elif sign == "%":
            reach = set(range(min(reach), len(text) + 1)) if reach else set()
        elif sign == "_":
            reach = {at + 1 for at in reach if at < len(text)}
        else:
            reach = {at + 1 for at in reach if text[at : at + 1] == sign}
        position += 1
    return len(text) in reach


# -- regular expressions


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction.

    Attributes:
        op: `one` character of a set, `split` into two threads (the first preferred), `jump`, `save` a place,
            `start` or `end` of the text, or `match`.
        chars: of `one`, ranges of code points.
        inverted: of `one`, whether it is any other character.
        to: where `jump` and `split` go on.
        other: where the second thread of `split` goes on; of `save` the place's number.
    """

    op: str
    chars: tuple[tuple[int, int], ...] = ()
    inverted: bool = False
    to: int = 0
    other: int = 0

    def takes(self, char: str) -> bool:
        """Whether a character is of the set."""
        return any(low <= ord(char) <= high for low, high in self.chars) != self.inverted


@dataclass(frozen=True, slots=True)
class Regex:
    """A compiled pattern.

    Attributes:
        groups: how many groups it has, without the whole.
    """

    program: tuple[Step, ...]
    groups: int

    def search(self, text: str, begin: int = 0) -> tuple[int | None, ...] | None:
        """The places of the first match at or after `begin`: start and end of the whole, then of each group."""
        threads: list[tuple[int, tuple[int | None, ...]]] = []
        found: tuple[int | None, ...] | None = None
        for at in range(begin, len(text) + 1):
            if found is None:
                threads.append((0, (None,) * (2 * self.groups + 2)))
            reached = self._closed(threads, at, text)
            threads = []
            for pc, saved in reached:
                step = self.program[pc]
                if step.op == "match":
                    found = saved
                    break
                if at < len(text) and step.takes(text[at]):
                    threads.append((pc + 1, saved))
            if not threads and found is not None:
                break
        return found

    def full(self, text: str) -> bool:
        """Whether all of a text matches."""
        threads: list[tuple[int, tuple[int | None, ...]]] = [(0, (None,) * (2 * self.groups + 2))]
        for at in range(len(text) + 1):
            reached = self._closed(threads, at, text)
            if at == len(text):
                return any(self.program[pc].op == "match" for pc, _ in reached)
            threads = [(pc + 1, saved) for pc, saved in reached if self.program[pc].takes(text[at])]
        raise AssertionError

    def _closed(
        self, threads: list[tuple[int, tuple[int | None, ...]]], at: int, text: str
    ) -> list[tuple[int, tuple[int | None, ...]]]:
        """The threads at instructions that take a character or match, by preference, each instruction once."""
        seen: set[int] = set()
        found = []
        pending = threads[::-1]
        while pending:
            pc, saved = pending.pop()
            if pc in seen:
                continue
            seen.add(pc)
            step = self.program[pc]
            match step.op:
                case "jump":
                    pending.append((step.to, saved))
                case "split":
                    pending += [(step.other, saved), (step.to, saved)]
                case "save":
                    pending.append((pc + 1, (*saved[: step.other], at, *saved[step.other + 1 :])))
                case "start" | "end":
                    if at == (0 if step.op == "start" else len(text)):
                        pending.append((pc + 1, saved))
                case _:
                    found.append((pc, saved))
        return found


_CLASSES = {
    "d": ((48, 57),),
    "w": ((48, 57), (65, 90), (95, 95), (97, 122)),
    "s": ((9, 10), (12, 13), (32, 32)),
}
_DIGITS = re.compile("[0-9]{1,3}")
_SIGNS = frozenset("\\.[](){}*+?|^$-/")


@dataclass(slots=True)
class _Parser:
    """Compiles a pattern by recursive descent; programs are relative to their own start."""

    pattern: str
    at: int = 0
    groups: int = 0
    depth: int = 0

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        self.at += 1
        return self.pattern[self.at - 1 : self.at]

    def refusal(self) -> Misfit:
        return Misfit("This regular expression is not accepted.", _ACCEPTED, position=1)

    def bounded(self, program: list[Step]) -> list[Step]:
        if len(program) > PROGRAM_MAX:
            raise Misfit("This regular expression is too large.", "a shorter one", position=1, code="too_large")
        return program

    def choice(self) -> list[Step]:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise self.refusal()
        found = self.sequence()
        if self.peek() == "|":
            self.take()
            other = self.choice()
            self.depth -= 1
            head = Step("split", to=1, other=len(found) + 2)
            tail = Step("jump", to=len(found) + 2 + len(other))
            return self.bounded([head, *_moved(found, 1), tail, *_moved(other, len(found) + 2)])
        self.depth -= 1
        return found

    def sequence(self) -> list[Step]:
        found: list[Step] = []
        while self.peek() not in ("", "|", ")"):
            found = self.bounded([*found, *_moved(self.repeated(), len(found))])
        return found

    def repeated(self) -> list[Step]:
        one = self.atom()
        anchor = len(one) == 1 and one[0].op in ("start", "end")
        if self.peek() not in ("*", "+", "?", "{"):
            return one
        if anchor or not _consumes(one):
            raise self.refusal()  # what repeats nothing means different things to different matchers
        least, most = self.count()
        if self.peek() in ("*", "+", "?", "{"):
            raise self.refusal()
        found: list[Step] = []
        for _ in range(least):
            found = self.bounded([*found, *_moved(one, len(found))])
        if most is None:
            start = len(found)
            loop = [Step("split", to=1, other=len(one) + 2), *_moved(one, 1), Step("jump", to=0)]
            return self.bounded([*found, *_moved(loop, start)])
        optional: list[Step] = []
        for _ in range(most - least):
            inner = [*one, *_moved(optional, len(one))]
            optional = self.bounded([Step("split", to=1, other=len(inner) + 1), *_moved(inner, 1)])
        return self.bounded([*found, *_moved(optional, len(found))])

    def count(self) -> tuple[int, int | None]:
        sign = self.take()
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        end = self.pattern.find("}", self.at)
        written = self.pattern[self.at : end] if end > 0 else ""
        low, comma, high = written.partition(",")
        if not all(_DIGITS.fullmatch(part) for part in (low, high or "0")):
            raise self.refusal()
        self.at = end + 1
        least, most = int(low), int(high) if high else None if comma else int(low)
        if least > REPEATS_MAX or (most is not None and (most > REPEATS_MAX or most < least)):
            raise self.refusal()
        return least, most

    def atom(self) -> list[Step]:
        sign = self.take()
        match sign:
            case "(":
                return self.group()
            case "[":
                return [self.set_of()]
            case ".":
                return [Step("one", ((10, 10),), inverted=True)]
            case "^":
                return [Step("start")]
            case "$":
                return [Step("end")]
            case "\\":
                return [Step("one", *self.escaped())]
            case "*" | "+" | "?" | "{" | "}" | "]":
                raise self.refusal()
        return [Step("one", ((ord(sign), ord(sign)),))]

    def group(self) -> list[Step]:
        kept = True
        if self.peek() == "?":
            if self.pattern[self.at : self.at + 2] != "?:":
                raise self.refusal()
            self.at += 2
            kept = False
        self.groups += kept
        number = self.groups
        if number > GROUPS_MAX:
            raise self.refusal()
        inner = self.choice()
        if self.take() != ")":
            raise self.refusal()
        if not kept:
            return inner
        return [Step("save", other=2 * number), *_moved(inner, 1), Step("save", other=2 * number + 1)]

    def escaped(self) -> tuple[tuple[tuple[int, int], ...], bool]:
        sign = self.take()
        if sign in _SIGNS and sign:
            return ((ord(sign), ord(sign)),), False
        if sign and sign.lower() in _CLASSES:
            return _CLASSES[sign.lower()], sign.isupper()
        raise self.refusal()

    def set_of(self) -> Step:
        inverted = self.peek() == "^"
        self.at += inverted
        ranges: list[tuple[int, int]] = []
        while self.peek() != "]":
            part = self.member()
            if (
                len(part) == 1
                and part[0][0] == part[0][1]
                and self.peek() == "-"
                and self.pattern[self.at + 1 : self.at + 2] != "]"
            ):
                self.take()
                end = self.member()
                if len(end) != 1 or end[0][0] != end[0][1] or end[0][0] < part[0][0]:
                    raise self.refusal()
                part = ((part[0][0], end[0][0]),)
            ranges += part
        self.take()
        if not ranges:
            raise self.refusal()
        return Step("one", tuple(ranges), inverted=inverted)

    def member(self) -> tuple[tuple[int, int], ...]:
        sign = self.take()
        if sign == "\\":
            ranges, inverted = self.escaped()
            if inverted:
                raise self.refusal()
            return ranges
        if sign in ("", "[", "]", "&", "~"):
            raise self.refusal()
        return ((ord(sign), ord(sign)),)


def _moved(program: list[Step], by: int) -> list[Step]:
    """A program that starts further on."""
    if not by:
        return program
    moved = []
    for step in program:
        if step.op == "jump":
            moved.append(Step("jump", to=step.to + by))
        elif step.op == "split":
            moved.append(Step("split", to=step.to + by, other=step.other + by))
        else:
            moved.append(step)
    return moved


def _consumes(program: list[Step]) -> bool:
    """Whether every way through a program takes a character."""
    seen, pending = set(), [0]
    while pending:
        pc = pending.pop()
        if pc in seen:
            continue
        seen.add(pc)
        if pc == len(program):
            return False
        step = program[pc]
        if step.op == "jump":
            pending.append(step.to)
        elif step.op == "split":
            pending += [step.to, step.other]
        elif step.op != "one":
            pending.append(pc + 1)
    return True


@lru_cache(maxsize=64)
def compiled(pattern: str) -> Regex:
    r"""A pattern, compiled.

    Raises:
        Misfit: it is not in the accepted subset, or too large.

    >>> compiled(r"^(\d)(\d)?").search("12a")
    (0, 2, 0, 1, 1, 2)
    """
    parser = _Parser(pattern)
    found = parser.choice()
    if parser.at < len(pattern):
        raise parser.refusal()
    whole = [Step("save", other=0), *_moved(found, 1), Step("save", other=1), Step("match")]
    return Regex(tuple(parser.bounded(whole)), parser.groups)
