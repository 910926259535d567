#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes dyadic.txt: true values of 2^-x, tangent and sine, from integers of 400 bits.

Nothing here knows the polynomials of docs/arithmetic.md; the unit test compares them with this.
Usage: dyadic.py >dyadic.txt
"""
from math import isqrt

BITS = 400
ONE = 1 << BITS


def floor_at(x, bits):
    """floor(x * 2^bits) of a fixed-point x; refuses to guess where the error could decide."""
    low = (x - (1 << 40)) >> (BITS - bits)
    high = (x + (1 << 40)) >> (BITS - bits)
    if low != high and x not in (0, ONE):
        raise SystemExit("too few bits")
    return x >> (BITS - bits)


def round_at(x, bits):
    """The nearest integer to x * 2^bits, by the magnitude."""
    sign = -1 if x < 0 else 1
    return sign * ((floor_at(abs(x), bits + 1) + 1) >> 1)


def roots():
    """2^-(2^k / 65536) for k = 0 .. 15, by square roots of 1/2."""
    x, out = ONE >> 1, []
    for _ in range(16):
        x = isqrt(x << BITS)
        out.append(x)
    return out[::-1]


def power(f, root):
    """2^-(f / 65536) for f in 0 .. 65535."""
    x = ONE
    for k in range(16):
        if f >> k & 1:
            x = x * root[k] >> BITS
    return x


def arctan_inverse(n):
    """arctan(1/n) by its series."""
    total, term, k = 0, ONE // n, 1
    while term:
        total += term // k if k % 4 == 1 else -(term // k)
        term //= n * n
        k += 2
    return total


def sine_cosine(x):
    """Both series at once; |x| < 1."""
    total, term, k = [0, 0], ONE, 0
    while term:
        total[k % 2] += term if k % 4 < 2 else -term
        k += 1
        term = (term * x >> BITS) // k
    return total[1], total[0]


def main():
    root = roots()
    pi = 4 * (4 * arctan_inverse(5) - arctan_inverse(239))
    print("# Made by dyadic.py. Lines:")
    print("# root k floor(2^63 * 2^-(2^k/65536))")
    print("# power f floor(2^62 * 2^-(f/65536))")
    print("# shear rho round(2^15 tan(pi rho/256)) round(2^15 sin(2 pi rho/256))")
    for k in range(16):
        print("root", k, floor_at(root[k], 63))
    spread = set(range(0, 65536, 251)) | {1, 2, 3, 255, 256, 257, 32767, 32768, 32769, 65534, 65535}
    spread |= {(0x9E37 * i) % 65536 for i in range(200)}
    for f in sorted(spread):
        print("power", f, floor_at(power(f, root), 62))
    for rho in range(-32, 32):
        sign = -1 if rho < 0 else 1
        sine, cosine = sine_cosine(abs(rho) * pi // 256)
        tangent = (sine << BITS) // cosine
        double = 2 * sine * cosine >> BITS
        print("shear", rho, sign * round_at(tangent, 15), sign * round_at(double, 15))


main()
