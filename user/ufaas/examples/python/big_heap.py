# SPDX-License-Identifier: MIT
"""A function with 100 MB of data in memory, of which a request looks at a few records and changes one, as with a model
or an index that is loaded when the function starts. Event {"record": n}."""
SIZE = 100 << 20
RECORD = 1 << 12


def load():
    data = bytearray(SIZE)
    for number in range(SIZE // RECORD):
        data[number * RECORD : number * RECORD + 4] = number.to_bytes(4, "big")
    return data


DATA = load()


def record(number):
    start = number % (SIZE // RECORD) * RECORD
    return int.from_bytes(DATA[start : start + 4], "big")


def handler(event, context):
    number = event.get("record", 0)
    found = [record(number + i * 997) for i in range(16)]
    start = number % (SIZE // RECORD) * RECORD
    DATA[start + 4 : start + 12] = b"was here"
    return {"records": found, "sum": sum(found)}
