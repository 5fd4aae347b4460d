/* Long stretches of checkpoints, from bfloat16 to bfloat16 in one call.

   Each goes through its stretch in pieces that stay in a core's first cache, and does to a piece what the modules that
   call it do to a block, by the loops of kernels.c: the same numbers come out. What is not finite is left to those
   modules; here it is only said that there is any. */

#include "kernels.h"

/* Rounds numbers to bfloat16, ties to even; returns the larger of worst and their largest magnitude, as bits. */
static inline uint32_t finish(const float *restrict from, uint16_t *restrict out, size_t n, uint32_t worst) {
    for (size_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, from + i, sizeof word);
        const uint32_t size = word & 0x7fffffff;
        worst = size > worst ? size : worst;
        out[i] = (uint16_t)((word + 0x7fff + ((word >> 16) & 1)) >> 16);
    }
    return worst;
}

/* The least magnitude that becomes infinite when it is rounded. */
static const uint32_t INFINITE = 0x7f7f8000;

/* out = sum of weights[count] x[count], each product added with one rounding; returns whether all of it is finite. */
int accord_mix(const uint16_t *const *x, const float *weights, size_t count, size_t n, uint16_t *restrict out) {
    LINED float sum[PIECE] = {0};
    uint32_t worst = 0;
    for (size_t i = 0; i < n; i += PIECE) {
        const size_t k = smaller(PIECE, n - i);
        for (size_t m = 0; m < count; m++) accord_weigh(x[m] + i, weights[m], m > 0, sum, k);
        worst = finish(sum, out + i, k, worst);
    }
    return worst < INFINITE;
}

/* Add the products of every two of count vectors to sums[pairs][LANES] (0 0, 1 0, 1 1, 2 0, ...): of given[count]; or
   where there are none, of x[count], less base if there is one. */
void accord_gramian(const uint16_t *const *x, const float *const *given, const uint16_t *base, size_t count, size_t n,
                    double *sums) {
    LINED float from[PIECE], rows[AT_ONCE][PIECE];
    for (size_t i = 0; i < n; i += PIECE) {
        const size_t k = smaller(PIECE, n - i);
        if (base) accord_weigh(base + i, 1.0f, 0, from, k);
        for (size_t m = 0; m < count; m++) {
            if (given) memcpy(rows[m], given[m] + i, k * sizeof **rows);
            else if (base) accord_delta(x[m] + i, from, rows[m], k);
            else accord_weigh(x[m] + i, 1.0f, 0, rows[m], k);
        }
        multiply(rows, count, k, sums);
    }
}

/* What is done to a task vector before it is merged: accord_drop (unless bytes is 0); then magnitudes below least
   become 0, and the others are multiplied by factor. Its weight is that in a mean. */
typedef struct {
    const uint16_t *x;
    float least, factor, weight;
    int32_t bytes, keep_below;
    uint32_t limit;
    uint64_t key, rest;
} Delta;

static inline void shrink(float *row, float least, float factor, size_t n) {
#define STEP(i, k) store(row + i, trimmed(load(row + i, k), least) * factor, k)
    EACH(n, STEP);
#undef STEP
}

/* out = base + scale times the sum (how 0), the elected sum (1) or the elected mean (2) of count task vectors; draw is
   accord_elect's. The first number is that of the given place of its tensor. Returns whether all of it is finite. */
int accord_agree(const Delta *deltas, const uint16_t *base, size_t count, size_t n, size_t place, int how, float draw,
                 float scale, uint16_t *restrict out) {
    LINED float from[PIECE], rows[AT_ONCE][PIECE], merged[PIECE];
    float least[AT_ONCE], weights[AT_ONCE]; /* the least where the election can see to it */
    uint32_t worst = 0;
    int trims = 0;
    for (size_t m = 0; m < count; m++) {
        weights[m] = deltas[m].weight;
        least[m] = deltas[m].factor == 1.0f ? deltas[m].least : 0.0f;
        trims |= least[m] > 0.0f;
    }
    for (size_t i = 0; i < n; i += PIECE) {
        const size_t k = smaller(PIECE, n - i);
        accord_weigh(base + i, 1.0f, 0, from, k);
        for (size_t m = 0; m < count; m++) {
            const Delta *d = deltas + m;
            accord_delta(d->x + i, from, rows[m], k);
            if (d->bytes)
                accord_drop(rows[m], k, d->key, (place + i) / RUN, (place + i) % RUN, d->bytes, d->limit, d->rest,
                            d->keep_below);
            if (d->factor != 1.0f) shrink(rows[m], d->least, d->factor, k);
        }
        if (how) accord_elect(rows[0], count, PIECE, k, trims ? least : NULL, weights, draw, how == 2, merged);
        else memcpy(merged, rows[0], k * sizeof *merged);
        for (size_t m = how ? count : 1; m < count; m++)
            for (size_t j = 0; j < k; j++) merged[j] += rows[m][j];
        for (size_t j = 0; j < k; j++) merged[j] = fmaf(scale, merged[j], from[j]);
        worst = finish(merged, out + i, k, worst);
    }
    return worst < INFINITE;
}
