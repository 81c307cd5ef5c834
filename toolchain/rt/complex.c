/* SPDX-License-Identifier: MIT */
/* Multiplication and division of complex numbers as C99, annex G, wants them; powers. */

#define INFINITE(x) __builtin_isinf(x)
#define NAN_(x) __builtin_isnan(x)

/* The unit box instead of infinity, for the recovery of infinities below. */
#define BOX(T, x) ((T)__builtin_copysignl(INFINITE(x) ? 1 : 0, x))
#define ZERO_IF_NAN(T, x) (NAN_(x) ? (T)__builtin_copysignl(0, x) : (x))

#define COMPLEX(MUL, DIV, T)                                                                       \
                                                                                                   \
  _Complex T MUL(T a, T b, T c, T d) {                                                             \
    T ac = a * c, bd = b * d, ad = a * d, bc = b * c, x = ac - bd, y = ad + bc;                    \
    if (NAN_(x) && NAN_(y)) {                                                                      \
      int again = 0;                                                                               \
      if (INFINITE(a) || INFINITE(b)) {                                                            \
        a = BOX(T, a), b = BOX(T, b);                                                              \
        c = ZERO_IF_NAN(T, c), d = ZERO_IF_NAN(T, d);                                              \
        again = 1;                                                                                 \
      }                                                                                            \
      if (INFINITE(c) || INFINITE(d)) {                                                            \
        c = BOX(T, c), d = BOX(T, d);                                                              \
        a = ZERO_IF_NAN(T, a), b = ZERO_IF_NAN(T, b);                                              \
        again = 1;                                                                                 \
      }                                                                                            \
      if (!again && (INFINITE(ac) || INFINITE(bd) || INFINITE(ad) || INFINITE(bc))) {              \
        a = ZERO_IF_NAN(T, a), b = ZERO_IF_NAN(T, b);                                              \
        c = ZERO_IF_NAN(T, c), d = ZERO_IF_NAN(T, d);                                              \
        again = 1;                                                                                 \
      }                                                                                            \
      if (again) {                                                                                 \
        x = (T)__builtin_infl() * (a * c - b * d);                                                 \
        y = (T)__builtin_infl() * (a * d + b * c);                                                 \
      }                                                                                            \
    }                                                                                              \
    return __builtin_complex(x, y);                                                                \
  }                                                                                                \
  _Complex T DIV(T a, T b, T c, T d) {                                                             \
    T ratio, denom, x, y;                                                                          \
    if ((c < 0 ? -c : c) < (d < 0 ? -d : d)) {                                                     \
      ratio = c / d, denom = c * ratio + d;                                                        \
      x = (a * ratio + b) / denom, y = (b * ratio - a) / denom;                                    \
    } else {                                                                                       \
      ratio = d / c, denom = d * ratio + c;                                                        \
      x = (b * ratio + a) / denom, y = (b - a * ratio) / denom;                                    \
    }                                                                                              \
    if (NAN_(x) && NAN_(y)) {                                                                      \
      if (c == 0 && d == 0 && (!NAN_(a) || !NAN_(b))) {                                            \
        x = (T)__builtin_copysignl(__builtin_infl(), c) * a;                                       \
        y = (T)__builtin_copysignl(__builtin_infl(), c) * b;                                       \
      } else if ((INFINITE(a) || INFINITE(b)) && __builtin_isfinite(c) && __builtin_isfinite(d)) { \
        a = BOX(T, a), b = BOX(T, b);                                                              \
        x = (T)__builtin_infl() * (a * c + b * d);                                                 \
        y = (T)__builtin_infl() * (b * c - a * d);                                                 \
      } else if ((INFINITE(c) || INFINITE(d)) && __builtin_isfinite(a) && __builtin_isfinite(b)) { \
        c = BOX(T, c), d = BOX(T, d);                                                              \
        x = 0 * (a * c + b * d);                                                                   \
        y = 0 * (b * c - a * d);                                                                   \
      }                                                                                            \
    }                                                                                              \
    return __builtin_complex(x, y);                                                                \
  }

COMPLEX(__mulsc3, __divsc3, float)
COMPLEX(__muldc3, __divdc3, double)
COMPLEX(__mulxc3, __divxc3, long double)

#define POWI(NAME, T)                                                                              \
  T NAME(T x, int n) {                                                                             \
    unsigned k = n < 0 ? -(unsigned)n : (unsigned)n;                                               \
    T y = 1;                                                                                       \
    for (; k; k >>= 1, x *= x)                                                                     \
      if (k & 1)                                                                                   \
        y *= x;                                                                                    \
    return n < 0 ? 1 / y : y;                                                                      \
  }

POWI(__powisf2, float)
POWI(__powidf2, double)
POWI(__powixf2, long double)
