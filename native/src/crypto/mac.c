#include "mac.h"

#include <errno.h>
#include <stdbool.h>

#include "evp.h"

static bool is_missing(void) {
  return EVP_Q_mac == NULL || OSSL_PARAM_construct_size_t == NULL ||
         OSSL_PARAM_construct_end == NULL;
}

int blake2s_mac(const uint8_t *key, size_t key_length, const uint8_t *bytes, size_t length,
                uint8_t *mac) {
  if (is_missing()) return -EOPNOTSUPP;
  size_t size = BLAKE2S_MAC_LENGTH;
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_size_t("size", &size),
      OSSL_PARAM_construct_end(),
  };
  size_t written = 0;
  unsigned char *made = EVP_Q_mac(NULL, "BLAKE2SMAC", NULL, NULL, parameters, key, key_length,
                                  bytes, length, mac, BLAKE2S_MAC_LENGTH, &written);
  return made != NULL && written == BLAKE2S_MAC_LENGTH ? BLAKE2S_MAC_LENGTH : -EIO;
}
