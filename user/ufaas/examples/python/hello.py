# SPDX-License-Identifier: MIT
"""Shows what a handler is told."""
import logging

logger = logging.getLogger()
logger.setLevel(logging.INFO)


def handler(event, context):
    logger.info("greeting %s", event.get("name"))
    return {
        "greeting": "hello " + str(event.get("name", "world")),
        "function": context.function_name,
        "request": context.aws_request_id,
        "milliseconds left": context.get_remaining_time_in_millis(),
    }
