# SPDX-License-Identifier: MIT
"""Does nothing: what a request costs beside its function."""


def handler(event, context):
    return None
