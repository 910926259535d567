#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Why the point of a link has a coordinate more than its vector has bits (docs/proof.md, section 7):
without it a constant could move from the vector b to the pad beta, and the value be the same.

Usage: link_shift.py      status 1 if it is not so
"""
import random
import sys

from verify import P, eq_table, ext_add, ext_mul, ext_scale, ext_sub, ext_sum

DEGREE, BITS = 2, 4


def value(tau, b, beta):
    """The sum over x < 2^BITS of eq(tau, x) b(x), and beta; a first bit more of x is 0"""
    return ext_add(ext_sum((ext_scale(e, x) for e, x in zip(eq_table(tau, DEGREE), b)), DEGREE), beta)


draw = random.Random(7)
tau = [tuple(draw.randrange(P) for _ in range(DEGREE)) for _ in range(1 + BITS)]
b, c = [draw.randrange(P) for _ in range(2**BITS)], 5
beta = tuple(draw.randrange(P) for _ in range(DEGREE))
moved = [x + c for x in b], ext_sub(beta, (c, 0))
less = ext_sub(value(tau, b, beta), value(tau, *moved))
if value(tau[1:], b, beta) != value(tau[1:], *moved) or less != ext_mul(tau[0], (c, 0)) or not any(less):
    sys.exit("a constant moves from the vector of a link to its pad, or does not without the bit more")
