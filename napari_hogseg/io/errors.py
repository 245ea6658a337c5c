"""The one exception type for what a person can mend: what happened, where, what to do."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input of any kind: a file, a field, a value. The command line exits with 2 on it.

    Parameters
    ----------
    what : str
        What happened, as a sentence without its full stop.
    where : object, optional
        The file, field or value it happened with.
    remedy : str, optional
        What the person can do about it.
    """

    def __init__(self, what: str, *, where: object = None, remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        place = "" if where is None else f" [{where}]"
        super().__init__(f"{what}{place}." + (f" {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple[object, ...]:
        # A DataLoader worker sends its exception to the parent by pickle: keep the three parts.
        return (_rebuild, (self.what, None if self.where is None else str(self.where), self.remedy))


def _rebuild(what: str, where: str | None, remedy: str) -> InputError:
    return InputError(what, where=where, remedy=remedy)
