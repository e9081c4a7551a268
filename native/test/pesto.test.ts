import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launcherFile, sanitizerEnvironment } from "./launcher-file.js";

// The launcher as pesto (launcher/pesto), against a pasta that may say anything.

let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "pesto-"));
  mkdirSync(join(root, "bin"));
  copyFileSync(launcherFile, join(root, "bin/slipway"));
  symlinkSync("slipway", join(root, "bin/pesto"));
});
afterAll(() => rmSync(root, { recursive: true }));

/** What pesto makes of what a pasta does when it has read the request. */
async function answered(answer: string | ((client: Socket) => void)) {
  const path = join(root, "pasta.sock");
  const server = createServer({ allowHalfOpen: true }, (client) => {
    client.resume();
    client.on("error", () => undefined);
    client.on("end", () => {
      if (typeof answer === "string") client.end(answer);
      else answer(client);
    });
  }).listen(path);
  await once(server, "listening");
  const child = spawn(join(root, "bin/pesto"), [path], { env: sanitizerEnvironment });
  const outputs = ["", ""];
  for (const [index, stream] of [child.stdout, child.stderr].entries()) {
    stream.on("data", (part: Buffer) => {
      outputs[index] += part.toString();
    });
  }
  const [code] = await once(child, "close");
  server.close();
  const [stdout, stderr] = outputs;
  return { code, stdout, stderr };
}

test("what it prints is no command to the terminal", async () => {
  const text = "-t 80\n\x1b]52;c;aGk=\x07\x9b2J";
  const printed = "-t 80\n?]52;c;aGk=???2J";
  expect(await answered(`0${text}`)).toEqual({ code: 0, stdout: printed, stderr: "" });
  const stderr = `pesto: ${printed}\n`;
  expect(await answered(`1${text}`)).toEqual({ code: 1, stdout: "", stderr });
});

test("an answer that never ends, a byte at a time, is not waited for", {
  timeout: 60_000,
}, async () => {
  const { code, stderr } = await answered((client) => {
    const drip = setInterval(() => client.write("0"), 500);
    client.on("close", () => clearInterval(drip));
  });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^pesto: no answer at \S+ for 10 s: is pasta stopped\?\n$/);
});
