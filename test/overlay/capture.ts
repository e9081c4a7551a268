import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { checksumOptions, wrongChecksum } from "../lab/tshark.js";
import type { Place } from "./stage.js";

/**
 * What `during` sends and receives at eth0 of a place, as tshark sees it.
 * @param least packets that match the display filter are there when all is: the last are written somewhat later
 */
export async function captured(
  place: Place,
  during: () => Promise<void>,
  filter: string,
  least: number,
): Promise<Capture> {
  const directory = mkdtempSync(join(tmpdir(), "overlay-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "eth0.pcapng");
  const dumpcap = place.spawn(["dumpcap", "-q", "-B", "64", "-i", "eth0", "-w", file]);
  // It makes the file when its socket receives.
  await expect.poll(() => existsSync(file)).toBe(true);
  await during();
  const capture = new Capture(file);
  await expect.poll(() => capture.matching(filter).length).toBeGreaterThanOrEqual(least);
  const ended = new Promise((resolve) => dumpcap.once("exit", resolve));
  dumpcap.kill("SIGINT");
  await ended;
  return capture;
}

export class Capture {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** Packets that match a display filter, a line each. */
  matching(filter: string): string[] {
    const options = { stdio: "pipe", maxBuffer: 1 << 26 } as const;
    const text = execFileSync(
      "tshark",
      ["-n", "-r", this.#file, ...checksumOptions, "-Y", filter],
      options,
    );
    return text
      .toString()
      .split("\n")
      .filter((line) => line !== "");
  }

  /** Those that tshark finds fault with. */
  get faulty(): string[] {
    return this.matching(`${wrongChecksum} || _ws.malformed`);
  }
}
