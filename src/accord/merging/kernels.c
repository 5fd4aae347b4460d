/* The inner loops of merging that several passes of tensor operations would spend their time in.

   What they compute is, bit for bit, what the operations in the modules that call them compute; a build without this
   file is slower and nothing else. Vectors of eight floats: AVX2 on x86-64, pairs of registers elsewhere. Pointers
   need no alignment. Nothing here allocates, keeps state or reads beyond the lengths it is given. */

#include "kernels.h"

/* out = x - base, see moved; x in bfloat16 */
void accord_delta(const uint16_t *restrict x, const float *restrict base, float *restrict out, size_t n) {
#define STEP(i, k) store(out + i, moved(widened(x + i, k), load(base + i, k)), k)
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

/* See accord_tally and accord_tally_delta, into which it is inlined: of numbers, or of magnitudes of x - base. */
static inline __attribute__((always_inline)) size_t tally(const float *restrict numbers, const uint16_t *restrict x,
                                                          const uint16_t *restrict base, size_t n, float low,
                                                          float high, int64_t *restrict counts,
                                                          float *restrict within) {
    const Mask places = {0, 1, 2, 3, 4, 5, 6, 7};
    size_t kept = 0;
    Mask above = {0}, at_high = {0}, at_low = {0}; /* 32 bits: n is below 2^31 */
#define STEP(i, k)                                                                     \
    do {                                                                               \
        const Floats to = numbers ? load(numbers + i, k) : widened(x + i, k);          \
        const Floats v = numbers ? to : magnitude(moved(to, widened(base + i, k)));    \
        const Mask real = places < (Mask){0} + (int32_t)(k);                           \
        above -= (v > high) & real;                                                    \
        at_high -= (v == high) & real;                                                 \
        at_low -= (v == low) & real;                                                   \
        unsigned left = bits((v > low) & (v < high) & real);                           \
        if (left) {                                                                    \
            float each[WIDTH];                                                         \
            memcpy(each, &v, sizeof each);                                             \
            for (; left; left &= left - 1) within[kept++] = each[__builtin_ctz(left)]; \
        }                                                                              \
    } while (0)
    EACH(n, STEP);
#undef STEP
    counts[0] += total(above);
    counts[1] += total(at_high);
    counts[2] += total(at_low);
    return kept;
}

/* Count numbers above high, at high and at low into counts[3]; write those between to within and return how many. */
size_t accord_tally(const float *x, size_t n, float low, float high, int64_t *counts, float *within) {
    return tally(x, NULL, NULL, n, low, high, counts, within);
}

/* The same for the magnitudes of x - base, both in bfloat16, in which what is the same in both counts as 0. */
size_t accord_tally_delta(const uint16_t *x, const uint16_t *base, size_t n, float low, float high, int64_t *counts,
                          float *within) {
    return tally(NULL, x, base, n, low, high, counts, within);
}

/* See accord_elect; inlined for each count, so that a column stays in registers where the count is known.
   What does not point along the sign is left out; NaN does not point anywhere, but is left in and so seen. */
static inline __attribute__((always_inline)) void elect(const float *restrict deltas, size_t count, size_t stride,
                                                        size_t n, const float *restrict least,
                                                        const float *restrict weights, float draw, int mean,
                                                        float *restrict out) {
    const Floats zero = {0}, one = zero + 1.0f, tie = zero + draw, tiny = zero + 0x1p-126f;
#define STEP(i, k)                                                        \
    do {                                                                  \
        Floats rows[MOST], sum = zero, merged = zero, share = zero;       \
        for (size_t m = 0; m < count; m++) {                              \
            const Floats row = load(deltas + m * stride + i, k);          \
            rows[m] = least ? trimmed(row, least[m]) : row;               \
            sum = m ? sum + rows[m] : rows[m];                            \
        }                                                                 \
        Floats sign = pick(sum > zero, one, pick(sum < zero, -one, tie)); \
        for (size_t m = 0; m < count; m++) {                              \
            Mask along = ~(Mask)(rows[m] * sign <= zero);                 \
            merged += (Floats)((Mask)rows[m] & along);                    \
            share += (Floats)((Mask)(zero + weights[m]) & along);         \
        }                                                                 \
        if (mean) merged /= pick(share < tiny, tiny, share);              \
        store(out + i, merged, k);                                        \
    } while (0)
    EACH(n, STEP);
#undef STEP
}

/* Elect a sign for each column of count rows of n deltas, whose starts are stride apart and in which magnitudes below
   least[count] count as 0, if there is any; out is the sum, or the mean weighted by weights[count], of those that have
   it. A sum of 0 has the sign draw. */
void accord_elect(const float *deltas, size_t count, size_t stride, size_t n, const float *least, const float *weights,
                  float draw, int mean, float *out) {
    switch (count) {
    case 2: elect(deltas, 2, stride, n, least, weights, draw, mean, out); break;
    case 3: elect(deltas, 3, stride, n, least, weights, draw, mean, out); break;
    case 4: elect(deltas, 4, stride, n, least, weights, draw, mean, out); break;
    default: elect(deltas, count, stride, n, least, weights, draw, mean, out);
    }
}

/* Multiply by 1 or 0, as accord.merging.masks draws them for a stream of random words: runs of 256 elements have a word
   for their limit, then a draw of so many bytes for each element. The first element of x is number before of its
   run. */
void accord_drop(float *restrict x, size_t n, uint64_t key, uint64_t run, size_t before, int bytes, uint32_t limit,
                 uint64_t rest, int keep_below) {
    const uint64_t gamma = 0x9e3779b97f4a7c15u;
    const size_t words = 32 * (size_t)bytes;
    for (size_t done = 0; done < n; run++, before = 0) {
        const uint64_t place = key + (run * (words + 1) + 1) * gamma;
        union {
            uint64_t words[64];
            uint16_t halves[RUN];
            uint8_t bytes[RUN];
        } drawn;
        const uint32_t bound = limit + (mixed(place) < rest);
        for (size_t w = 0; w < words; w++) drawn.words[w] = mixed(place + (w + 1) * gamma);
        const size_t k = n - done < RUN - before ? n - done : RUN - before;
        float *row = x + done;
        if (bytes == 1) {
            const uint8_t *draws = drawn.bytes + before;
            for (size_t i = 0; i < k; i++) row[i] *= (float)((draws[i] < bound) == keep_below);
        } else {
            const uint16_t *draws = drawn.halves + before;
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
