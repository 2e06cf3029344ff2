"""The compiled loop over a frame: two rows at a time, from Y, U, V and small coefficients to Y, U, V of an output."""

import numpy as np

from .compiled import compiled, compiled_inner
from .rows import add_foreground, mix_chroma, to_alpha, to_rgb, widen, write_chroma, write_luma, write_matte

ALPHA, WHOLE, STRAIGHT = 0, 1, 2     # how much of the foreground shows: alpha of it, all, all where alpha is not 0
SEGMENT = 32                         # pairs of columns; where a segment shows nothing, the background is copied
NOTHING = np.float32(1 / 1024)       # alpha that shows in no byte
OF_ALPHA, OF_COLOUR = np.array([3, 7]), np.array([0, 1, 2, 4, 5, 6])       # planes of the coefficients


@compiled
def render_frame(luma, u, v, height, site, decode, coefficients, columns, column_share, rows, row_share,
                 cover_mode, background_luma, background_u, background_v, encode, black, weights,
                 out_luma, out_u, out_v, matte, matte_scale, matte_black):
    """One frame of one output, and its alpha.

    Args:
        luma, u, v: source, (H, line / 2) pairs and (H / 2, line) uint8 each. height: H [px], rounded up to even.
        site: (2,) float32, of the source's chroma in luma columns and rows from the first of two, 0 to 1.
        decode: of `rows.to_rgb`.
        coefficients: (8, h, w) of `model.guided_filter`, h and w at least 2.
        columns, column_share: (2 w,) small columns of the frame's, even ones first. rows, row_share: (H,).
        cover_mode: ALPHA, WHOLE or STRAIGHT.
        background_*: as the source, or a single row of each, repeated.
        encode: of `rows.add_foreground`; black: of luma. weights: of `rows.write_chroma`.
        out_luma, out_u, out_v: written; without any rows there is no picture.
        matte: pairs, written with matte_black + matte_scale * alpha; without any rows there is none.
    """
    pairs, paints, has_matte = columns.size // 2, out_luma.shape[0] > 0, matte.shape[0] > 0
    segments = (pairs + SEGMENT - 1) // SEGMENT
    still = background_luma.shape[0] == 1
    half_u, half_v = np.empty(pairs + 2, np.float32), np.empty(pairs + 2, np.float32)
    rgb, alpha = np.empty((2, 3, 2 * pairs), np.float32), np.empty((2, 2 * pairs), np.float32)
    wide_alpha, held_alpha = np.empty((2, 2, 2 * pairs), np.float32), np.full(2, -1)
    wide_colour, held_colour = np.empty((2, 6, 2 * pairs), np.float32), np.full((segments, 2), -1)
    cover, lit = np.empty((2, 2 * pairs), np.float32), np.empty((2, 2 * pairs), np.float32)
    sums = np.empty((3, 2 * pairs + 1), np.float32)        # U, V, cover of two rows: columns 0, 2 .. -1, 1 ..
    shows = np.empty(segments, np.bool_)
    for j in range((height + 1) // 2):
        for p in range(2):
            line = 2 * j + p
            y = min(line, height - 1)
            before, here = max(j - 1 + p, 0), min(j + p, u.shape[0] - 1)
            share = np.float32(1) - site[1] * np.float32(0.5) if p == 0 else np.float32(0.5) - site[1] * np.float32(0.5)
            mix_chroma(u[before, :pairs], u[here, :pairs], share, half_u)
            mix_chroma(v[before, :pairs], v[here, :pairs], share, half_v)
            to_rgb(luma[y, :pairs], half_u, half_v, site[0] * np.float32(0.5),
                   np.float32(0.5) - site[0] * np.float32(0.5), decode, rgb[p])
            for small in range(rows[y], rows[y] + 2):
                if held_alpha[small % 2] != small:
                    widen(coefficients, OF_ALPHA, small, columns, column_share, wide_alpha[small % 2], 0, 2 * pairs)
                    held_alpha[small % 2] = small
            slot = rows[y] % 2
            to_alpha(rgb[p], wide_alpha[slot], wide_alpha[1 - slot], row_share[y], alpha[p])
            if has_matte and line < matte.shape[0]:
                write_matte(alpha[p], matte_scale, matte_black, matte[line, :pairs])
        if not paints:
            continue
        sums[:] = 0
        find_shown(alpha, cover_mode, shows)
        for first, last in runs(shows):
            start, stop = first * SEGMENT, min(last * SEGMENT, pairs)
            for p in range(2):
                line = 2 * j + p
                y = min(line, height - 1)
                behind = background_luma[0 if still else min(line, background_luma.shape[0] - 1)]
                if shows[first]:
                    slot = rows[y] % 2
                    for small in range(rows[y], rows[y] + 2):
                        for s in range(first, last):
                            if held_colour[s, small % 2] != small:
                                a, b = s * SEGMENT, min((s + 1) * SEGMENT, pairs)
                                wide = wide_colour[small % 2]
                                widen(coefficients, OF_COLOUR, small, columns, column_share, wide, a, b)
                                widen(coefficients, OF_COLOUR, small, columns, column_share, wide, pairs + a, pairs + b)
                                held_colour[s, small % 2] = small
                    for part in range(2):
                        a, b = part * pairs + start, part * pairs + stop
                        set_cover(alpha[p, a:b], cover_mode, cover[p, a:b], sums[2, a + part:b + part])
                        add_foreground(rgb[p], cover[p, a:b], wide_colour[slot], wide_colour[1 - slot], row_share[y],
                                       encode, lit[p, a:b], sums[0, a + part:b + part], sums[1, a + part:b + part],
                                       a, b)
                if line < out_luma.shape[0]:
                    if shows[first]:
                        write_luma(lit[p, start:stop], lit[p, pairs + start:pairs + stop], cover[p, start:stop],
                                   cover[p, pairs + start:pairs + stop], black, behind[start:stop],
                                   out_luma[line, start:stop])
                    else:
                        out_luma[line, start:stop] = behind[start:stop]
        sums[:, pairs] = sums[:, 0]
        behind_chroma = 0 if still else min(j, background_u.shape[0] - 1)
        write_chroma(sums[0], sums[2], weights, background_u[behind_chroma], out_u[j], 0, pairs)
        write_chroma(sums[1], sums[2], weights, background_v[behind_chroma], out_v[j], 0, pairs)


@compiled_inner
def runs(shows):
    """(first, behind the last) of segments that are alike, in order."""
    first = 0
    for s in range(1, shows.size + 1):
        if s == shows.size or shows[s] != shows[first]:
            yield first, s
            first = s


@compiled_inner
def find_shown(alpha, mode, shows):
    """Which segments of two rows (2, 2 w) show anything."""
    pairs, least = alpha.shape[1] // 2, NOTHING if mode == ALPHA else np.float32(0)
    for s in range(shows.size):
        start, stop, count = s * SEGMENT, min((s + 1) * SEGMENT, pairs), 0
        for p in range(2):
            even, odd = alpha[p, start:stop], alpha[p, pairs + start:pairs + stop]
            for x in range(even.size):
                count += (even[x] > least) | (odd[x] > least)
        shows[s] = mode == WHOLE or count > 0


@compiled_inner
def set_cover(alpha, mode, cover, total):
    """How much of the foreground shows; it is also added to the total of two rows."""
    for x in range(alpha.size):
        if mode == ALPHA:
            cover[x] = alpha[x]
        elif mode == STRAIGHT:
            cover[x] = np.float32(alpha[x] > np.float32(0))
        else:
            cover[x] = np.float32(1)
        total[x] += cover[x]
