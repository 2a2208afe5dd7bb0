"""The root of every error that Zoe raises on purpose, and the errors of user input."""

from dataclasses import dataclass


class ZoeError(Exception):
    """Something went wrong in Zoe."""

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.hint = hint
        """What the reader can try next; empty when there is nothing useful to say."""


class IllegalTransition(ZoeError):
    """A state change that the state machine does not allow: a programming error."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a document, with its place (line and column count from 1)."""

    message: str
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file or '<input>'}:{self.line}:{self.column}" if self.line else self.file
        parts = [part for part in (place, self.path, self.message) if part]
        return ": ".join(parts) + (f" ({self.hint})" if self.hint else "")


class ZAppInvalid(ZoeError):
    """An application description that cannot be accepted; carries every problem at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))
