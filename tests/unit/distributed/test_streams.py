import threading
import time
from contextlib import closing

import pytest
import torch

from csn.distributed.streams import Batches


def numbered(count, pause_s=0.0):
    for number in range(count):
        time.sleep(pause_s)
        yield {"waveforms": torch.full((1,), float(number))}


def values(batches, count):
    found = []
    for _ in range(count):
        found.append(batches.take()["waveforms"].item())
        batches.fetch()
        batches.fetch()  # asked for already
    return found


def test_batches_come_in_order_whether_fetched_or_not():
    with closing(Batches(numbered(4))) as batches:
        assert values(batches, 2) == [0, 1]
        assert batches.take()["waveforms"].item() == 2
        assert batches.take()["waveforms"].item() == 3  # taken without having been fetched


def test_fetching_behind_the_last_is_no_error_and_taking_it_is():
    with closing(Batches(numbered(2))) as batches:
        assert values(batches, 2) == [0, 1]
        with pytest.raises(StopIteration):
            batches.take()


def test_what_is_wrong_with_a_batch_is_said_when_it_is_taken():
    def broken():
        yield {"waveforms": torch.zeros(1)}
        raise ValueError("Track00003")

    with closing(Batches(broken())) as batches:
        assert values(batches, 1) == [0]
        with pytest.raises(ValueError, match="Track00003"):
            batches.take()


def test_a_batch_that_was_not_made_in_time_is_waited_for():
    with closing(Batches(numbered(3, pause_s=0.05))) as batches:
        for _ in range(3):
            batches.take()
        assert 0.15 <= batches.waited_s < 0.3


def test_nobody_waits_for_a_batch_that_is_made_during_a_step():
    with closing(Batches(numbered(3, pause_s=0.05))) as batches:
        batches.take()
        waited_s = batches.waited_s
        for _ in range(2):
            batches.fetch()
            time.sleep(0.2)  # a step
            batches.take()
        assert batches.waited_s - waited_s < 0.05


def test_thread_ends_with_its_batches():
    before = set(threading.enumerate())
    batches = Batches(numbered(3))
    batches.take()
    (thread,) = set(threading.enumerate()) - before
    batches.close()
    thread.join(timeout=5)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError):
        batches.fetch()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_that_is_at_work_does_not_wait():
    from csn.model.device_bank import copied

    device = torch.device("cuda")

    def batches_on_device():
        for batch in numbered(3, pause_s=0.02):
            yield {name: copied(values.numpy(), device) for name, values in batch.items()}

    with closing(Batches(batches_on_device())) as batches:
        batches.take()
        waited_s = batches.waited_s
        batches.fetch()
        torch.cuda._sleep(2_000_000_000)  # about a second
        torch.cuda.synchronize()
        assert batches.take()["waveforms"].item() == 1
        assert batches.waited_s - waited_s < 0.01
