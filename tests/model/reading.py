"""What a reader of applications finds wrong with one."""

import pytest

from zoe.model.errors import ZAppInvalid
from zoe.model.zapp_yaml import read_zapp


def problems(text: str, file: str = "a.yaml", **options: object) -> list[str]:
    with pytest.raises(ZAppInvalid) as raised:
        read_zapp(text, file=file, **options)  # type: ignore[arg-type] # a test's shorthand
    assert str(raised.value).splitlines() == [str(p) for p in raised.value.problems]
    return [str(problem) for problem in raised.value.problems]
