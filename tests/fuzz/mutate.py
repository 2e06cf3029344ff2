"""Damage as disks, networks and people do it, and as attackers do; the same from the same seed."""

import random


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A damaged copy of a file."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        kind = rng.choice((flip, flip, cut, drop, repeat, insert, numbers, zeros, overwrite))
        kind(data, rng)
    return bytes(data)


def place(data: bytearray, rng: random.Random) -> int:
    """Headers are hit as often as the rest."""
    return rng.randrange(max(1, min(len(data), rng.choice((64, 512, 4096, len(data))))))


def flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 3, 20))):
        if data:
            data[place(data, rng)] ^= 1 << rng.randrange(8)


def cut(data: bytearray, rng: random.Random) -> None:
    del data[place(data, rng):]


def drop(data: bytearray, rng: random.Random) -> None:
    start = place(data, rng)
    del data[start:start + rng.choice((1, 4, 64, 1000))]


def repeat(data: bytearray, rng: random.Random) -> None:
    start = place(data, rng)
    part = data[start:start + rng.choice((4, 64, 1000))]
    data[start:start] = part * rng.choice((1, 3))


def insert(data: bytearray, rng: random.Random) -> None:
    start = place(data, rng)
    data[start:start] = rng.randbytes(rng.choice((1, 4, 64)))


def numbers(data: bytearray, rng: random.Random) -> None:
    """Sizes and counts that cannot be."""
    start = place(data, rng)
    value = rng.choice((0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x10000, 0xffff))
    data[start:start + 4] = value.to_bytes(4, rng.choice(('big', 'little')))


def zeros(data: bytearray, rng: random.Random) -> None:
    start = place(data, rng)
    length = min(len(data) - start, rng.choice((16, 512, 4096)))
    data[start:start + length] = bytes(length)


def overwrite(data: bytearray, rng: random.Random) -> None:
    start = place(data, rng)
    length = min(len(data) - start, rng.choice((16, 128)))
    data[start:start + length] = rng.randbytes(length)
