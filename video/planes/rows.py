"""Compiled parts of one row.

A row of floats keeps its even columns first and its odd columns behind them: then chroma, which has a sample for every
two columns, meets both without a shuffle. Luma bytes are read and written in pairs, as (w,) uint16 of a little-endian
machine, the even column in the low byte.

w is the number of pairs, half the width rounded up. Everything is float32 where nothing else is said; the buffers of a
row stay in a core's cache.
"""

import numpy as np

from .compiled import compiled_inner


@compiled_inner
def mix_chroma(upper, lower, share, out):
    """Between two rows of chroma (w,) uint8, `share` of the lower one -> out (w + 2,) around 0, ends repeated."""
    w = upper.size
    middle = out[1:w + 1]
    for k in range(w):
        above = np.float32(upper[k])
        middle[k] = above + share * (np.float32(lower[k]) - above) - np.float32(128)
    out[0], out[w + 1] = out[1], out[w]


@compiled_inner
def to_rgb(luma, u, v, left, right, decode, rgb):
    """Y, U and V -> RGB in [0, 1].

    Args:
        luma: (w,) pairs. u, v: (w + 2,) of `mix_chroma`.
        left: share of the chroma before in even columns; right: of that behind in odd ones.
        decode: (6,) scale and black of luma, V in red, U and V in green, U in blue.
        rgb: (3, 2 w), written.
    """
    w = luma.size
    scale, black, v_red, u_green, v_green, u_blue = decode[0], decode[1], decode[2], decode[3], decode[4], decode[5]
    zero, one = np.float32(0), np.float32(1)
    u_before, u_here, u_behind = u[:w], u[1:w + 1], u[2:w + 2]
    v_before, v_here, v_behind = v[:w], v[1:w + 1], v[2:w + 2]
    red, green, blue = rgb[0, :w], rgb[1, :w], rgb[2, :w]
    for k in range(w):
        grey = np.float32(np.int32(luma[k]) & 255) * scale - black
        mu = u_here[k] + left * (u_before[k] - u_here[k])
        mv = v_here[k] + left * (v_before[k] - v_here[k])
        red[k] = min(max(grey + v_red * mv, zero), one)
        green[k] = min(max(grey + u_green * mu + v_green * mv, zero), one)
        blue[k] = min(max(grey + u_blue * mu, zero), one)
    red, green, blue = rgb[0, w:], rgb[1, w:], rgb[2, w:]
    for k in range(w):
        grey = np.float32(np.int32(luma[k]) >> 8) * scale - black
        mu = u_here[k] + right * (u_behind[k] - u_here[k])
        mv = v_here[k] + right * (v_behind[k] - v_here[k])
        red[k] = min(max(grey + v_red * mv, zero), one)
        green[k] = min(max(grey + u_green * mu + v_green * mv, zero), one)
        blue[k] = min(max(grey + u_blue * mu, zero), one)


@compiled_inner
def widen(small, planes, row, index, share, out, start, stop):
    """Some planes of (P, h, w'), of one row, at columns between `index` and the next by `share`.

    Args:
        planes: (Q,) which. out: (Q, n), columns start..stop of it are written.
    """
    columns, shares = index[start:stop], share[start:stop]
    for p in range(planes.size):
        line, wide = small[planes[p], row], out[p, start:stop]
        for x in range(columns.size):
            i = columns[x]
            wide[x] = line[i] + shares[x] * (line[i + np.uint32(1)] - line[i])


@compiled_inner
def to_alpha(rgb, above, below, share, alpha):
    """alpha = gain * mean + base in [0, 1]; gain and base are the rows of above and below (2, n), `share` of below."""
    zero, one, third = np.float32(0), np.float32(1), np.float32(1 / 3)
    red, green, blue = rgb[0], rgb[1], rgb[2]
    gain0, gain1, base0, base1 = above[0], below[0], above[1], below[1]
    for x in range(alpha.size):
        gain = gain0[x] + share * (gain1[x] - gain0[x])
        base = base0[x] + share * (base1[x] - base0[x])
        alpha[x] = min(max(gain * ((red[x] + green[x] + blue[x]) * third) + base, zero), one)


