# SPDX-License-Identifier: MIT
"""One function that looks around or leaves things behind, as the request wants."""
import handlers


def handler(event, context):
    return handlers.look(event, context) if event["look"] else handlers.leave(event, context)
