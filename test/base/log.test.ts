import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { beforeAll, describe, expect, it } from "vitest";

const PROGRAM = `
  import { log } from "./src/base/log.ts";
  log.debug("not shown");
  log.info("%s answers after %d ms", "dns", 7);
  log.warn("careful");
  log.error("broken");
  process.stdout.write("still here");
`;

let script: string;

beforeAll(async () => {
  const { outputFiles } = await build({
    stdin: { contents: PROGRAM, resolveDir: fileURLToPath(new URL("../..", import.meta.url)) },
    bundle: true,
    platform: "node",
    format: "cjs",
    write: false,
  });
  script = outputFiles[0].text;
});

describe("log", () => {
  it("writes one plain line a message on stderr", () => {
    const { stderr, stdout } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
    expect(stderr).toBe(
      "slipway: info: dns answers after 7 ms\nslipway: warning: careful\nslipway: error: broken\n",
    );
    expect(stdout).toBe("still here");
  });

  it("outlives a stderr that takes nothing", () => {
    const { stdout, status } = spawnSync(
      "sh",
      ["-c", 'exec "$0" -e "$1" 2>/dev/full', process.execPath, script],
      { encoding: "utf8" },
    );
    expect([stdout, status]).toEqual(["still here", 0]);
  });
});
