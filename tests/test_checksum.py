"""Joined checksums are those of the joined bytes."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.checksum import join, shift_of


@given(st.lists(st.binary(max_size=300)))
def test_joined_pieces(pieces: list[bytes]) -> None:
    """Joining the checksums of pieces, empty ones included, gives the checksum of all bytes."""
    checksum = 0
    for piece in pieces:
        checksum = join(checksum, zlib.crc32(piece), shift_of(len(piece)))
    assert zlib.crc32(b"".join(pieces)) == checksum


def test_a_large_piece() -> None:
    """Length is no matter."""
    before, piece = b"before", b"\x5a" * 50_000_001
    expected = zlib.crc32(before + piece)
    assert expected == join(zlib.crc32(before), zlib.crc32(piece), shift_of(len(piece)))
