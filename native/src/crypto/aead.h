/* ChaCha20-Poly1305 (RFC 8439) under keys that are known by number, with a counter as the nonce and no associated data. */
#ifndef TUNTAP2_AEAD_H
#define TUNTAP2_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "evp.h"

enum {
  AEAD_KEY_LENGTH = 32,
  AEAD_TAG_LENGTH = 16,
  AEAD_KEYS_MAX = 8192, /* about 1 KB each: two directions of three sessions with 1,300 hosts */
};

/*
 * A context for each key, which libcrypto wipes when it is freed. One context for all of them is 3 % slower, as it is
 * keyed again for each message, and would need a copy of the keys.
 */
struct aead_keys {
  EVP_CIPHER_CTX *contexts[AEAD_KEYS_MAX]; /* NULL: free */
};

/* NULL unless there is a key of that number. */
static inline EVP_CIPHER_CTX *aead_keys_at(const struct aead_keys *keys, uint32_t number) {
  return number < AEAD_KEYS_MAX ? keys->contexts[number] : NULL;
}

/* The number of a key of AEAD_KEY_LENGTH bytes; ENOSPC, ENOMEM, or EOPNOTSUPP where libcrypto lacks the cipher. */
int aead_keys_add(struct aead_keys *keys, const uint8_t *key);

/* 0, or ENOENT. */
int aead_keys_forget(struct aead_keys *keys, uint32_t number);

void aead_keys_forget_all(struct aead_keys *keys);

/*
 * Seals `length` bytes in place; the tag follows them. Returns the length with the tag, or EIO, with zeros left instead
 * of what was not sealed.
 */
int aead_seal(EVP_CIPHER_CTX *context, uint64_t counter, uint8_t *bytes, uint32_t length);

/*
 * Opens `length` bytes, of which the last are the tag, to `output`, which is `input` or does not overlap it. Returns the
 * length without the tag; EBADMSG when they are not authentic, with zeros left as output.
 */
int aead_open(EVP_CIPHER_CTX *context, uint64_t counter, uint8_t *input, uint32_t length,
              uint8_t *output);

#endif
