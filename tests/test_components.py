"""The rule of skipping: on the build machine, nothing that could run goes untested unseen.

Whatever is skipped or expected to fail below is the text of a test, for a pytest of its own.
"""

import pytest

from components import CONTAINERS_SECONDS

pytest_plugins = ["pytester"]

INI = """
[pytest]
markers = component(name)
asyncio_default_fixture_loop_scope = function
"""
TESTS = """
import pytest

@pytest.mark.component("browser")
def test_of_the_browser(): pass

@pytest.mark.component("root")
def test_of_root(): pass

def test_of_nothing(): pass
"""


def run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, required: str | None, tests: str
) -> pytest.RunResult:
    """Run tests as a normal user on a machine without a browser."""
    monkeypatch.setenv("PATH", str(pytester.path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    if required is None:
        monkeypatch.delenv("ZOE_TEST_REQUIRE", raising=False)
    else:
        monkeypatch.setenv("ZOE_TEST_REQUIRE", required)
    pytester.makeini(INI)
    pytester.makepyfile(tests)
    return pytester.runpytest_inprocess("-p", "components", "-p", "no:cacheprovider", "-ra")


def test_what_is_absent_is_skipped_by_name(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run(pytester, monkeypatch, None, TESTS)
    ran.assert_outcomes(passed=1, skipped=2)
    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["*this machine has no browser", "*this machine has no root"])


def test_what_is_required_and_absent_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run(pytester, monkeypatch, "browser,postgres", TESTS)
    ran.assert_outcomes(passed=1, skipped=1, errors=1)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(["*must not be (ZOE_TEST_REQUIRE): this machine has no browser"])


# These are tests in a pytest of their own: none of ours is skipped by them.
@pytest.mark.parametrize(
    "skip",
    [
        "def test_late(): pytest.skip('no time')",
        "@pytest.mark.skip('no time')\ndef test_marked(): pass",
        "@pytest.fixture\ndef world(): pytest.skip('no time')\ndef test_fixture(world): pass",
    ],
)
def test_no_other_reason_is_good_enough(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, skip: str
) -> None:
    run(pytester, monkeypatch, None, f"import pytest\n{skip}").assert_outcomes(skipped=1)
    ran = run(pytester, monkeypatch, "postgres", f"import pytest\n{skip}")
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(["*must not be (ZOE_TEST_REQUIRE): no time"])


def test_a_whole_module_cannot_be_left_out(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "import pytest\npytest.importorskip('no_such_module')\ndef test_it(): pass"
    ran = run(pytester, monkeypatch, "postgres", module)
    ran.assert_outcomes(errors=1)
    assert ran.ret == 2


def test_a_known_fault_is_not_a_skip(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a pytest of its own again; ours has no known faults.
    fault = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False"
    run(pytester, monkeypatch, "postgres", fault).assert_outcomes(xfailed=1)


def test_containers_have_more_time_unless_a_test_says_how_much(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    module = pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("what", [pytest.param(1, marks=pytest.mark.component("swarm")), 2])
        def test_of_some(what): pass

        @pytest.mark.component("docker")
        @pytest.mark.timeout(7)
        def test_that_says_so(): pass
        """
    )
    items, _ = pytester.inline_genitems(module, "-p", "components")
    limits = [item.get_closest_marker("timeout") for item in items]
    assert [limit and limit.args for limit in limits] == [(CONTAINERS_SECONDS,), None, (7,)]
