# SPDX-License-Identifier: MIT
"""AES-128 in counter mode, in pure Python, as FunctionBench's pyaes: encrypts a text of `length` bytes, decrypts it
again and returns the digest of what was between. Event {"length": 256, "key": "32 hexadecimal digits"}."""
import hashlib


def times(a, b):
    """The product in GF(2^8)."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def make_sbox():
    box = [0x63] * 256
    for x in range(1, 256):
        inverse = next(y for y in range(1, 256) if times(x, y) == 1)
        turned = inverse
        for _ in range(4):
            turned = (turned << 1 | turned >> 7) & 0xFF
            inverse ^= turned
        box[x] = inverse ^ 0x63
    return box


SBOX = make_sbox()
DOUBLE = [times(x, 2) for x in range(256)]


def expand(key):
    """The eleven round keys, 16 bytes each."""
    words = [list(key[i : i + 4]) for i in range(0, 16, 4)]
    constant = 1
    for i in range(4, 44):
        word = list(words[i - 1])
        if i % 4 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= constant
            constant = DOUBLE[constant]
        words.append([a ^ b for a, b in zip(words[i - 4], word)])
    return [sum(words[i : i + 4], []) for i in range(0, 44, 4)]


ROWS = [i * 5 % 16 for i in range(16)]  # where ShiftRows takes byte i from


def mix(column):
    a, b, c, d = column
    every = a ^ b ^ c ^ d
    return [
        a ^ every ^ DOUBLE[a ^ b],
        b ^ every ^ DOUBLE[b ^ c],
        c ^ every ^ DOUBLE[c ^ d],
        d ^ every ^ DOUBLE[d ^ a],
    ]


def encrypt_block(keys, block):
    state = [a ^ b for a, b in zip(block, keys[0])]
    for key in keys[1:10]:
        state = [SBOX[state[i]] for i in ROWS]
        state = mix(state[0:4]) + mix(state[4:8]) + mix(state[8:12]) + mix(state[12:16])
        state = [a ^ b for a, b in zip(state, key)]
    return bytes(SBOX[state[i]] ^ k for i, k in zip(ROWS, keys[10]))


def counter_mode(keys, data):
    """Encrypts, and decrypts what it has encrypted."""
    out = bytearray()
    for number, start in enumerate(range(0, len(data), 16)):
        stream = encrypt_block(keys, number.to_bytes(16, "big"))
        out += bytes(a ^ b for a, b in zip(data[start : start + 16], stream))
    return bytes(out)


def handler(event, context):
    keys = expand(bytes.fromhex(event.get("key", "000102030405060708090a0b0c0d0e0f")))
    plain = (b"The quick brown fox jumps over the lazy dog. " * 1000)[: event.get("length", 256)]
    secret = counter_mode(keys, plain)
    if counter_mode(keys, secret) != plain:
        raise ValueError("the text is not what it was")
    return {"sha256": hashlib.sha256(secret).hexdigest()}
