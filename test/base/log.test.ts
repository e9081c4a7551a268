import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "slipway-log-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** A program of these lines, as one script. */
async function scriptOf(lines: string): Promise<string> {
  const contents = `import * as fs from "node:fs";
    import { log, logEnd, setLogLevel, startLog } from "./src/base/log.ts";
    ${lines}`;
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    platform: "node",
    format: "cjs",
    write: false,
  });
  return outputFiles[0].text;
}

function run(script: string, args: readonly string[] = []) {
  return spawnSync(process.execPath, ["-e", script, ...args], { encoding: "utf8" });
}

describe("by default", () => {
  let script: string;
  beforeAll(async () => {
    script = await scriptOf(`
      log.info("not shown");
      log.warn("%s answers after %d ms", "dns", 7);
      log.error("broken");
      setLogLevel("info");
      log.info("shown");
      logEnd("the reason");
      process.stdout.write("still here");
    `);
  });

  it("warnings are plain lines on stderr", () => {
    const { stderr, stdout } = run(script);
    expect(stderr).toBe(
      "slipway: warning: dns answers after 7 ms\nslipway: error: broken\n" +
        "slipway: info: shown\nslipway: the reason\n",
    );
    expect(stdout).toBe("still here");
  });

  it("a stderr that accepts nothing does no harm", () => {
    const { stdout, status } = spawnSync(
      "sh",
      ["-c", 'exec "$0" -e "$1" 2>/dev/full', process.execPath, script],
      { encoding: "utf8" },
    );
    expect([stdout, status]).toEqual(["still here", 0]);
  });
});

describe("in a file", () => {
  const settings = (format: string, linesPerSecond: number): string => `startLog({
    write: fs.writeSync.bind(fs, fs.openSync(process.argv[1], "a")),
    writeStderr: fs.writeSync.bind(fs, 2), isFile: true, level: "info", format: "${format}", linesPerSecond: ${linesPerSecond} });`;

  it("each line is a JSON object, and stderr also gets the reason of the end", async () => {
    const file = join(scratch, "json");
    const script = await scriptOf(`${settings("json", 9)} log.info("hello"); logEnd("over");`);
    expect(run(script, [file]).stderr).toBe("slipway: over\n");
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    const [time, pid] = [expect.stringMatching(/^2.*Z$/), expect.any(Number)];
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { time, level: "info", pid, msg: "hello" },
      { time, level: "fatal", pid, msg: "over" },
    ]);
  });

  it("lines above the rate are counted and dropped", async () => {
    const file = join(scratch, "limited");
    const script = await scriptOf(`${settings("text", 3)}
      for (let i = 1; i <= 10; i += 1) log.info("line %d", i);
      setTimeout(() => log.info("later"), 1_300);
    `);
    run(script, [file]);
    const lines = readFileSync(file, "utf8").replaceAll(/^\S+Z slipway\[\d+\]: /gm, "");
    expect(lines).toBe(
      "info: line 1\ninfo: line 2\ninfo: line 3\n" +
        "warning: 7 lines suppressed: more than 3 per second\ninfo: later\n",
    );
  });
});
