import manifest from "../../../package.json" with { type: "json" };
import type { CaptureFile } from "../../frames/capture.js";
import { native } from "../../sys/native.js";
import { composeCaptureStart } from "../../wire/pcapng.js";
import { openOutputFile } from "./output-file.js";

/**
 * Creates the file of `--pcap` and writes its header. It stays open, as the sandbox does not let files be opened.
 * @param tap name of the interface, for the header
 * @throws UserError when it cannot be written, or should not be (openOutputFile)
 */
export function openCapture(path: string, tap: string): CaptureFile {
  const start = composeCaptureStart({
    application: `Slipway ${manifest.version}`,
    interfaceName: tap,
    interfaceDescription: "Slipway's side of the TAP: inbound is what the namespace has sent",
  });
  const fd = openOutputFile("--pcap", path, start);
  native.adoptFd(fd);
  return { fd, path, length: start.length };
}
