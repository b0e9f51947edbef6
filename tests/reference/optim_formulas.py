"""Objectives, colours and warps as loops over single numbers."""

from __future__ import annotations

import cmath
import math

Maps = list  # [channel][y][x]


def channel_mean(maps, channel):
    values = [value for row in maps[channel] for value in row]
    return sum(values) / len(values)


def direction_at(maps, vector, y, x, power):
    here = [plane[y][x] for plane in maps]
    dot = sum(a * v for a, v in zip(here, vector, strict=True))
    lengths = math.sqrt(sum(a * a for a in here)) * math.sqrt(sum(v * v for v in vector))
    cosine = dot / max(lengths, 1e-8)
    return dot * max(0.1, cosine) ** power


def direction_mean(maps, vector, power):
    places = [(y, x) for y in range(len(maps[0])) for x in range(len(maps[0][0]))]
    return sum(direction_at(maps, vector, y, x, power) for y, x in places) / len(places)


def gram_cosine(one, other):
    """Cosine of the two Gram matrices over channels."""

    def gram(maps):
        flat = [[value for row in plane for value in row] for plane in maps]
        return [sum(a * b for a, b in zip(p, q, strict=True)) for p in flat for q in flat]

    g, h = gram(one), gram(other)
    dot = sum(a * b for a, b in zip(g, h, strict=True))
    return dot / (math.sqrt(sum(a * a for a in g)) * math.sqrt(sum(b * b for b in h)))


def diversity(images):
    n = len(images)
    return [
        -sum(gram_cosine(images[i], images[j]) for j in range(n) if j != i) / (n - 1)
        for i in range(n)
    ]


def total_variation(maps):
    down, right = [], []
    for plane in maps:
        for y, row in enumerate(plane):
            for x, value in enumerate(row):
                if y + 1 < len(plane):
                    down.append(abs(plane[y + 1][x] - value))
                if x + 1 < len(row):
                    right.append(abs(row[x + 1] - value))
    return sum(down) / len(down) + sum(right) / len(right)


def blurring(maps):
    """Mean squared difference from the mean of 3 x 3 neighbours, edges repeated outside."""
    changes = []
    for plane in maps:
        rows, columns = range(len(plane)), range(len(plane[0]))
        for y in rows:
            for x in columns:
                near = [
                    plane[min(max(y + dy, 0), rows[-1])][min(max(x + dx, 0), columns[-1])]
                    for dy in (-1, 0, 1)
                    for dx in (-1, 0, 1)
                ]
                changes.append((plane[y][x] - sum(near) / 9) ** 2)
    return sum(changes) / len(changes)


def boundary(maps, width):
    total, count = 0.0, 0
    for plane in maps:
        for y, row in enumerate(plane):
            for x, value in enumerate(row):
                edge = min(y, x, len(plane) - 1 - y, len(row) - 1 - x)
                if edge < width:
                    total += (value - 0.5) ** 2
                    count += 1
    return total / count


def real_inverse_fourier(half, height, width):
    """The image of half a spectrum [row][column], unitary, as a double sum."""
    full = [[0j] * width for _ in range(height)]
    for v in range(height):
        for u in range(width // 2 + 1):
            full[v][u] = half[v][u]
    for v in range(height):
        for u in range(width // 2 + 1, width):
            full[v][u] = half[-v % height][width - u].conjugate()
    # What a real image cannot have is dropped: a real transform does not read it.
    for u in [0] + ([width // 2] if width % 2 == 0 else []):
        for v in range(height):
            full[v][u] = (half[v][u] + half[-v % height][u].conjugate()) / 2
    image = []
    for y in range(height):
        row = []
        for x in range(width):
            total = sum(
                full[v][u] * cmath.exp(2j * math.pi * (v * y / height + u * x / width))
                for v in range(height)
                for u in range(width)
            )
            row.append(total.real / math.sqrt(height * width))
        image.append(row)
    return image


def enlarged(plane, height, width):
    """A plane at another size, linear between the middles of pixels and constant beyond them."""

    def lookup(place, size, full):
        at = min(max((place + 0.5) * size / full - 0.5, 0), size - 1)
        low = min(int(at), size - 1)
        return low, min(low + 1, size - 1), at - low

    image = []
    for y in range(height):
        top, bottom, down = lookup(y, len(plane), height)
        row = []
        for x in range(width):
            left, right, across = lookup(x, len(plane[0]), width)
            upper = plane[top][left] * (1 - across) + plane[top][right] * across
            lower = plane[bottom][left] * (1 - across) + plane[bottom][right] * across
            row.append(upper * (1 - down) + lower * down)
        image.append(row)
    return image


def coordinate_network(weights, y, x, height, width):
    """The planes at one pixel of a network of coordinates; weights[layer][in + 1][out]."""

    def coordinate(place, size):
        return -1.7 + 3.4 * place / (size - 1)

    v, u = coordinate(y, height), coordinate(x, width)
    flow = [v, u, math.hypot(v, u) - 1.3]
    for number, weight in enumerate(weights):
        *rows, bias = weight
        flow = [
            sum(value * row[unit] for value, row in zip(flow, rows, strict=True)) + bias[unit]
            for unit in range(len(bias))
        ]
        if number < len(weights) - 1:
            bent = [math.atan(value) for value in flow]
            flow = [b / 0.67 for b in bent] + [(b * b - 0.45) / 0.4 for b in bent]
    return flow


def frequency(v, u, height, width):
    """Cycles per pixel of a coefficient of a real FFT."""
    down = v / height if v <= (height - 1) // 2 else (v - height) / height
    return math.hypot(down, u / width)


def sample(plane, y, x, outside):
    """The value of a plane between its pixels, whose middles are at whole numbers."""

    def at(row, column):
        inside = 0 <= row < len(plane) and 0 <= column < len(plane[0])
        return plane[row][column] if inside else outside

    top, left = math.floor(y), math.floor(x)
    down, right = y - top, x - left
    return (
        at(top, left) * (1 - down) * (1 - right)
        + at(top, left + 1) * (1 - down) * right
        + at(top + 1, left) * down * (1 - right)
        + at(top + 1, left + 1) * down * right
    )


def warped(plane, matrix, outside):
    """Each output pixel looks up its place; places are counted from the middle."""
    height, width = len(plane), len(plane[0])
    result = []
    for y in range(height):
        row = []
        for x in range(width):
            px, py = x - (width - 1) / 2, y - (height - 1) / 2
            qx = matrix[0][0] * px + matrix[0][1] * py + matrix[0][2]
            qy = matrix[1][0] * px + matrix[1][1] * py + matrix[1][2]
            row.append(sample(plane, qy + (height - 1) / 2, qx + (width - 1) / 2, outside))
        result.append(row)
    return result
