import { describe, expect, it } from "vitest";
import { hash, hmac, mac } from "../../src/sys/crypto/blake2s.js";
import {
  nonceOf,
  open,
  openX,
  seal,
  sealX,
  subkey,
} from "../../src/sys/crypto/chacha20-poly1305.js";
import { agree, keyPairOf, newKeyPair, publicKeyOf } from "../../src/sys/crypto/x25519.js";

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ""), "hex");
const text = (bytes: Uint8Array | null) =>
  bytes === null ? null : Buffer.from(bytes).toString("hex");
/** Bytes that count up from `first`. */
const sequence = (first: number, length: number) =>
  Uint8Array.from({ length }, (_, index) => first + index);

describe("X25519", () => {
  it("agrees as RFC 7748 §6.1 says", () => {
    const alice = keyPairOf(
      hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
    );
    const bob = keyPairOf(hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    expect(text(alice.publicKey)).toBe(
      "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    );
    expect(text(bob.publicKey)).toBe(
      "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    );
    const shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    expect(text(agree(alice.secret, publicKeyOf(bob.publicKey)))).toBe(shared);
    expect(text(agree(bob.secret, publicKeyOf(alice.publicKey)))).toBe(shared);
  });

  it("agrees with no public key of low order", () => {
    const { secret } = newKeyPair();
    const one = Uint8Array.from({ length: 32 }, (_, index) => (index === 0 ? 1 : 0));
    const minusOne = hex("ec ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff 7f");
    for (const key of [new Uint8Array(32), one, minusOne]) {
      expect(agree(secret, publicKeyOf(key))).toBeNull();
    }
  });

  it("has a new pair each time", () => {
    expect(newKeyPair().publicKey).not.toEqual(newKeyPair().publicKey);
  });
});

describe("BLAKE2s", () => {
  it("hashes as RFC 7693 appendix B says, in one part or more", () => {
    const expected = "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982";
    expect(text(hash(Buffer.from("abc")))).toBe(expected);
    expect(text(hash(Buffer.from("a"), Buffer.from("bc")))).toBe(expected);
  });

  // Of the reference implementation of BLAKE2, in Python's hashlib: hashlib.blake2s(…, key=…, digest_size=16).
  it.each([
    [32, 0, "9536f9b267655743dee97b8a670f9f53"],
    [32, 1, "13bacfb85b48a1223c595f8c1e7e82cb"],
    [32, 64, "f1efa90d2547036841ecd3627fafbc36"],
    [32, 116, "072e94ffbfc684bd8ab2a1b9dade2fd5"],
    [32, 200, "42a6f8ff590af21b512e9e088257aa34"],
  ])("with a key of %i bytes makes a MAC of %i bytes", (key, length, expected) => {
    expect(text(mac(sequence(0, key), sequence(0, length)))).toBe(expected);
  });

  it("with a key of 16 bytes makes a MAC", () => {
    expect(text(mac(Buffer.from("0123456789abcdef"), Buffer.from("WireGuard")))).toBe(
      "f2abf7028d9a20c0fac9b4206bf2a950",
    );
  });

  it("refuses a key that is none", () => {
    expect(() => mac(new Uint8Array(0), new Uint8Array(1))).toThrow("-22");
    expect(() => mac(new Uint8Array(33), new Uint8Array(1))).toThrow("-22");
  });

  // hmac.new(…, hashlib.blake2s) of Python.
  it("is the hash of HMAC", () => {
    expect(text(hmac(sequence(0, 32), Buffer.from("a"), Buffer.from("bc")))).toBe(
      "82623be5bc0a391b24dce53e67d028eff92d586de0485ac37822e597d049c74f",
    );
  });
});

describe("ChaCha20-Poly1305", () => {
  const plain = Buffer.from(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const additional = hex("50515253c0c1c2c3c4c5c6c7");
  const key = sequence(0x80, 32);

  it("seals and opens as RFC 8439 §2.8.2 says", () => {
    const nonce = hex("070000004041424344454647");
    const sealed = seal(key, nonce, plain, additional);
    expect(text(sealed.subarray(0, 16))).toBe("d31a8d34648e60db7b86afbc53ef7ec2");
    expect(text(sealed.subarray(-16))).toBe("1ae10b594f09e26a7e902ecbd0600691");
    expect(open(key, nonce, sealed, additional)).toEqual(plain);
  });

  it("with a long nonce seals and opens as draft-irtf-cfrg-xchacha-03 §2.2.1 and §A.3.1 say", () => {
    const derived = subkey(sequence(0, 32), hex("000000090000004a0000000031415927"));
    expect(text(derived)).toBe("82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc");
    const nonce = sequence(0x40, 24);
    const sealed = sealX(key, nonce, plain, additional);
    expect(text(sealed.subarray(0, 16))).toBe("bd6d179d3e83d43b9576579493c0e939");
    expect(text(sealed.subarray(-16))).toBe("c0875924c1c7987947deafd8780acf49");
    expect(openX(key, nonce, sealed, additional)).toEqual(plain);
  });

  it("opens nothing that was changed, or has no tag", () => {
    const nonce = nonceOf(1);
    const sealed = seal(key, nonce, plain, additional);
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Uint8Array.from(sealed);
      changed[at] ^= 1;
      expect(open(key, nonce, changed, additional)).toBeNull();
    }
    expect(open(key, nonceOf(2), sealed, additional)).toBeNull();
    expect(open(key, nonce, sealed, plain)).toBeNull();
    expect(open(key, nonce, sealed.subarray(0, 15), additional)).toBeNull();
    expect(open(key, nonce, new Uint8Array(0), additional)).toBeNull();
  });

  it("has nonces of 64 bits, little-endian", () => {
    expect(text(nonceOf(0x1_0203_0405))).toBe("000000000504030201000000");
    expect(text(nonceOf(2 ** 53 - 1))).toBe("00000000ffffffffffff1f00");
  });
});
