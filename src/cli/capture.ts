import { closeSync, constants, openSync, writeSync } from "node:fs";
import manifest from "../../package.json" with { type: "json" };
import { UserError } from "../base/errors.js";
import { composeCaptureStart } from "../base/pcapng.js";
import type { CaptureFile } from "../flow/capture.js";
import { native } from "../sys/native.js";

const { O_WRONLY, O_CREAT, O_TRUNC, O_NOCTTY } = constants;

/** What was captured is nobody else's business. */
const MODE = 0o600;

/**
 * Opens the file of `--pcap`, anew, and writes its beginning: no file is opened later.
 * @param tap name of the interface whose frames it shall hold
 * @throws UserError when it cannot be written
 */
export function openCapture(path: string, tap: string): CaptureFile {
  const start = composeCaptureStart({
    application: `Slipway ${manifest.version}`,
    interfaceName: tap,
    interfaceDescription: "Slipway's side of the TAP: inbound is what the namespace has sent",
  });
  try {
    const fd = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY, MODE);
    writeStart(fd, start);
    native.adoptFd(fd);
    return { fd, path, length: start.length };
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    throw new UserError(
      `--pcap ${path} cannot be written (${code}): give a file in a directory that is yours, on a disk with room`,
    );
  }
}

function writeStart(fd: number, start: Uint8Array): void {
  try {
    writeSync(fd, start);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
