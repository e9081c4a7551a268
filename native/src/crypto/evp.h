/*
 * What the addon calls of libcrypto (EVP_EncryptInit(3)). Node exports it, its own or the system's, to addons, but its
 * headers are not always there. Weak, so that the addon loads in a Node without it: the address of each is NULL
 * there. Signatures and numbers have been the same since OpenSSL 1.1.0, and those of MACs and parameters since 3.0.
 */
#ifndef TUNTAP2_EVP_H
#define TUNTAP2_EVP_H

#include <stddef.h>

#define EVP_WEAK __attribute__((weak, visibility("default")))

typedef struct evp_cipher_st EVP_CIPHER;
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;

enum {
  EVP_CTRL_AEAD_GET_TAG = 0x10,
  EVP_CTRL_AEAD_SET_TAG = 0x11,
};

EVP_WEAK extern const EVP_CIPHER *EVP_chacha20_poly1305(void);
EVP_WEAK extern EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void);
EVP_WEAK extern void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context);
EVP_WEAK extern int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *context, int type, int argument, void *data);
EVP_WEAK extern int EVP_CipherInit_ex(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, void *engine,
                                      const unsigned char *key, const unsigned char *nonce, int seals);
EVP_WEAK extern int EVP_CipherUpdate(EVP_CIPHER_CTX *context, unsigned char *output, int *length,
                                     const unsigned char *input, int input_length);
EVP_WEAK extern int EVP_CipherFinal_ex(EVP_CIPHER_CTX *context, unsigned char *output, int *length);

/* OSSL_PARAM(3) */
typedef struct ossl_param_st {
  const char *key;
  unsigned int data_type;
  void *data;
  size_t data_size;
  size_t return_size;
} OSSL_PARAM;

EVP_WEAK extern OSSL_PARAM OSSL_PARAM_construct_size_t(const char *key, size_t *value);
EVP_WEAK extern OSSL_PARAM OSSL_PARAM_construct_end(void);
EVP_WEAK extern unsigned char *EVP_Q_mac(void *library, const char *name, const char *properties,
                                         const char *algorithm, const OSSL_PARAM *parameters,
                                         const void *key, size_t key_length,
                                         const unsigned char *data, size_t length,
                                         unsigned char *output, size_t size, size_t *written);

#endif
