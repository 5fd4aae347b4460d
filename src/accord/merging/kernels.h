/* Vectors of eight floats, AVX2 on x86-64 and pairs of registers elsewhere, and the loops that others are made of. */

#ifndef ACCORD_KERNELS_H
#define ACCORD_KERNELS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#define WIDTH 8
#define RUN 256
#define MOST 64    /* rows that can be elected from */
#define AT_ONCE 16 /* models of a stretch */
#define LANES 16   /* sums that products are added to in turn */
#define PIECE 512  /* numbers that are gone through at a time: some rows of them stay in a core's first cache */
#define LINED __attribute__((aligned(64)))

typedef float Floats __attribute__((vector_size(4 * WIDTH)));
typedef int32_t Mask __attribute__((vector_size(4 * WIDTH)));
typedef uint32_t Words __attribute__((vector_size(4 * WIDTH)));
typedef uint16_t Halves __attribute__((vector_size(2 * WIDTH)));

/* The first k numbers of a vector; k is known when it is compiled but for the last vector of a row. */
static inline Floats load(const float *restrict from, size_t k) {
    Floats v = {0};
    memcpy(&v, from, k * sizeof *from);
    return v;
}

static inline void store(float *restrict to, Floats v, size_t k) { memcpy(to, &v, k * sizeof *to); }

/* Asks for what lies a page ahead, since processors by themselves do not look beyond the end of one: checkpoints that
   lie mapped in memory are read a quarter faster. Past the end of a mapping nothing happens. */
static inline void ahead(const uint16_t *from) { __builtin_prefetch(from + 2048, 0, 3); }

static inline Floats widened(const uint16_t *from, size_t k) {
    Halves h = {0};
    ahead(from);
    memcpy(&h, from, k * sizeof *from);
#ifdef __AVX2__
    const Words w = (Words)_mm256_cvtepu16_epi32((__m128i)h);
#else
    const Words w = __builtin_convertvector(h, Words);
#endif
    return (Floats)(w << 16);
}

static inline Floats pick(Mask where, Floats yes, Floats no) {
#ifdef __AVX2__
    return _mm256_blendv_ps(no, yes, (Floats)where);
#else
    return (Floats)(((Mask)yes & where) | ((Mask)no & ~where));
#endif
}

/* x - base, and 0 where they are the same: of two infinities, too. */
static inline Floats moved(Floats x, Floats base) { return (Floats)((Mask)(x - base) & ~(x == base)); }

/* One bit for each number of a comparison, the first one lowest. */
static inline unsigned bits(Mask m) {
#ifdef __AVX2__
    return (unsigned)_mm256_movemask_ps((Floats)m);
#else
    unsigned found = 0;
    for (int j = 0; j < WIDTH; j++) found |= ((unsigned)m[j] & 1u) << j;
    return found;
#endif
}

static inline int64_t total(Mask m) {
    int64_t sum = 0;
    for (int j = 0; j < WIDTH; j++) sum += m[j];
    return sum;
}

static inline Floats magnitude(Floats v) { return (Floats)((Mask)v & 0x7fffffff); }

/* 0 where a number is smaller than least; NaN stays. */
static inline Floats trimmed(Floats v, float least) { return (Floats)((Mask)v & ~(Mask)(magnitude(v) < least)); }

/* SplitMix64's mixture of a place. */
static inline uint64_t mixed(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Run a step, inlined, over whole vectors and then over what is left. */
#define EACH(n, step)                                                  \
    do {                                                               \
        size_t i = 0;                                                  \
        for (; i + WIDTH <= (n); i += WIDTH) step(i, (size_t)WIDTH);   \
        if (i < (n)) step(i, (n) - i);                                 \
    } while (0)

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Add a b to ab[LANES], and where these are given a a to aa and b b to bb: the product of number i to sum i % LANES,
   one after the other. Products of floats are exact in double. */
static inline __attribute__((always_inline)) void products(const float *restrict a, const float *restrict b, size_t n,
                                                           double *restrict aa, double *restrict ab,
                                                           double *restrict bb) {
    LINED double sums[3][LANES];
    if (aa) memcpy(sums[0], aa, sizeof sums[0]);
    memcpy(sums[1], ab, sizeof sums[1]);
    if (bb) memcpy(sums[2], bb, sizeof sums[2]);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            const double x = a[i + j], y = b[i + j];
            if (aa) sums[0][j] = fma(x, x, sums[0][j]);
            sums[1][j] = fma(x, y, sums[1][j]);
            if (bb) sums[2][j] = fma(y, y, sums[2][j]);
        }
    if (aa) memcpy(aa, sums[0], sizeof sums[0]);
    memcpy(ab, sums[1], sizeof sums[1]);
    if (bb) memcpy(bb, sums[2], sizeof sums[2]);
    for (; i < n; i++) {
        const double x = a[i], y = b[i];
        if (aa) aa[i % LANES] = fma(x, x, aa[i % LANES]);
        ab[i % LANES] = fma(x, y, ab[i % LANES]);
        if (bb) bb[i % LANES] = fma(y, y, bb[i % LANES]);
    }
}

/* Add the products of every two of count rows to sums[pairs][LANES]: 0 0, 1 0, 1 1, 2 0, ... */
static inline void multiply(float (*rows)[PIECE], size_t count, size_t n, double *restrict sums) {
    for (size_t m = 0; m < count; m++) {
        double *to = sums + m * (m + 1) / 2 * LANES; /* m 0, before which lies m - 1 m - 1 */
        const int odd = m % 2;
        if (odd) products(rows[m - 1], rows[m], n, to - LANES, to + (m - 1) * LANES, to + m * LANES);
        else if (m + 1 == count) products(rows[m], rows[m], n, NULL, to + m * LANES, NULL);
        for (size_t l = 0; l + odd < m; l++) products(rows[m], rows[l], n, NULL, to + l * LANES, NULL);
    }
}

void accord_delta(const uint16_t *restrict x, const float *restrict base, float *restrict out, size_t n);
void accord_weigh(const uint16_t *restrict x, float weight, int more, float *restrict out, size_t n);
void accord_elect(const float *deltas, size_t count, size_t stride, size_t n, const float *least, const float *weights,
                  float draw, int mean, float *out);
void accord_drop(float *restrict x, size_t n, uint64_t key, uint64_t run, size_t before, int bytes, uint32_t limit,
                 uint64_t rest, int keep_below);

#endif
