# SPDX-License-Identifier: MIT
"""A shell that runs us in the background has us ignore signals, and so would every program that we start."""
import signal


def hear_signals():
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
