"""From figures to pixels along an axis, and where its ticks stand. This module must not know what is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

#: Digits at which a logarithmic axis may have ticks, from few to many.
_DIGITS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """An axis from ``low`` at pixel ``start`` to ``high`` at pixel ``end``, logarithmic or not."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; one beyond an end is put at that end."""
        low, high, at = (math.log(v) if self.logarithmic else v for v in (self.low, self.high, self._held(value)))
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def _held(self, value: float) -> float:
        return min(max(value, self.low), self.high)

    def ticks(self, most: int) -> list[float]:
        """Return round values between the ends, ``most`` at most, two at least where there are any."""
        if self.logarithmic and self.high / self.low > 2:
            found = [self._log_ticks(digits) for digits in _DIGITS]
            fitting = [ticks for ticks in found if 2 <= len(ticks) <= most]
            if fitting:
                return fitting[-1]
            if len(found[0]) > most:  # very many decades: each second, each third ...
                return found[0][:: math.ceil(len(found[0]) / most)]
        return self._even_ticks(most)

    def _log_ticks(self, digits: Iterable[float]) -> list[float]:
        first, last = (math.floor(math.log10(end)) for end in (self.low, self.high))
        values = (digit * 10.0**power for power in range(first, last + 1) for digit in digits)
        return [value for value in values if self.low <= value * (1 + 1e-9) and value <= self.high * (1 + 1e-9)]

    def _even_ticks(self, most: int) -> list[float]:
        power = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
        steps = [step * power * more for more in (1, 10) for step in _STEPS]
        for step in steps:
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            if last - first + 1 <= most:
                return [round(place * step, 12) for place in range(first, last + 1)]
        return []


def log_scale(values: Iterable[float], start: float, end: float, *, margin: float = 0.04) -> Scale:
    """Return a logarithmic axis around positive values, with a margin on both sides as a share of it.

    Never less than a fifth up and down of the values: a difference of a percent must not fill a picture.
    """
    kept = list(values)
    low, high = math.log(min(kept)), math.log(max(kept))
    if high - low < math.log(1.44):
        middle = (low + high) / 2
        low, high = middle - math.log(1.2), middle + math.log(1.2)
    room = (high - low) * margin
    return Scale(math.exp(low - room), math.exp(high + room), start, end, logarithmic=True)


def tick_text(value: float) -> str:
    """Return a tick's figure without needless digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"
