"""CRC-32 of joined pieces from the CRC-32 of each: gzip's trailer without reading all bytes again.

A CRC is a polynomial's remainder, bit-reflected as gzip has it: appending n bytes multiplies the remainder of what came
before by x to the power of 8n, and adds the remainder of the bytes. So one multiplication joins two pieces.
"""

from __future__ import annotations

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31


def _multiply(a: int, b: int) -> int:
    """Multiply two remainders."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


def _squares() -> tuple[int, ...]:
    """Return x to the powers of 8, 16, 32, …: what lengths of 1, 2, 4, … bytes multiply by."""
    powers = [1 << 23]
    for _ in range(63):
        powers.append(_multiply(powers[-1], powers[-1]))
    return tuple(powers)


_POWERS = _squares()


def shift_of(length: int) -> int:
    """Return what a piece of ``length`` bytes multiplies the checksum of everything before it by."""
    shift = _ONE
    for power in _POWERS[: length.bit_length()]:
        if length & 1:
            shift = _multiply(power, shift)
        length >>= 1
    return shift


def join(before: int, piece: int, shift: int) -> int:
    """Return the checksum of a piece appended to what came before.

    Args:
        before: the checksum of everything before; 0 for nothing.
        piece: the checksum of the piece itself.
        shift: ``shift_of`` the piece's length.
    """
    return _multiply(shift, before) ^ piece
