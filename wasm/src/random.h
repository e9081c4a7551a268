/*
 * Random numbers that the guest cannot guess, for sequence numbers and hash keys: not for keys of
 * ciphers.
 */
#pragma once
#include <stdint.h>

void random_seed(uint64_t seed);
uint32_t random_u32(void);
