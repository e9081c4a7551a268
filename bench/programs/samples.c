#include "samples.h"

#include "net.h"

#include <stdlib.h>

struct samples samples_new(size_t capacity)
{
    struct samples samples = {.values = calloc(capacity, sizeof *samples.values),
                              .capacity = capacity};
    if (samples.values == NULL) die("calloc");
    return samples;
}

void samples_add(struct samples *samples, uint64_t nanoseconds)
{
    uint32_t value = nanoseconds > UINT32_MAX ? UINT32_MAX : (uint32_t)nanoseconds;
    samples->values[samples->count % samples->capacity] = value;
    samples->count++;
}

static int ascending(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

double samples_quantile_us(struct samples *samples, double q)
{
    size_t kept = samples->count < samples->capacity ? samples->count : samples->capacity;
    if (kept == 0) return 0;
    qsort(samples->values, kept, sizeof *samples->values, ascending);
    size_t rank = (size_t)(q * (double)kept);
    return samples->values[rank < kept ? rank : kept - 1] / 1000.0;
}
