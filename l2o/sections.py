"""TSPLIB95 and VRPLIB text cut into header entries and number sections, with line numbers for every complaint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from l2o.problems.distance import Floats
from l2o.problems.instance import InvalidInstance

LARGEST = 1e15
"""Largest number accepted: beyond it float64 no longer holds whole costs."""

HEADER = (
    *("NAME", "COMMENT", "TYPE", "DIMENSION", "EDGE_WEIGHT_TYPE", "EDGE_WEIGHT_FORMAT", "EDGE_DATA_FORMAT"),
    *("NODE_COORD_TYPE", "DISPLAY_DATA_TYPE", "CAPACITY", "VEHICLES"),
)
"""Keywords that are understood; they are recognised even where the colon is missing."""

_KEYWORD_LINE = re.compile(r"^[ \t]*([A-Za-z_][A-Za-z_0-9]*)[ \t]*([:=]?)[ \t]*(.*)$", re.MULTILINE)
_COMMENT_LINE = re.compile(r"^[ \t]*#.*$", re.MULTILINE)


def shown(text: str) -> str:
    """Foreign text fit for one line of a message: quoted, escaped, cut after 40 characters."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")


def printable(text: str) -> str:
    """A foreign name fit for a terminal and a picture."""
    return "".join(letter for letter in text if letter.isprintable())


def malformed(
    where: str,
    line: int | None,
    found: str,
    expected: str,
    advice: str,
    kind: type[InvalidInstance] = InvalidInstance,
) -> InvalidInstance:
    """The error to raise: one line that names the file, the line, what is wrong, and what to do."""
    place = where if line is None else f"{where}:{line}"
    return kind(f"{place}: found {found}, expected {expected}; {advice}")


@dataclass(frozen=True)
class Entry:
    """``KEYWORD : value``, or a section's text, and the line its keyword stands on."""

    value: str
    line: int


@dataclass(frozen=True)
class Sections:
    """What a file says, not yet what it means. Keywords are upper case; several ``COMMENT`` lines are joined."""

    where: str
    """File name, for messages."""
    header: dict[str, Entry]
    bodies: dict[str, Entry]

    def error(
        self, line: int | None, found: str, expected: str, advice: str, kind: type[InvalidInstance] = InvalidInstance
    ) -> InvalidInstance:
        """The error to raise about this file: see :func:`malformed`."""
        return malformed(self.where, line, found, expected, advice, kind)

    def required(self, keyword: str) -> Entry:
        """Header entry or section of that name. Raises :class:`InvalidInstance` if there is none."""
        entries = self.bodies if keyword.endswith("_SECTION") else self.header
        if keyword not in entries:
            raise self.error(None, f"no {keyword}", "one", "add it, or check that the file is complete")
        return entries[keyword]

    def numbers(self, section: str) -> Floats:
        """All numbers ``[m]`` of a section, wherever its lines break.

        Raises :class:`InvalidInstance` if there is no such section or a word is not a finite number.
        """
        text = self.required(section).value
        try:
            values = np.array(text.split(), dtype=np.float64)
        except ValueError:
            raise self._blame(section) from None
        if "_" in text or not (np.abs(values) <= LARGEST).all():
            raise self._blame(section)
        return values

    def line_of(self, section: str, position: int) -> int:
        """Line of the number at ``position`` in a section; its last line if it holds fewer."""
        line = self.bodies[section].line
        for line, words in self.lines(section):  # noqa: B007  the line reached is the answer
            position -= len(words)
            if position < 0:
                break
        return line

    def lines(self, section: str) -> Iterator[tuple[int, list[str]]]:
        """Line number and words of every line of a section that is not blank."""
        body = self.required(section)
        for line, text in enumerate(body.value.split("\n"), start=body.line):
            if words := text.split():
                yield line, words

    def _blame(self, section: str) -> InvalidInstance:
        line, word = next((line, word) for line, words in self.lines(section) for word in words if not is_number(word))
        return self.error(line, shown(word), f"a number of at most {LARGEST:.0e} in {section}", "correct this line")


def is_number(word: str) -> bool:
    """Whether ``word`` is a finite number of acceptable size."""
    try:
        return "_" not in word and abs(float(word)) <= LARGEST
    except ValueError:
        return False


def cut(text: str, where: str) -> Sections:
    """Cut ``text`` at its keywords.

    Sections may come in any order and header lines anywhere. Windows and old Macintosh line ends, lines that start with
    ``#``, comments that run over several lines, numbers on the line of a section's keyword, and a missing ``EOF`` are
    accepted. Raises :class:`InvalidInstance` for binary data, text that belongs to no keyword, and repeated keywords.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "#" in text:
        text = _COMMENT_LINE.sub("", text)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise malformed(where, line, "binary data", "TSPLIB95 or VRPLIB text", "give a text file")
    if not text.strip():
        raise malformed(where, None, "an empty file", "TSPLIB95 or VRPLIB text", "check how the file was made")

    header: dict[str, Entry] = {}
    bodies: dict[str, Entry] = {}
    comments: list[str] = []
    line, counted = 1, 0  # the number of the line on which text[counted] stands
    key, since, begin = "", 1, 0  # the keyword in force, its line, and where its text begins

    def close(end: int) -> None:
        """File the text between the last keyword and ``end`` under that keyword."""
        value = text[begin:end]
        if key.endswith("_SECTION"):
            bodies[key] = Entry(value, since)
        elif key == "COMMENT":
            comments.append(value)
            header[key] = Entry("", since)
        else:
            first, _, rest = value.partition("\n") if key else ("", "", value)
            if key:
                header[key] = Entry(first.strip(), since)
            if (stray := rest.strip()) and (not key or key in HEADER):
                at = text.count("\n", 0, text.index(stray, end - len(rest))) + 1
                found, advice = shown(stray.partition("\n")[0]), "delete the line or start it with COMMENT :"
                raise malformed(where, at, found, "KEYWORD : value or a section", advice)

    end = len(text)
    for match in _KEYWORD_LINE.finditer(text):
        word = match[1].upper()
        if not (match[2] or word in HEADER or word.endswith("_SECTION") or word == "EOF"):
            if not key or (key in HEADER and key != "COMMENT"):
                close(match.end())  # a stray line: complain now, not after millions more
            continue  # part of a comment, or a word that its section will complain about
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        close(match.start())
        if word == "EOF":
            key, end = "", match.end()
            begin = end
            break
        if first := (bodies.get(word) or (header.get(word) if word != "COMMENT" else None)):
            raise malformed(where, line, f"{word[:40]} again", f"it once (line {first.line})", "delete one of the two")
        key, since, begin = word, line, match.end(2)
    close(end)
    if comments:
        header["COMMENT"] = Entry(" ".join(" ".join(comments).split()), header["COMMENT"].line)
    return Sections(where, header, bodies)
