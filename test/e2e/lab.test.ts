import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { failing, httpName, served } from "../lab/addresses.ts";
import { markedProcesses } from "../lab/census.ts";
import { node, root } from "../lab/product.ts";
import { describe, expect, test } from "./fixture.ts";

// What all other tests rely on.

test("the host's user has no capabilities", async ({ lab }) => {
  const status = await lab.host.user.output(["grep", "^Cap", "/proc/self/status"]);
  const held = status.split("\n").filter((line) => /^Cap(Inh|Prm|Eff|Amb)/.test(line));
  expect(held).toHaveLength(4);
  for (const line of held) expect(line).toMatch(/:\t0+$/);
  expect((await lab.host.user.output(["id", "-u"])).trim()).not.toBe("0");
});

describe("the host", () => {
  test("reaches the world by name, in both families", async ({ lab }) => {
    for (const family of ["-4", "-6"]) {
      await lab.host.user.output(["curl", family, "-sS", "-m", "20", `http://${httpName}/`]);
    }
  });

  test.for([
    ["noRoute", "ENETUNREACH"],
    ["networkUnreachable", "ENETUNREACH"],
    ["hostUnreachable", "EHOSTUNREACH"],
    ["prohibited", "EHOSTUNREACH"],
  ] as const)("gets the expected errno: %s %s", async ([destination, code], { lab }) => {
    const error = await lab.host.agent.refusal({ address: failing[destination], port: 80 });
    expect(error.code).toBe(code);
  });

  test("is refused if nobody listens", async ({ lab }) => {
    const error = await lab.host.agent.refusal({ address: served.services, port: 9 });
    expect(error.code).toBe("ECONNREFUSED");
  });
});

test("a killed test leaves nothing behind", async () => {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8");
  const program = `
    import { Lab } from ${JSON.stringify(join(root, "test/lab/lab.ts"))};
    const lab = await Lab.create();
    const guest = await lab.guest();
    guest.spawn(["sleep", "1000"]);
    console.log(lab.id);
  `;
  const child = spawn(node, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [id] = await once(child.stdout, "data");
  const living = () => markedProcesses(String(id).trim());
  expect(living().length).toBeGreaterThan(5);
  child.kill("SIGKILL");
  await expect.poll(living).toEqual([]);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(mounts);
});
