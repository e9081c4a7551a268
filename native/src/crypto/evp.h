/*
 * What the addon calls of libcrypto (EVP_EncryptInit(3)). Node exports it, its own or the system's, to addons, but its
 * headers are not always there. Weak, so that the addon loads in a Node without it: the address of each is NULL
 * there. Signatures and numbers have been the same since OpenSSL 1.1.0.
 */
#ifndef TUNTAP2_EVP_H
#define TUNTAP2_EVP_H

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

#endif
