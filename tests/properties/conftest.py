"""Modules beside the properties assert, too: what they found is shown as if tests had."""

import pytest

pytest.register_assert_rewrite("judging_store", "scheduler_world")
