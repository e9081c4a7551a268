/* Keyed BLAKE2s (RFC 7693 §2.9) of 16 bytes. */
#ifndef TUNTAP2_MAC_H
#define TUNTAP2_MAC_H

#include <stddef.h>
#include <stdint.h>

enum { BLAKE2S_MAC_LENGTH = 16, BLAKE2S_KEY_MAX = 32 };

/* BLAKE2S_MAC_LENGTH; EIO, or EOPNOTSUPP where libcrypto lacks it. The key has 1..BLAKE2S_KEY_MAX bytes. */
int blake2s_mac(const uint8_t *key, size_t key_length, const uint8_t *bytes, size_t length,
                uint8_t *mac);

#endif
