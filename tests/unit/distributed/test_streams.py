import time

import pytest
import torch

from csn.distributed.streams import Batches

CPU = torch.device("cpu")


def numbered(count, pause_s=0.0):
    for number in range(count):
        time.sleep(pause_s)
        yield {"waveforms": torch.full((1,), float(number))}


def values(batches, count):
    found = []
    for _ in range(count):
        found.append(batches.take()["waveforms"].item())
        batches.fetch()
    return found


def test_batches_come_in_order_whether_fetched_or_not():
    batches = Batches(numbered(4), CPU)
    assert values(batches, 2) == [0, 1]
    assert batches.take()["waveforms"].item() == 2
    assert batches.take()["waveforms"].item() == 3  # asked for without having been fetched


def test_fetching_behind_the_last_is_no_error_and_taking_it_is():
    batches = Batches(numbered(2), CPU)
    assert values(batches, 2) == [0, 1]
    with pytest.raises(StopIteration):
        batches.take()


def test_a_cpu_waits_for_each_batch_once():
    batches = Batches(numbered(3, pause_s=0.05), CPU)
    values(batches, 3)
    assert 0.15 <= batches.waited_s < 0.3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_that_is_at_work_does_not_wait():
    device = torch.device("cuda")
    batches = Batches(numbered(3, pause_s=0.02), device)
    batches.take()
    waited_s = batches.waited_s
    torch.cuda._sleep(2_000_000_000)  # about a second
    batches.fetch()
    assert batches.waited_s == waited_s
    torch.cuda.synchronize()
    batches.take()
    batches.fetch()  # the device has nothing to do
    assert batches.waited_s >= waited_s + 0.02
