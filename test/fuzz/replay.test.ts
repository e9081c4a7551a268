import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { corpus, replay } from "./replay.ts";

/** The receive buffer, the block for the next bytes of the host, lwIP's listener. */
const BLOCKS_AT_REST = 3;

const inputs = [...corpus()];

describe.for([true, false])("the fuzzer's inputs, in WASM, offload %s", (offload) => {
  test("no input traps or hangs, and all memory is released", { timeout: 120_000 }, ({
    annotate,
  }) => {
    let frames = 0;
    for (const [name, input] of inputs) {
      const { framesIn, framesOut, blocksInUse, flows } = replay(input, offload, () => {});
      frames += framesIn + framesOut;
      expect(flows, name).toBe(0);
      expect(blocksInUse, name).toBeLessThanOrEqual(BLOCKS_AT_REST);
    }
    expect(frames).toBeGreaterThan(inputs.length);
    void annotate(`${inputs.length} inputs, ${frames} frames`, "measured");
  });
});

test("an input becomes a capture that tshark reads to its end", () => {
  const name = "finding-segment-overflow";
  const input = inputs.find(([each]) => each === name)?.[1];
  if (input === undefined) throw new Error(`${name} is not in the corpus`);
  const { framesIn, framesOut } = replay(input, true, () => {});
  const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const arguments_ = [file("to-pcap.ts"), file(`corpus/stack/${name}`)];
  const capture = execFileSync(process.execPath, arguments_, { maxBuffer: 1 << 28 });
  const directory = mkdtempSync(join(tmpdir(), "fuzz-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, "frames.pcap"), capture);
  const read = ["-r", join(directory, "frames.pcap"), "-T", "fields", "-e", "frame.number"];
  const output = execFileSync("tshark", read, { stdio: "pipe" }).toString();
  expect(output.trim().split("\n")).toHaveLength(framesIn + framesOut);
});