@compiled_inner
def add_foreground(rgb, cover, above, below, share, encode, luma, u, v, start, stop):
    """What shows of the foreground, `cover` times colour, as Y (written) and U, V (added to those of the row before).

    Args:
        rgb: (3, n) source; columns start..stop are shown.
        above, below: (6, n) gain and base of red, green, blue; `share` of below.
        encode: (3, 3) red, green, blue in Y, U, V, without black and the middle.
        cover, luma, u, v: (stop - start,), cover in [0, 1].
    """
    zero, one = np.float32(0), np.float32(1)
    luma[:] = zero
    for c in range(3):
        source, in_y, in_u, in_v = rgb[c, start:stop], encode[0, c], encode[1, c], encode[2, c]
        gain0, gain1 = above[c, start:stop], below[c, start:stop]
        base0, base1 = above[3 + c, start:stop], below[3 + c, start:stop]
        for x in range(cover.size):
            gain = gain0[x] + share * (gain1[x] - gain0[x])
            base = base0[x] + share * (base1[x] - base0[x])
            shown = min(max(gain * source[x] + base + source[x], zero), one) * cover[x]
            luma[x] += in_y * shown
            u[x] += in_u * shown
            v[x] += in_v * shown


@compiled_inner
def write_luma(even, odd, cover_even, cover_odd, black, background, out):
    """Foreground, Y of even and odd columns without its `black`, over a background; that and `out` are (n,) pairs."""
    half, one = np.float32(0.5), np.float32(1)
    for k in range(out.size):
        behind, a, b = np.int32(background[k]), cover_even[k], cover_odd[k]
        first = even[k] + black * a + (one - a) * np.float32(behind & 255) + half
        second = odd[k] + black * b + (one - b) * np.float32(behind >> 8) + half
        out[k] = np.uint16(np.int32(first) | (np.int32(second) << 8))


@compiled_inner
def write_chroma(values, covers, weights, background, out, start, stop):
    """Samples start..stop of U or V of two rows, whose foregrounds (around 0) and covers were added up.

    Args:
        values, covers: (2 w + 1,): columns 0, 2, 4 ..., then -1, 1, 3 ...
        weights: (3,) of the columns 2 k, 2 k - 1 and 2 k + 1; for two rows they add up to 1/2.
        background, out: (w,) uint8.
    """
    w = (values.size - 1) // 2
    half, one, middle = np.float32(0.5), np.float32(1), np.float32(128)
    w_even, w_before, w_odd = weights[0], weights[1], weights[2]
    even, before, odd = values[start:stop], values[w + start:w + stop], values[w + 1 + start:w + 1 + stop]
    even_cover, before_cover = covers[start:stop], covers[w + start:w + stop]
    odd_cover, behind, result = covers[w + 1 + start:w + 1 + stop], background[start:stop], out[start:stop]
    for k in range(result.size):
        cover = w_even * even_cover[k] + w_before * before_cover[k] + w_odd * odd_cover[k]
        value = w_even * even[k] + w_before * before[k] + w_odd * odd[k]
        result[k] = np.uint8(np.int32(value + middle * cover + (one - cover) * np.float32(behind[k]) + half))


@compiled_inner
def write_matte(alpha, scale, black, out):
    """alpha (2 n,) -> out (n,) pairs of black + scale * alpha, rounded."""
    half = np.float32(0.5)
    even, odd = alpha[:out.size], alpha[out.size:]
    for k in range(out.size):
        first, second = even[k] * scale + black + half, odd[k] * scale + black + half
        out[k] = np.uint16(np.int32(first) | (np.int32(second) << 8))
