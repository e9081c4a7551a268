/* Latencies of one measurement. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct samples {
    uint32_t *values; /* nanoseconds */
    size_t count;
    size_t capacity;
};

/* Room for the given number, allocated but untouched, so that taking a sample never allocates. */
struct samples samples_new(size_t capacity);

/* Records a latency; beyond the capacity, or above 4.2 s, only approximately. */
void samples_add(struct samples *samples, uint64_t nanoseconds);

/* The q-quantile, 0 <= q <= 1, by nearest rank, in microseconds; 0 without samples. Sorts. */
double samples_quantile_us(struct samples *samples, double q);
