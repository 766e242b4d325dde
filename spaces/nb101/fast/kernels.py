"""Triton kernels for what lies between the convolutions of a cell.

A map is seen as `[pixels, channels]`, pixels of all images in a row, channels-last; a slice of a wider map has a pixel
stride larger than its channels. Every kernel walks tiles of `ROWS` pixels by all channels. Sums over pixels are taken
in two steps, by tile and then over tiles, in a fixed order, so that they repeat to the bit. The module is as long as
its twenty-one kernels, which share no Python.
"""

# Triton reads a kernel's own source, which leaves no room for annotations of its arguments, and calls kernels by an
# indexing that type checkers do not know.
# mypy: disable-error-code="no-untyped-def, untyped-decorator, index, misc"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _relu(value):
    return tl.maximum(value, 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _tile_moments(map_ptr, mean_ptr, square_ptr, row, channel, mask, tile, count, channels):
    """Mean of a tile and sum of squares around it, by channel."""
    values = tl.load(map_ptr, mask=mask, other=0.0)
    mean = tl.sum(values, axis=0) / count
    apart = tl.where(mask, values - mean[None, :], 0.0)
    tl.store(mean_ptr + tile * channels + channel, mean, mask=channel < channels)
    tl.store(square_ptr + tile * channels + channel, tl.sum(apart * apart, axis=0), mask=channel < channels)


@triton.jit
def tile_moments(
    first_ptr,
    second_ptr,
    partial_ptr,
    pixels,
    channels,
    stride,
    tiles,
    PAIR: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Moments of each tile of one or two maps; `partial` is `[2 or 4, tiles, channels]`."""
    tile = tl.program_id(0)
    row = tile * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, WIDTH)
    mask = (row < pixels)[:, None] & (channel < channels)[None, :]
    place = row.to(tl.int64)[:, None] * stride + channel[None, :]
    count = tl.minimum(pixels - tile * ROWS, ROWS).to(partial_ptr.dtype.element_ty)
    size = tiles * channels
    _tile_moments(first_ptr + place, partial_ptr, partial_ptr + size, row, channel, mask, tile, count, channels)
    if PAIR:
        _tile_moments(
            second_ptr + place,
            partial_ptr + 2 * size,
            partial_ptr + 3 * size,
            row,
            channel,
            mask,
            tile,
            count,
            channels,
        )


@triton.jit
def _normalisation(
    partial_ptr, scale_ptr, shift_ptr, mean_ptr, variance_ptr, out_ptr, pixels, channels, tiles,
    MOMENTUM: tl.constexpr, EPSILON: tl.constexpr, UPDATE: tl.constexpr, ROWS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(0)
    dtype = partial_ptr.dtype.element_ty
    size = tiles * channels
    total = tl.zeros((TILES,), dtype)
    for start in range(0, tiles, TILES):
        tile = start + tl.arange(0, TILES)
        count = tl.minimum(pixels - tile * ROWS, ROWS).to(dtype)
        total += tl.where(
            tile < tiles, count * tl.load(partial_ptr + tile * channels + channel, mask=tile < tiles, other=0.0), 0.0
        )
    mean = tl.sum(total, axis=0) / pixels
    total = tl.zeros((TILES,), dtype)
    for start in range(0, tiles, TILES):
        tile = start + tl.arange(0, TILES)
        count = tl.minimum(pixels - tile * ROWS, ROWS).to(dtype)
        apart = tl.load(partial_ptr + tile * channels + channel, mask=tile < tiles, other=0.0) - mean
        within = tl.load(partial_ptr + size + tile * channels + channel, mask=tile < tiles, other=0.0)
        total += tl.where(tile < tiles, within + count * apart * apart, 0.0)
    squares = tl.sum(total, axis=0)
    deviation = 1 / tl.sqrt(squares / pixels + EPSILON)
    factor = tl.load(scale_ptr + channel) * deviation
    tl.store(out_ptr + channel, factor)
    tl.store(out_ptr + channels + channel, tl.load(shift_ptr + channel) - mean * factor)
    tl.store(out_ptr + 2 * channels + channel, mean)
    tl.store(out_ptr + 3 * channels + channel, deviation)
    if UPDATE:
        kept = 1 - MOMENTUM
        unbiased = squares / (pixels - 1)
        tl.store(mean_ptr + channel, kept * tl.load(mean_ptr + channel) + MOMENTUM * mean)
        tl.store(variance_ptr + channel, kept * tl.load(variance_ptr + channel) + MOMENTUM * unbiased)


@triton.jit
def normalisation(
    partial_ptr,
    scale_ptr, shift_ptr, mean_ptr, variance_ptr, out_ptr,
    other_scale_ptr, other_shift_ptr, other_mean_ptr, other_variance_ptr, other_out_ptr,
    pixels, channels, tiles,
    MOMENTUM: tl.constexpr, EPSILON: tl.constexpr, PAIR: tl.constexpr, UPDATE: tl.constexpr,
    ROWS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """Batch norm as a factor and a shift, with mean and 1 / deviation: `out` is `[4, channels]`, for one or two maps.

    Moves the running statistics where asked. One program for each channel.
    """
    _normalisation(
        partial_ptr, scale_ptr, shift_ptr, mean_ptr, variance_ptr, out_ptr, pixels, channels, tiles, MOMENTUM, EPSILON,
        UPDATE, ROWS, TILES,
    )  # fmt: skip
    if PAIR:
        _normalisation(
            partial_ptr + 2 * tiles * channels, other_scale_ptr, other_shift_ptr, other_mean_ptr, other_variance_ptr,
            other_out_ptr, pixels, channels, tiles, MOMENTUM, EPSILON, UPDATE, ROWS, TILES,
        )  # fmt: skip


@triton.jit
def _normalised(map_ptr, place, mask, affine_ptr, channel, channels):
    """A map's tile and what batch norm makes of it."""
    inside = channel < channels
    values = tl.load(map_ptr + place, mask=mask, other=0.0)
    factor = tl.load(affine_ptr + channel, mask=inside, other=0.0)
    shift = tl.load(affine_ptr + channels + channel, mask=inside, other=0.0)
    return values, values * factor[None, :] + shift[None, :]


@triton.jit
def _standardised(values, affine_ptr, channel, channels):
    inside = channel < channels
    mean = tl.load(affine_ptr + 2 * channels + channel, mask=inside, other=0.0)
    deviation = tl.load(affine_ptr + 3 * channels + channel, mask=inside, other=0.0)
    return (values - mean[None, :]) * deviation[None, :]


@triton.jit
def normalised_relu(map_ptr, affine_ptr, out_ptr, pixels, channels, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """ReLU of the normalised map."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, WIDTH)
    mask = (row < pixels)[:, None] & (channel < channels)[None, :]
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    _, normal = _normalised(map_ptr, place, mask, affine_ptr, channel, channels)
    tl.store(out_ptr + place, _relu(normal), mask=mask)


@triton.jit
def normalised_relu_sums(
    map_ptr, affine_ptr, gradient_ptr, partial_ptr, pixels, channels, tiles, ROWS: tl.constexpr, WIDTH: tl.constexpr
):
    """By tile and channel: the gradient's sum behind the ReLU, and that times the standardised map."""
    tile = tl.program_id(0)
    row = tile * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, WIDTH)
    mask = (row < pixels)[:, None] & (channel < channels)[None, :]
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    values, normal = _normalised(map_ptr, place, mask, affine_ptr, channel, channels)
    gradient = tl.load(gradient_ptr + place, mask=mask, other=0.0)
    behind = tl.where(normal > 0, gradient, 0.0)
    standard = _standardised(values, affine_ptr, channel, channels)
    inside = channel < channels
    tl.store(partial_ptr + tile * channels + channel, tl.sum(behind, axis=0), mask=inside)
    tl.store(partial_ptr + (tiles + tile) * channels + channel, tl.sum(behind * standard, axis=0), mask=inside)


@triton.jit
def normalised_relu_backward(
    map_ptr, affine_ptr, gradient_ptr, sums_ptr, out_ptr, pixels, channels,
    TRAINING: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Gradient of the map; `sums` is `[2, channels]`."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, WIDTH)
    mask = (row < pixels)[:, None] & (channel < channels)[None, :]
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    values, normal = _normalised(map_ptr, place, mask, affine_ptr, channel, channels)
    gradient = tl.load(gradient_ptr + place, mask=mask, other=0.0)
    behind = tl.where(normal > 0, gradient, 0.0)
    out = _through_normalisation(values, behind, affine_ptr, sums_ptr, pixels, channel, channels, TRAINING)
    tl.store(out_ptr + place, out, mask=mask)


@triton.jit
def _through_normalisation(values, gradient, affine_ptr, sums_ptr, pixels, channel, channels, TRAINING: tl.constexpr):
    """Gradient before batch norm; with stored statistics it only scales."""
    inside = channel < channels
    factor = tl.load(affine_ptr + channel, mask=inside, other=0.0)
    if TRAINING:
        plain = tl.load(sums_ptr + channel, mask=inside, other=0.0) / pixels
        along = tl.load(sums_ptr + channels + channel, mask=inside, other=0.0) / pixels
        standard = _standardised(values, affine_ptr, channel, channels)
        gradient = gradient - plain[None, :] - standard * along[None, :]
    return gradient * factor[None, :]


@triton.jit
def tile_totals(partial_ptr, out_ptr, channels, tiles, TILES: tl.constexpr):
    """`[rows, tiles, channels]` summed over tiles; a program for each channel and row."""
    channel = tl.program_id(0)
    row = tl.program_id(1)
    total = tl.zeros((TILES,), partial_ptr.dtype.element_ty)
    for start in range(0, tiles, TILES):
        tile = start + tl.arange(0, TILES)
        total += tl.load(partial_ptr + (row * tiles + tile) * channels + channel, mask=tile < tiles, other=0.0)
    tl.store(out_ptr + row * channels + channel, tl.sum(total, axis=0))


@triton.jit
def _of_term(term: tl.constexpr, second, third, fourth, fifth):
    """A term's pointer, the first aside."""
    if term == 1:
        chosen = second
    elif term == 2:
        chosen = third
    elif term == 3:
        chosen = fourth
    else:
        chosen = fifth
    return chosen


@triton.jit
def weighted_sum(
    first_ptr, second_ptr, third_ptr, fourth_ptr, fifth_ptr, coefficients_ptr, out_ptr, pixels, channels, first_stride,
    TERMS: tl.constexpr, WEIGHTED: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """A node's input: its own projection, which is a slice, and the states below, times their coefficients."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, WIDTH)
    mask = (row < pixels)[:, None] & (channel < channels)[None, :]
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    total = tl.load(first_ptr + row.to(tl.int64)[:, None] * first_stride + channel[None, :], mask=mask, other=0.0)
    if WEIGHTED:
        total = total * tl.load(coefficients_ptr)
    for term in tl.static_range(1, TERMS):
        pointer = _of_term(term, second_ptr, third_ptr, fourth_ptr, fifth_ptr)
        value = tl.load(pointer + place, mask=mask, other=0.0)
        if WEIGHTED:
            value = value * tl.load(coefficients_ptr + term)
        total += value
    tl.store(out_ptr + place, total, mask=mask)


@triton.jit
def weighted_sum_backward(
    first_ptr, second_ptr, third_ptr, fourth_ptr, fifth_ptr, coefficients_ptr, gradient_ptr,
    first_out_ptr, second_out_ptr, third_out_ptr, fourth_out_ptr, fifth_out_ptr, partial_ptr,
    pixels, channels, first_stride, tiles,
    TERMS: tl.constexpr, WEIGHTED: tl.constexpr, SUMS: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Gradient of each term, stored for the projection and added for the states; and by tile that of each coefficient.

    `partial` is `[terms, tiles, channels]`.
    """
    tile = tl.program_id(0)
    row = tile * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, WIDTH)
    mask = (row < pixels)[:, None] & (channel < channels)[None, :]
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    sliced = row.to(tl.int64)[:, None] * first_stride + channel[None, :]
    gradient = tl.load(gradient_ptr + place, mask=mask, other=0.0)
    for term in tl.static_range(0, TERMS):
        share = gradient
        if WEIGHTED:
            share = gradient * tl.load(coefficients_ptr + term)
        if term == 0:
            tl.store(first_out_ptr + sliced, share, mask=mask)
        else:
            target = _of_term(term, second_out_ptr, third_out_ptr, fourth_out_ptr, fifth_out_ptr)
            tl.store(target + place, tl.load(target + place, mask=mask, other=0.0) + share, mask=mask)
        if SUMS:
            if term == 0:
                value = tl.load(first_ptr + sliced, mask=mask, other=0.0)
            else:
                source = _of_term(term, second_ptr, third_ptr, fourth_ptr, fifth_ptr)
                value = tl.load(source + place, mask=mask, other=0.0)
            tl.store(
                partial_ptr + (term * tiles + tile) * channels + channel,
                tl.sum(gradient * value, axis=0),
                mask=channel < channels,
            )


@triton.jit
def mixed_operation(
    input_ptr, wide_ptr, narrow_ptr, wide_affine_ptr, narrow_affine_ptr, coefficients_ptr, out_ptr, which_ptr,
    pixels, channels, height, width, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Weighted sum of 3x3 max-pooling and the two normalised convolutions' ReLUs; keeps which of nine pixels won."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, WIDTH)
    mask = (row < pixels)[:, None] & (channel < channels)[None, :]
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    y = (row // width) % height
    x = row % width
    best = tl.full((ROWS, WIDTH), float("-inf"), input_ptr.dtype.element_ty)
    which = tl.zeros((ROWS, WIDTH), tl.int32)
    for neighbour in tl.static_range(0, 9):
        dy = neighbour // 3 - 1
        dx = neighbour % 3 - 1
        there = (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        inside = mask & there[:, None]
        value = tl.load(input_ptr + place + (dy * width + dx) * channels, mask=inside, other=float("-inf"))
        larger = inside & ((value > best) | (value != value))
        best = tl.where(larger, value, best)
        which = tl.where(larger, neighbour, which)
    _, wide = _normalised(wide_ptr, place, mask, wide_affine_ptr, channel, channels)
    _, narrow = _normalised(narrow_ptr, place, mask, narrow_affine_ptr, channel, channels)
    total = best * tl.load(coefficients_ptr)
    total += _relu(wide) * tl.load(coefficients_ptr + 1)
    total += _relu(narrow) * tl.load(coefficients_ptr + 2)
    tl.store(out_ptr + place, total, mask=mask)
    tl.store(which_ptr + place, which.to(tl.int8), mask=mask)


@triton.jit
def _convolution_sums(
    map_ptr, affine_ptr, gradient, coefficient, place, mask, partial_ptr, size, at, channel, channels
):
    values, normal = _normalised(map_ptr, place, mask, affine_ptr, channel, channels)
    inside = channel < channels
    behind = tl.where(normal > 0, gradient * coefficient, 0.0)
    standard = _standardised(values, affine_ptr, channel, channels)
    tl.store(partial_ptr + at, tl.sum(behind, axis=0), mask=inside)
    tl.store(partial_ptr + size + at, tl.sum(behind * standard, axis=0), mask=inside)
    return tl.sum(gradient * _relu(normal), axis=0)


@triton.jit
def mixed_operation_sums(
    input_ptr, wide_ptr, narrow_ptr, wide_affine_ptr, narrow_affine_ptr, coefficients_ptr, which_ptr, gradient_ptr,
    partial_ptr, pixels, channels, width, tiles, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """By tile and channel, `[7, tiles, channels]`: the three coefficients' gradients, then for each convolution the sum
    of the gradient behind the ReLU, and that times the standardised map."""
    tile = tl.program_id(0)
    row = tile * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, WIDTH)
    inside = channel < channels
    mask = (row < pixels)[:, None] & inside[None, :]
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    size = tiles * channels
    at = tile * channels + channel
    gradient = tl.load(gradient_ptr + place, mask=mask, other=0.0)
    which = tl.load(which_ptr + place, mask=mask, other=4).to(tl.int32)
    won = place + ((which // 3 - 1) * width + which % 3 - 1) * channels
    pooled = tl.load(input_ptr + won, mask=mask, other=0.0)
    tl.store(partial_ptr + at, tl.sum(gradient * pooled, axis=0), mask=inside)
    wide = _convolution_sums(
        wide_ptr, wide_affine_ptr, gradient, tl.load(coefficients_ptr + 1), place, mask, partial_ptr + 3 * size, size,
        at, channel, channels,
    )  # fmt: skip
    tl.store(partial_ptr + size + at, wide, mask=inside)
    narrow = _convolution_sums(
        narrow_ptr, narrow_affine_ptr, gradient, tl.load(coefficients_ptr + 2), place, mask, partial_ptr + 5 * size,
        size, at, channel, channels,
    )  # fmt: skip
    tl.store(partial_ptr + 2 * size + at, narrow, mask=inside)


@triton.jit
def mixed_operation_backward(
    wide_ptr, narrow_ptr, wide_affine_ptr, narrow_affine_ptr, coefficients_ptr, which_ptr, gradient_ptr, sums_ptr,
    input_out_ptr, wide_out_ptr, narrow_out_ptr, pixels, channels, height, width,
    TRAINING: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Gradient of the input through the pooling, and of the two convolutions' maps; `sums` is `[7, channels]`."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, WIDTH)
    mask = (row < pixels)[:, None] & (channel < channels)[None, :]
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    y = (row // width) % height
    x = row % width
    pooled = tl.zeros((ROWS, WIDTH), gradient_ptr.dtype.element_ty)
    for neighbour in tl.static_range(0, 9):
        # The window around the pixel at -(dy, dx) from here has this pixel as its neighbour (dy, dx).
        dy = neighbour // 3 - 1
        dx = neighbour % 3 - 1
        there = (y - dy >= 0) & (y - dy < height) & (x - dx >= 0) & (x - dx < width)
        inside = mask & there[:, None]
        window = place - (dy * width + dx) * channels
        which = tl.load(which_ptr + window, mask=inside, other=-1).to(tl.int32)
        won = inside & (which == neighbour)
        pooled += tl.load(gradient_ptr + window, mask=won, other=0.0)
    tl.store(input_out_ptr + place, pooled * tl.load(coefficients_ptr), mask=mask)
    gradient = tl.load(gradient_ptr + place, mask=mask, other=0.0)
    values, normal = _normalised(wide_ptr, place, mask, wide_affine_ptr, channel, channels)
    behind = tl.where(normal > 0, gradient * tl.load(coefficients_ptr + 1), 0.0)
    out = _through_normalisation(
        values, behind, wide_affine_ptr, sums_ptr + 3 * channels, pixels, channel, channels, TRAINING
    )
    tl.store(wide_out_ptr + place, out, mask=mask)
    values, normal = _normalised(narrow_ptr, place, mask, narrow_affine_ptr, channel, channels)
    behind = tl.where(normal > 0, gradient * tl.load(coefficients_ptr + 2), 0.0)
    out = _through_normalisation(
        values, behind, narrow_affine_ptr, sums_ptr + 5 * channels, pixels, channel, channels, TRAINING
    )
    tl.store(narrow_out_ptr + place, out, mask=mask)


@triton.jit
def merged_output(
    state_ptr, through_ptr, coefficients_ptr, out_ptr, pixels, channels, through_stride, out_stride, block,
    ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One block's channels of a cell's output: its state and the cell input's projection, times their coefficients."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, WIDTH)
    mask = (row < pixels)[:, None] & (channel < channels)[None, :]
    pixel = row.to(tl.int64)[:, None]
    state = tl.load(state_ptr + pixel * channels + channel[None, :], mask=mask, other=0.0)
    through = tl.load(through_ptr + pixel * through_stride + channel[None, :], mask=mask, other=0.0)
    total = state * tl.load(coefficients_ptr + 1 + block) + through * tl.load(coefficients_ptr)
    tl.store(out_ptr + pixel * out_stride + channel[None, :], total, mask=mask)


@triton.jit
def merged_output_backward(
    state_ptr, through_ptr, coefficients_ptr, gradient_ptr, state_out_ptr, through_out_ptr, partial_ptr,
    pixels, channels, through_stride, gradient_stride, block, tiles,
    SUMS: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Gradient of a block's state and of the projection; by tile those of the two coefficients, `[2, tiles, channels]`,
    the projection's first."""
    tile = tl.program_id(0)
    row = tile * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, WIDTH)
    inside = channel < channels
    mask = (row < pixels)[:, None] & inside[None, :]
    pixel = row.to(tl.int64)[:, None]
    gradient = tl.load(gradient_ptr + pixel * gradient_stride + channel[None, :], mask=mask, other=0.0)
    state = pixel * channels + channel[None, :]
    through = pixel * through_stride + channel[None, :]
    tl.store(state_out_ptr + state, gradient * tl.load(coefficients_ptr + 1 + block), mask=mask)
    tl.store(through_out_ptr + through, gradient * tl.load(coefficients_ptr), mask=mask)
    if SUMS:
        at = tile * channels + channel
        value = tl.load(through_ptr + through, mask=mask, other=0.0)
        tl.store(partial_ptr + at, tl.sum(gradient * value, axis=0), mask=inside)
        value = tl.load(state_ptr + state, mask=mask, other=0.0)
        tl.store(partial_ptr + tiles * channels + at, tl.sum(gradient * value, axis=0), mask=inside)
