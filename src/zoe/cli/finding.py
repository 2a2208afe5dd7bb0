"""What `zoe doctor` says of one thing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; without what is ``needed`` Zoe does not work."""

    what: str
    ok: bool
    found: str
    try_: str = ""
    needed: bool = True

    @property
    def is_usable(self) -> bool:
        """Whether Zoe works with it, though it may be better."""
        return self.ok or not self.needed
