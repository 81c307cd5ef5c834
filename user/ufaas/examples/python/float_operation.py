# SPDX-License-Identifier: MIT
"""FunctionBench's float_operation: `n` times sine, cosine and square root. Event {"n": 4000}."""
import math


def handler(event, context):
    for i in range(int(event["n"])):
        sine = math.sin(i)
        cosine = math.cos(i)
        root = math.sqrt(i)
    return {"sin": sine, "cos": cosine, "sqrt": root}
