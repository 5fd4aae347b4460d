/* The inner loops of merging that several passes of tensor operations would spend their time in.

   What they compute is, bit for bit, what the operations in the modules that call them compute; a build without this
   file is slower and nothing else. Vectors of eight floats: AVX2 on x86-64, pairs of registers elsewhere. Pointers
   need no alignment. Nothing here allocates, keeps state or reads beyond the lengths it is given. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WIDTH 8
#define RUN 256
#define MOST 64 /* rows that can be elected from */
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
    Words w = __builtin_convertvector(h, Words) << 16;
    return (Floats)w;
}

static inline Floats pick(Mask where, Floats yes, Floats no) {
    return (Floats)(((Mask)yes & where) | ((Mask)no & ~where));
}

/* One bit for each number of a comparison, the first one lowest. */
static inline unsigned bits(Mask m) {
#ifdef __AVX2__
    return (unsigned)__builtin_ia32_movmskps256((Floats)m);
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

/* out = x - base, x in bfloat16 */
void accord_delta(const uint16_t *restrict x, const float *restrict base, float *restrict out, size_t n) {
#define STEP(i, k) store(out + i, widened(x + i, k) - load(base + i, k), k)
    EACH(n, STEP);
#undef STEP
}

/* out = weight x, or out += weight x rounded once, x in bfloat16 */
void accord_weigh(const uint16_t *restrict x, float weight, int more, float *restrict out, size_t n) {
    for (size_t line = 0; line < n; line += 32) {
        const size_t end = n - line < 32 ? n : line + 32;
        ahead(x + line);
        for (size_t i = line; i < end; i++) {
            const uint32_t word = (uint32_t)x[i] << 16;
            float value;
            memcpy(&value, &word, sizeof value);
            out[i] = more ? fmaf(weight, value, out[i]) : weight * value;
        }
    }
}

/* See accord_tally and accord_tally_delta, into which it is inlined: of numbers, or of magnitudes of halves - base. */
static inline __attribute__((always_inline)) size_t tally(const float *restrict numbers, const uint16_t *restrict halves,
                                                          const float *restrict base, size_t n, float low, float high,
                                                          int64_t *restrict counts, float *restrict within) {
    const Mask places = {0, 1, 2, 3, 4, 5, 6, 7};
    size_t kept = 0;
    Mask above = {0}; /* 32 bits: n is below 2^31 */
#define STEP(i, k)                                                                                    \
    do {                                                                                              \
        const Floats v = halves ? magnitude(widened(halves + i, k) - load(base + i, k)) : load(numbers + i, k); \
        const Mask real = places < (Mask){0} + (int32_t)(k);                                          \
        above -= (v > high) & real;                                                                   \
        for (unsigned left = bits((v >= low) & (v <= high) & real); left; left &= left - 1) {         \
            const float one = v[__builtin_ctz(left)];                                                 \
            counts[1] += one == high;                                                                 \
            counts[2] += one == low;                                                                  \
            within[kept] = one;                                                                       \
            kept += one > low && one < high;                                                          \
        }                                                                                             \
    } while (0)
    EACH(n, STEP);
#undef STEP
    counts[0] += total(above);
    return kept;
}

/* Count numbers above high, at high and at low into counts[3]; write those between to within and return how many. */
size_t accord_tally(const float *x, size_t n, float low, float high, int64_t *counts, float *within) {
    return tally(x, NULL, NULL, n, low, high, counts, within);
}

/* The same for the magnitudes of x - base, x in bfloat16. */
size_t accord_tally_delta(const uint16_t *x, const float *base, size_t n, float low, float high, int64_t *counts,
                          float *within) {
    return tally(NULL, x, base, n, low, high, counts, within);
}

/* See accord_elect; inlined for each count, so that a column stays in registers where the count is known.
   What does not point along the sign is left out; NaN does not point anywhere, but is left in and so seen. */
static inline __attribute__((always_inline)) void elect(const float *restrict deltas, size_t count, size_t n,
                                                        const float *restrict least, const float *restrict weights,
                                                        float draw, int mean, float *restrict out) {
    const Floats zero = {0}, one = zero + 1.0f, tie = zero + draw, tiny = zero + 0x1p-126f;
#define STEP(i, k)                                                              \
    do {                                                                        \
        Floats rows[MOST], sum = zero, merged = zero, share = zero;             \
        for (size_t m = 0; m < count; m++) {                                    \
            rows[m] = trimmed(load(deltas + m * n + i, k), least[m]);           \
            sum = m ? sum + rows[m] : rows[m];                                  \
        }                                                                       \
        Floats sign = pick(sum > zero, one, pick(sum < zero, -one, tie));       \
        for (size_t m = 0; m < count; m++) {                                    \
            Mask along = ~(Mask)(rows[m] * sign <= zero);                       \
            merged += (Floats)((Mask)rows[m] & along);                          \
            share += (Floats)((Mask)(zero + weights[m]) & along);               \
        }                                                                       \
        if (mean) merged /= pick(share < tiny, tiny, share);                    \
        store(out + i, merged, k);                                              \
    } while (0)
    EACH(n, STEP);
#undef STEP
}

/* Elect a sign for each column of deltas[count][n], in which magnitudes below least[count] count as 0; out is the sum,
   or the mean weighted by weights[count], of those that have it. A sum of 0 has the sign draw. */
void accord_elect(const float *deltas, size_t count, size_t n, const float *least, const float *weights, float draw,
                  int mean, float *out) {
    switch (count) {
    case 2: elect(deltas, 2, n, least, weights, draw, mean, out); break;
    case 3: elect(deltas, 3, n, least, weights, draw, mean, out); break;
    case 4: elect(deltas, 4, n, least, weights, draw, mean, out); break;
    default: elect(deltas, count, n, least, weights, draw, mean, out);
    }
}

/* Multiply by 1 or 0, as accord.merging.masks draws them for a stream of random words: runs of 256 elements have a word
   for their limit, then a draw of so many bytes for each element. The first element of x is number before of its run. */
void accord_drop(float *restrict x, size_t n, uint64_t key, uint64_t run, size_t before, int bytes, uint32_t limit,
                 uint64_t rest, int keep_below) {
    const uint64_t gamma = 0x9e3779b97f4a7c15u;
    const size_t words = 32 * (size_t)bytes;
    for (size_t done = 0; done < n; run++, before = 0) {
        uint64_t place = key + (run * (words + 1) + 1) * gamma, drawn[64];
        const uint32_t bound = limit + (mixed(place) < rest);
        for (size_t w = 0; w < words; w++) drawn[w] = mixed(place + (w + 1) * gamma);
        const size_t k = n - done < RUN - before ? n - done : RUN - before;
        float *row = x + done;
        if (bytes == 1) {
            const uint8_t *draws = (const uint8_t *)drawn + before;
            for (size_t i = 0; i < k; i++) row[i] *= (float)((draws[i] < bound) == keep_below);
        } else {
            const uint16_t *draws = (const uint16_t *)drawn + before;
            for (size_t i = 0; i < k; i++) row[i] *= (float)((draws[i] < bound) == keep_below);
        }
        done += k;
    }
}

/* Which source this was compiled of, or nothing on a processor that it was not compiled for. */
const char *accord_source(void) {
#ifdef __x86_64__
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return "";
#endif
    return SOURCE;
}
