"""The tools of the tests are tested too: a golden comparison that always passes helps nobody."""

from pathlib import Path

import pytest

from tests.conftest import Golden, _file_name


@pytest.fixture
def kept(golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Golden:
    """Return a golden fixture that keeps its files under a temporary folder."""
    monkeypatch.setattr("tests.conftest.TESTS", tmp_path / "tests")
    golden.stem = tmp_path / "tests" / "golden" / "test_x" / "test_y"
    golden.update = True
    golden("first\nsecond\n")
    golden.update = False
    return golden


def test_golden_accepts_what_is_kept(kept: Golden) -> None:
    kept("first\nsecond")


def test_golden_shows_a_diff_and_the_way_out(kept: Golden) -> None:
    with pytest.raises(pytest.fail.Exception) as failure:
        kept("first\nthird\n")
    message = str(failure.value)
    assert "-second" in message
    assert "+third" in message
    assert "--update-golden" in message
    assert "tests/golden/test_x/test_y.txt" in message


def test_golden_fails_where_nothing_is_kept(kept: Golden) -> None:
    with pytest.raises(pytest.fail.Exception, match="is missing"):
        kept("first\nsecond\n", "other")


def test_golden_path_follows_the_test(golden: Golden) -> None:
    expected = Path("golden", "test_conftest", "test_golden_path_follows_the_test.txt")
    assert golden.path().parts[-3:] == expected.parts


@pytest.mark.parametrize(
    ("one", "other"), [("test_x[a/b]", "test_x[a_b]"), ("test_x[a b]", "test_x[a:b]")]
)
def test_two_tests_never_share_a_golden_file(one: str, other: str) -> None:
    assert _file_name(one) != _file_name(other)


def test_seed_depends_on_the_test_alone(seed: int, request: pytest.FixtureRequest) -> None:
    first = request.getfixturevalue("seed")
    assert first == seed
    assert 0 <= seed < 2**32


@pytest.mark.gpu
def test_gpu_tests_run_only_where_torch_has_a_gpu() -> None:
    import torch

    assert torch.cuda.is_available()
