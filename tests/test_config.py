"""Options: from the environment, process-wide, and in a with block."""

import threading

import pytest

import fusekit
from fusekit.config import current, from_environment
from fusekit.errors import UsageError


def test_variables_set_options() -> None:
    found = from_environment({"FUSEKIT_ENGINE": "cpp", "FUSEKIT_FAST": "yes", "FUSEKIT_DEBUG": "1"})
    assert (found.engine, found.fast, found.debug) == ("cpp", True, 1)


@pytest.mark.parametrize("text", ["maybe", "2", ""])
def test_a_variable_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="FUSEKIT_FAST"):
        from_environment({"FUSEKIT_FAST": text})


def test_a_with_block_restores() -> None:
    before = current()
    with fusekit.options(max_arguments=3, engine="cpp"):
        assert current().max_arguments == 3
        with fusekit.options(max_arguments=5):
            assert (current().max_arguments, current().engine) == (5, "cpp")
        assert current().max_arguments == 3
    assert current() == before


def test_a_with_block_is_local_to_its_thread() -> None:
    seen = []
    with fusekit.options(max_arguments=3):
        thread = threading.Thread(target=lambda: seen.append(current().max_arguments))
        thread.start()
        thread.join()
    assert seen == [128]


def test_without_with_it_holds_for_the_process() -> None:
    before = current()
    fusekit.options(max_arguments=9)
    assert current().max_arguments == 9
    fusekit.options(max_arguments=before.max_arguments)
    assert current() == before


@pytest.mark.parametrize("wrong", [{"speed": 11}, {"fast": 1}, {"max_arguments": "8"}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        fusekit.options(**wrong)
