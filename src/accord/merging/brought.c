/* What each model brought to a merge, all of it in one pass: see accord.merging.contributions, whose definitions these
   are. Sums of products are those of accord_gramian; magnitudes are added up in floats within a piece, which is short,
   and then in doubles. */

#include "kernels.h"

static inline uint32_t largest(const float *restrict from, size_t n, uint32_t worst) {
    for (size_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, from + i, sizeof word);
        word &= 0x7fffffff;
        worst = word > worst ? word : worst;
    }
    return worst;
}

static inline double added(Floats v) {
    double sum = 0;
    for (int j = 0; j < WIDTH; j++) sum += v[j];
    return sum;
}

/* See accord_brought; inlined for each count, so that what is added up stays in registers where the count is known.
   The merged change is the row after the last. */
static inline __attribute__((always_inline)) void weighed(float (*rows)[PIECE], size_t count, size_t n,
                                                          double *restrict sizes, int64_t *restrict places) {
    const Floats zero = {0};
    Floats size[AT_ONCE], against[AT_ONCE], cancelled = zero;
    Mask shared = {0}, opposed = {0};
    for (size_t m = 0; m < count; m++) size[m] = against[m] = zero;
#define STEP(i, k)                                                              \
    do {                                                                        \
        const Floats result = load(rows[count] + i, k);                         \
        const Mask rises = result > zero, falls = result < zero;                \
        Floats sum = zero, whole = zero;                                        \
        Mask up = {0}, down = {0};                                              \
        for (size_t m = 0; m < count; m++) {                                    \
            const Floats row = load(rows[m] + i, k), much = magnitude(row);     \
            const Mask more = row > zero, less = row < zero;                    \
            sum += row;                                                         \
            whole += much;                                                      \
            up -= more;                                                         \
            down -= less;                                                       \
            size[m] += much;                                                    \
            against[m] += (Floats)((Mask)much & ~((more & rises) | (less & falls))); \
        }                                                                       \
        cancelled += whole - magnitude(sum);                                    \
        shared -= up + down > 1;                                                \
        opposed -= (up > 0) & (down > 0);                                       \
    } while (0)
    EACH(n, STEP);
#undef STEP
    for (size_t m = 0; m < count; m++) {
        sizes[m] += added(size[m]);
        sizes[count + m] += added(against[m]);
    }
    sizes[2 * count] += added(cancelled);
    places[0] += total(shared);
    places[1] += total(opposed);
}

/* Look at count models x[count] and at what they were merged into, x[count], which are measured from base, or from the
   models' mean if there is none. Adds products of any two of the count + 1 changes and then the square of what they are
   measured from to sums[pairs + 1][LANES], see accord_gramian; to sizes[2 count + 1] each change's magnitudes, those
   that the merged change goes against, and those that a plain sum loses; and to places[2] how many several changes
   have, and those in which they differ in sign. Returns whether all is finite; what was added is of no use if not. */
int accord_brought(const uint16_t *const *x, const uint16_t *base, size_t count, size_t n, double *sums, double *sizes,
                   int64_t *places) {
    LINED float from[PIECE], rows[AT_ONCE][PIECE];
    double *squares = sums + (count + 1) * (count + 2) / 2 * LANES;
    uint32_t worst = 0;
    for (size_t i = 0; i < n; i += PIECE) {
        const size_t k = smaller(PIECE, n - i);
        if (base) accord_weigh(base + i, 1.0f, 0, from, k);
        for (size_t m = 0; m <= count; m++) accord_weigh(x[m] + i, 1.0f, 0, rows[m], k);
        for (size_t m = 0; m < count && !base; m++)
            for (size_t j = 0; j < k; j++) from[j] = m ? from[j] + rows[m][j] : rows[m][j];
        for (size_t j = 0; j < k && !base; j++) from[j] /= (float)count;
        worst = largest(from, k, worst);
        for (size_t m = 0; m <= count; m++) {
            for (size_t j = 0; j < k; j++) rows[m][j] -= from[j];
            worst = largest(rows[m], k, worst);
        }
        multiply(rows, count + 1, k, sums);
        products(from, from, k, NULL, squares, NULL);
        switch (count) {
        case 2: weighed(rows, 2, k, sizes, places); break;
        case 3: weighed(rows, 3, k, sizes, places); break;
        case 4: weighed(rows, 4, k, sizes, places); break;
        default: weighed(rows, count, k, sizes, places);
        }
    }
    return worst < 0x7f800000;
}
