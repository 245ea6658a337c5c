r"""A layout's tree as a person writes it down: `VideoN/Images/VideoN_frameN.png` for `Video\d+/Images/...`.

For lists, reports and docs; what is found on disk is decided by the patterns themselves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_hogseg.data.layout_table import LayoutTable, Tree

_OPENED = re.compile(r"\((?:\?P<(?P<name>\w+)>|\?i:|\?:)?")
_SUFFIXES = re.compile(r"\(\?i:png\|[^)]*\)")
_DIGITS = re.compile(r"\\d\{(\d+)\}")
_NUMBER = re.compile(r"(?:\\d|\[\d-\d\])[+*]?")
_ANYTHING = re.compile(r"\[\^/\][+*]|\.[+*]")


def expected_trees(table: LayoutTable | None) -> tuple[str, ...]:
    """Say for each form of a data set where frames and masks lie."""
    return () if table is None else tuple(dict.fromkeys(tree_in_words(tree) for tree in table.trees))


def tree_in_words(tree: Tree) -> str:
    """Say where frames and masks of one tree lie, from below the folders that may lie around it."""
    frames, fields = pattern_in_words(tree.frames)
    mask = re.sub(r"\{(\w+)\}", lambda match: fields.get(match[1], f"<{match[1]}>"), tree.masks[0])
    return f"{frames} with {mask}"


def pattern_in_words(pattern: str) -> tuple[str, dict[str, str]]:
    """Write a pattern of paths as an example: N for a number, <name> for a part that could be anything.

    Returns
    -------
    str
    dict of str to str
        What stands for each named part.
    """
    pattern, fields = _SUFFIXES.sub("png", pattern), {}
    while (group := _innermost(pattern)) is not None:
        start, end, name, inner = group
        is_optional = pattern[end : end + 1] == "?"
        text = inner
        if name:
            text = fields[name] = (
                _example(inner) if re.search("[a-zA-Z]", _example(inner, "")) else f"<{name}>"
            )
        elif is_optional and "<" not in inner:
            text = ""
        pattern = pattern[:start] + text + pattern[end + is_optional :]
    return _example(pattern), fields


def _example(pattern: str, number: str = "N") -> str:
    """Put something in place of digits and wildcards."""
    pattern = _DIGITS.sub(lambda match: number * int(match[1]), pattern)
    pattern = _ANYTHING.sub("", _NUMBER.sub(number, pattern))
    return re.sub(r"\\(.)", r"\1", pattern)


def _innermost(pattern: str) -> tuple[int, int, str, str] | None:
    """Find a group without groups in it: start, end, name and what it holds."""
    end = pattern.find(")")
    opened = list(_OPENED.finditer(pattern, 0, max(end, 0)))
    if not opened:
        return None
    last = opened[-1]
    return last.start(), end + 1, last["name"] or "", pattern[last.end() : end]
