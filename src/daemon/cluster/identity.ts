import {
  closeSync,
  constants,
  fstatSync,
  linkSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { errnoOf, UserError } from "../../base/errors.js";
import { FULL_ID } from "../../config/constants.js";
import { keyPairOf, X25519_LENGTH } from "../../sys/crypto/x25519.js";
import { randomBytes, randomId } from "../../sys/random.js";

/** Who this host is in its cluster: the same after each start. */
export interface Identity {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** Of X25519: 32 bytes each. */
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

const PRIVATE = 0o600;
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** Longest of the files, in bytes: 64 digits and a line feed. */
const MOST_BYTES = 65;

/** 32 bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{43}=$/;

/**
 * Reads who this host is, or makes it up at the first time.
 * @param directory of the state
 * @throws UserError when a file is not the user's own, may be read by others, or is damaged
 */
export function readIdentity(directory: string): Identity {
  const id = readOrMake(path.join(directory, "host-id"), FULL_ID, randomId);
  const file = path.join(directory, "wireguard.key");
  const key = readOrMake(file, KEY, () =>
    Buffer.from(randomBytes(X25519_LENGTH)).toString("base64"),
  );
  const privateKey = new Uint8Array(Buffer.from(key, "base64"));
  return { id, privateKey, publicKey: keyPairOf(privateKey).publicKey };
}

function readOrMake(file: string, form: RegExp, make: () => string): string {
  const known = readOwn(file);
  if (known === null) {
    create(file, `${make()}\n`);
    return readOrMake(file, form, make);
  }
  const text = known.replace(/\n$/, "");
  if (form.test(text)) return text;
  throw new UserError(
    `${file} is damaged: restore it, or remove it, and this host is a new one to its cluster`,
  );
}

/** @returns null when there is no such file @throws UserError when others may have written or read it */
function readOwn(file: string): string | null {
  let fd: number;
  try {
    fd = openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw new UserError(
      `cannot read ${file} (${errnoOf(error)}): it must be a file of yours, with mode 0600`,
    );
  }
  try {
    const status = fstatSync(fd);
    const isOwn = status.isFile() && status.uid === process.geteuid?.();
    if (!isOwn || (status.mode & 0o077) !== 0) {
      throw new UserError(
        `${file} may be read or written by other users: chown it to you, and chmod 0600 ${file}`,
      );
    }
    return status.size > MOST_BYTES ? "" : readFileSync(fd, "latin1");
  } finally {
    closeSync(fd);
  }
}

/** Whole or not at all: link(2) fails if another process was faster, whose file counts then. */
function create(file: string, text: string): void {
  const whole = `${file}.${process.pid}`;
  try {
    writeFileSync(whole, text, { mode: PRIVATE, flag: "wx", flush: true });
    linkSync(whole, file);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") {
      throw new UserError(
        `cannot write ${file} (${errnoOf(error)}): check the permissions of its directory, and whether the disk is full`,
      );
    }
  } finally {
    removeQuietly(whole);
  }
}

function removeQuietly(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // It was not written.
  }
}
