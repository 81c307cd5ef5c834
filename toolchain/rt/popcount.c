/* SPDX-License-Identifier: MIT */
/* gcc calls these where the machine it compiles for may lack the instruction. */

int __popcountdi2(unsigned long long x) {
  x -= x >> 1 & 0x5555555555555555;
  x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
  return (int)(x * 0x0101010101010101 >> 56);
}

int __popcountti2(unsigned __int128 x) {
  return __popcountdi2((unsigned long long)x) + __popcountdi2((unsigned long long)(x >> 64));
}

int __paritydi2(unsigned long long x) { return __popcountdi2(x) & 1; }
