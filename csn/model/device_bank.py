"""The parts of many tracks in one device's memory, and rendering from them where they lie.

Meant for a GPU: on a CPU, `csn.triplets.rendering` adds slices four times as fast.

Conventions
-----------
All parts lie one after the other in one int16 tensor, behind as much silence as a window is long,
which is what absent parts read. A mix is the sum of its parts' windows, added and scaled in the
order of `csn.triplets.rendering`, so that both round alike.
"""

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from csn.audio.parts import Parts
from csn.conditions import INSTRUMENTS
from csn.errors import ConfigError, CorpusError
from csn.records import ABSENT, Mix

USABLE_SHARE = 0.7
"""Share of the free memory that a bank may take: the network needs the rest."""


class DeviceBank:
    """Parts on a device.

    Parameters
    ----------
    tracks : mapping of track id to Parts
        All of one sample rate. May read each track anew when asked for it.
    window_s : float
        Length of all mixes that will be asked for, in seconds.

    Raises
    ------
    ConfigError
        The parts do not fit into the memory that the device has free.
    """

    def __init__(
        self,
        tracks: Mapping[str, Parts],
        window_s: float,
        sample_rate_hz: int,
        device: torch.device,
    ) -> None:
        self._rate_hz = sample_rate_hz
        self.num_samples = round(window_s * sample_rate_hz)
        sizes = {track: sum(map(len, parts.pcm.values())) for track, parts in tracks.items()}
        total = self.num_samples + sum(sizes.values())
        _check_fits(2 * total, len(sizes), device)
        self._pcm = torch.zeros(total, dtype=torch.int16, device=device)
        self._scales: dict[str, float] = {}
        self._places: dict[tuple[str, str], tuple[int, int]] = {}
        place = self.num_samples
        for track, parts in tracks.items():
            self._scales[track] = parts.pcm_scale
            for part, pcm in parts.pcm.items():
                # A copy: the samples may lie in memory that cannot be written.
                self._pcm[place : place + len(pcm)] = torch.from_numpy(pcm.copy()).to(device)
                self._places[track, part] = place, len(pcm)
                place += len(pcm)

    def render(self, mixes: Sequence[Mix]) -> Float[Tensor, "mixes samples"]:
        """Render `mixes` on the device.

        Raises
        ------
        CorpusError
            A window reaches beyond its track, or a track is not in the bank.
        """
        found = [self._windows_of(mix) for mix in mixes]
        offsets = [[offset for offset, _ in row] for row in found]
        scales = [[scale for _, scale in row] for row in found]
        firsts = [next((scale for scale in row if scale), 1.0) for row in scales]
        ratios = [[s / first for s in row] for row, first in zip(scales, firsts, strict=True)]
        given = (np.array(offsets), np.array(ratios, np.float32), np.array(firsts, np.float32))
        return self._gathered(*(copied(values, self._pcm.device) for values in given))

    def _windows_of(self, mix: Mix) -> list[tuple[int, float]]:
        """Where the window of each part begins in the bank, and its scale; 0 is silence."""
        windows = []
        for part, track, start_s in zip(INSTRUMENTS, mix.tracks, mix.starts_s, strict=True):
            if track != ABSENT and track not in self._scales:
                raise CorpusError(f"{track}: not in this bank of {len(self._scales)} tracks")
            if (track, part) not in self._places:
                windows.append((0, 0.0))
                continue
            place, length = self._places[track, part]
            start = math.floor(start_s * self._rate_hz + 1e-6)  # as the workers round
            if start < 0 or start + self.num_samples > length:
                raise CorpusError(
                    f"{track}: a window of {self.num_samples} samples from {start_s} s does not "
                    f"fit into its {length} samples; was the plan made from other prepared data?"
                )
            windows.append((place + start, self._scales[track]))
        return windows

    def _gathered(
        self,
        offsets: Int[Tensor, "mixes parts"],
        ratios: Float[Tensor, "mixes parts"],
        scales: Float[Tensor, " mixes"],
    ) -> Float[Tensor, "mixes samples"]:
        """Gather a part of all mixes at a time: a few kernels, however many mixes."""
        windows = self._pcm.unfold(0, self.num_samples, 1)
        out = torch.zeros(len(offsets), self.num_samples, device=self._pcm.device)
        for place, ratio in zip(offsets.T, ratios.T, strict=True):
            # Not addcmul, which on a GPU rounds once where the workers round twice.
            out.add_(windows[place].float().mul_(ratio[:, None]))
        return out.mul_(scales[:, None])


def copied(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array, which may be read-only, to a device.

    To a GPU it goes behind the work that this has, which is not waited for here.
    """
    dtype = torch.from_numpy(np.empty(0, values.dtype)).dtype
    # Pinned from the start: a GPU fetches from such memory alone without anybody waiting.
    host = torch.empty(values.shape, dtype=dtype, pin_memory=device.type == "cuda")
    np.copyto(host.numpy(), values)
    return host.to(device, non_blocking=True)


def _check_fits(num_bytes: int, num_tracks: int, device: torch.device) -> None:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if num_bytes > USABLE_SHARE * free:
        raise ConfigError(
            f"workers.placement=device: the parts of {num_tracks} tracks are "
            f"{num_bytes / 2**30:.1f} GiB, {device} has {free / 2**30:.1f} GiB free and at most "
            f"{USABLE_SHARE:.0%} of it may be taken; set --workers.placement workers, or lower "
            "--corpus.num_train_tracks or --triplets.max_segments_per_track"
        )
