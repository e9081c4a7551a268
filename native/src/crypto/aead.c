#include "aead.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum { OPENS, SEALS };

/* Also where the functions are missing. */
static int new_context(const uint8_t *key, EVP_CIPHER_CTX **context) {
  if (EVP_chacha20_poly1305 == NULL || EVP_CIPHER_CTX_new == NULL || EVP_CIPHER_CTX_free == NULL ||
      EVP_CIPHER_CTX_ctrl == NULL || EVP_CipherInit_ex == NULL || EVP_CipherUpdate == NULL ||
      EVP_CipherFinal_ex == NULL) {
    return -EOPNOTSUPP;
  }
  EVP_CIPHER_CTX *fresh = EVP_CIPHER_CTX_new();
  if (fresh == NULL) return -ENOMEM;
  if (EVP_CipherInit_ex(fresh, EVP_chacha20_poly1305(), NULL, key, NULL, SEALS) != 1) {
    EVP_CIPHER_CTX_free(fresh);
    return -EOPNOTSUPP; /* a provider that is limited to other ciphers, as with FIPS */
  }
  *context = fresh;
  return 0;
}

int aead_keys_add(struct aead_keys *keys, const uint8_t *key) {
  for (int number = 0; number < AEAD_KEYS_MAX; number++) {
    if (keys->contexts[number] != NULL) continue;
    int error = new_context(key, &keys->contexts[number]);
    return error < 0 ? error : number;
  }
  return -ENOSPC;
}

int aead_keys_forget(struct aead_keys *keys, uint32_t number) {
  EVP_CIPHER_CTX *context = aead_keys_at(keys, number);
  if (context == NULL) return -ENOENT;
  EVP_CIPHER_CTX_free(context);
  keys->contexts[number] = NULL;
  return 0;
}

void aead_keys_forget_all(struct aead_keys *keys) {
  for (uint32_t number = 0; number < AEAD_KEYS_MAX; number++) aead_keys_forget(keys, number);
}

/* The nonce is 4 zero bytes and the counter, little-endian (WireGuard, §5.4.6). */
static bool begin(EVP_CIPHER_CTX *context, uint64_t counter, int direction) {
  uint8_t nonce[12] = {0};
  uint64_t ordered = htole64(counter);
  memcpy(nonce + 4, &ordered, sizeof(ordered));
  return EVP_CipherInit_ex(context, NULL, NULL, NULL, nonce, direction) == 1;
}

/* An update of 0 bytes would be an end. */
static bool transform(EVP_CIPHER_CTX *context, uint8_t *output, const uint8_t *input,
                      uint32_t length) {
  int done = 0;
  return length == 0 ||
         (EVP_CipherUpdate(context, output, &done, input, (int)length) == 1 && (uint32_t)done == length);
}

static bool finish(EVP_CIPHER_CTX *context) {
  uint8_t nothing[AEAD_TAG_LENGTH];
  int length = 0;
  return EVP_CipherFinal_ex(context, nothing, &length) == 1;
}

int aead_seal(EVP_CIPHER_CTX *context, uint64_t counter, uint8_t *bytes, uint32_t length) {
  if (begin(context, counter, SEALS) && transform(context, bytes, bytes, length) && finish(context) &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LENGTH, bytes + length) == 1) {
    return (int)length + AEAD_TAG_LENGTH;
  }
  memset(bytes, 0, length);
  return -EIO;
}

int aead_open(EVP_CIPHER_CTX *context, uint64_t counter, uint8_t *input, uint32_t length,
              uint8_t *output) {
  if (length < AEAD_TAG_LENGTH) return -EBADMSG;
  uint32_t opened = length - AEAD_TAG_LENGTH;
  if (begin(context, counter, OPENS) &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LENGTH, input + opened) == 1 &&
      transform(context, output, input, opened) && finish(context)) {
    return (int)opened;
  }
  memset(output, 0, opened);
  return -EBADMSG;
}
