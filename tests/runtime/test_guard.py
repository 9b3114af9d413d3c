"""Which arguments share memory."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from fusekit.runtime.guard import alias_checks, first_shared

NAMES = [f"a{i}" for i in range(6)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.data())
def test_the_first_written_tensor_that_shares_memory_is_found(storages, data):
    count = data.draw(st.integers(0, len(storages)))
    memory = [torch.zeros(8) for _ in range(4)]
    tensors = [memory[number][position:] for position, number in enumerate(storages)]
    shared = [i for i in range(count) if storages.count(storages[i]) > 1]
    assert first_shared(count, *tensors) == (shared[0] if shared else None)


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES[:4])))
def test_each_written_variable_is_compared_with_every_argument(written, given_names):
    tensors = sorted(given_names)
    compared = set()
    for count, names in alias_checks(written, tensors):
        compared |= {(one, other) for one in names[:count] for other in names if one != other}
    wanted = {(one, other) for one in written for other in tensors if one != other}
    assert wanted <= compared
    # closed-over variables stay what they are: among themselves nothing can change
    assert not any(other in written - given_names for _, other in compared)
