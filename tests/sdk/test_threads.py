"""Mirrors sdk/lamella/threads.py."""

from __future__ import annotations

import pytest
import torch

from lamella.threads import one_thread


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_comes_back(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == threads
        with pytest.raises(ValueError, match="out"), one_thread():
            raise ValueError("out")
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
