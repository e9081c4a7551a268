/*
 * The keys of src/crypto where libcrypto is missing or, with -DREFUSES, has no such cipher: prints what adding a key
 * returns, and how many contexts are left.
 */
#include <stdio.h>

#include "../src/crypto/aead.h"

static int contexts;

#ifdef REFUSES
const EVP_CIPHER *EVP_chacha20_poly1305(void) {
  return NULL;
}

EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void) {
  contexts++;
  return (EVP_CIPHER_CTX *)&contexts;
}

void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context) {
  if (context != NULL) contexts--;
}

int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *context, int type, int argument, void *data) {
  (void)context, (void)type, (void)argument, (void)data;
  return 0;
}

int EVP_CipherInit_ex(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, void *engine,
                      const unsigned char *key, const unsigned char *nonce, int seals) {
  (void)context, (void)cipher, (void)engine, (void)key, (void)nonce, (void)seals;
  return 0;
}

int EVP_CipherUpdate(EVP_CIPHER_CTX *context, unsigned char *output, int *length,
                     const unsigned char *input, int input_length) {
  (void)context, (void)output, (void)length, (void)input, (void)input_length;
  return 0;
}

int EVP_CipherFinal_ex(EVP_CIPHER_CTX *context, unsigned char *output, int *length) {
  (void)context, (void)output, (void)length;
  return 0;
}
#endif

int main(void) {
  static struct aead_keys keys;
  const uint8_t key[AEAD_KEY_LENGTH] = {1};
  int added = aead_keys_add(&keys, key);
  aead_keys_forget_all(&keys);
  printf("%d %d %d\n", added, aead_keys_forget(&keys, 0), contexts);
  return 0;
}
