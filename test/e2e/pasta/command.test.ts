import { served } from "../../lab/addresses.ts";
import type { Lab } from "../../lab/lab.ts";
import type { RunOptions } from "../../lab/namespace.ts";
import type { Outcome } from "../../lab/process.ts";
import { expect, test } from "../fixture.ts";
import { noPorts, quiet } from "./background.ts";

function run(lab: Lab, args: readonly string[], options?: RunOptions): Promise<Outcome> {
  return lab.host.user.run([lab.host.program("pasta"), ...args], options);
}

test("a command in fresh namespaces: root there, with the network, and its status is passed on", async ({
  lab,
}) => {
  const script = `
    echo "uid $(id -u)"
    for kind in user net mnt pid ipc uts; do readlink /proc/self/ns/$kind; done
    ls /proc | grep -c '^[0-9]'
    curl -sS -m 20 http://${served.http}/ > /dev/null && echo reached
    exit 7
  `;
  const args = [...quiet, "sh", "-c", script];
  const { code, stdout, stderr } = await run(lab, args);
  expect({ code, stderr }).toEqual({ code: 7, stderr: "" });
  const [uid, ...lines] = stdout.trimEnd().split("\n");
  expect(uid).toBe("uid 0");
  const outside = await lab.host.user.output([
    ...["sh", "-c", "for kind in user net mnt pid ipc uts; do readlink /proc/self/ns/$kind; done"],
  ]);
  const namespaces = new Set(outside.trimEnd().split("\n"));
  expect(namespaces.size).toBe(6);
  expect(lines.slice(0, 6).filter((each) => namespaces.has(each))).toEqual([]);
  expect(Number(lines[6])).toBeLessThan(10);
  expect(lines[7]).toBe("reached");
});

test("a command that a signal ends: 128 and its number", async ({ lab }) => {
  expect(await run(lab, [...quiet, "sh", "-c", "kill -9 $$"])).toMatchObject({ code: 137 });
});

test("options of the command are the command's", async ({ lab }) => {
  const { code, stdout } = await run(lab, [...quiet, "echo", "-f", "--version", "42"]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: "-f --version 42\n" });
});

test("without a command: the user's shell, as a login shell; without one /bin/sh", async ({
  lab,
}) => {
  for (const [shell, name] of [
    ["/bin/bash", "-/bin/bash"],
    ["", "-/bin/sh"],
  ] as const) {
    const input = "echo $0; exit 3\n";
    const { code, stdout } = await run(lab, quiet, { input, env: { SHELL: shell } });
    expect({ code, stdout }).toEqual({ code: 3, stdout: `${name}\n` });
  }
});

test("--config-net configures; without it the interface is there, and has no address", async ({
  lab,
}) => {
  const script =
    "ip -oneline link | grep -v ': lo:' | wc -l; ip -oneline -4 address | grep -c 'scope global'";
  const configured = await run(lab, [...quiet, "sh", "-c", script]);
  expect(configured.stdout).toBe("1\n1\n");
  const bare = await run(lab, ["--quiet", ...noPorts, "sh", "-c", script]);
  expect(bare.stdout).toBe("1\n0\n");
});

test("resolv.conf is the host's", async ({ lab }) => {
  const { stdout } = await run(lab, [...quiet, "cat", "/etc/resolv.conf"]);
  expect(stdout).toBe(await lab.host.user.output(["cat", "/etc/resolv.conf"]));
});

test("a command that is not there, or no program: one line, and the shell's status", async ({
  lab,
}) => {
  const missing = await run(lab, [...quiet, "no-such-command"]);
  expect(missing.code).toBe(127);
  expect(missing.stderr).toMatch(/^pasta: command no-such-command not found[^\n]*\n$/);
  const folder = await run(lab, [...quiet, "/etc"]);
  expect(folder.code).toBe(126);
  expect(folder.stderr).toMatch(/^pasta: command \/etc is not executable[^\n]*\n$/);
});

test("what it leaves behind ends with it, and SIGTERM to pasta reaches it", async ({ lab }) => {
  const left = await run(lab, [...quiet, "sh", "-c", "sleep 61.25 & exit 0"]);
  expect(left.code).toBe(0);
  expect((await lab.host.user.run(["pgrep", "-f", "^sleep 61.25"])).code).toBe(1);
  const script = "trap 'echo got it; exit 5' TERM; echo here; while :; do sleep 0.05; done";
  const pasta = lab.host.user.spawn([lab.host.program("pasta"), ...quiet, "sh", "-c", script]);
  await pasta.printed(/here/);
  pasta.kill("SIGTERM");
  expect(await pasta.ended(10_000)).toMatchObject({ code: 5, stdout: "here\ngot it\n" });
});
