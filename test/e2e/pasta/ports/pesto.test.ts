import { join } from "node:path";
import { link } from "../../../lab/addresses.ts";
import type { Lab } from "../../../lab/lab.ts";
import type { Outcome } from "../../../lab/process.ts";
import { describe, expect, test } from "../../fixture.ts";
import { Forwarded, listening } from "./forwarded.ts";

let sockets = 0;

function newSocket(lab: Lab): string {
  sockets += 1;
  return join(lab.directory, `pesto-${sockets}.sock`);
}

function pesto(lab: Lab, ...args: readonly string[]): Promise<Outcome> {
  return lab.host.user.run([lab.host.program("pesto"), ...args], { timeoutMs: 30_000 });
}

const OK = { code: 0, stdout: "", stderr: "" };

describe("pesto", () => {
  test("adds and deletes as podman asks, as often as it asks, and both are idempotent", async ({
    lab,
  }) => {
    const socket = newSocket(lab);
    await using guest = await Forwarded.start(lab, ["-c", socket]);
    expect(await lab.host.user.output(["stat", "-c", "%a", socket])).toBe("600\n");
    await guest.agent.echo("::", 8501);
    const before = guest.openDescriptors;
    const ports = ["-t", "0.0.0.0/8501", "-t", "[::]/8501", "-u", "127.0.0.1/8553-8560"];
    const own = async () =>
      (await listening(lab.host.user)).filter((each) => /:85\d\d$/.test(each));
    for (const _again of [1, 2]) {
      expect(await pesto(lab, "--add", ...ports, socket)).toMatchObject(OK);
      expect(await own()).toHaveLength(10);
    }
    for (const address of [link.host, link.host6]) {
      await using client = await lab.world.agent.connect({ address, port: 8501 });
      await client.write("x");
      expect(await client.read(1)).toBe("x");
    }
    const shown = await pesto(lab, socket);
    expect(shown.stdout).toContain("-t 0.0.0.0/8501\n-t [::]/8501\n-u 127.0.0.1/8553\n");
    for (const _again of [1, 2]) {
      expect(await pesto(lab, "--delete", ...ports, socket)).toMatchObject(OK);
      expect(await own()).toEqual([]);
    }
    await expect.poll(() => guest.openDescriptors).toBeLessThan(before + 5);
  });

  test("changes are carried out all or none", async ({ lab }) => {
    const socket = newSocket(lab);
    await using _guest = await Forwarded.start(lab, ["-c", socket, "-t", "8511"]);
    await using _taken = await lab.host.agent.listen("198.51.100.2", 8513);
    const { code, stderr } = await pesto(
      lab,
      ...["--delete", "-t", "8511", "--add", "-t", "8512", "-t", "198.51.100.2/8513", socket],
    );
    expect([code, stderr]).toEqual([
      1,
      "pesto: Failed to bind port 8513 (Address already in use) for option '-t 198.51.100.2/8513'\n",
    ]);
    const own = (await listening(lab.host.user)).filter((each) => / \*:85\d\d$/.test(each));
    expect(own).toEqual(["tcp *:8511"]);
  });

  test("host ports and auto, after the sandbox is entered", async ({ lab }) => {
    const socket = newSocket(lab);
    await using guest = await Forwarded.start(lab, ["-c", socket]);
    const added = ["-T", "89:8521", "-t", "auto", "-t", "%lo/8522"];
    expect(await pesto(lab, "--add", ...added, socket)).toMatchObject(OK);
    await using _server = await guest.agent.listen("0.0.0.0", 8523);
    const outside = () => listening(lab.host.user);
    await expect.poll(outside, { timeout: 15_000 }).toContain("tcp *:8523");
    expect(await outside()).toContain("tcp *%lo:8522");
    expect(await listening(guest.namespace)).toContain("tcp 127.0.0.1:89");
    expect(await pesto(lab, "--clear", "HOST", "--clear", "SPLICE", socket)).toMatchObject(OK);
    const own = async () => (await outside()).filter((each) => /:85\d\d$/.test(each));
    await expect.poll(own, { timeout: 15_000 }).toEqual([]);
    expect(await listening(guest.namespace)).toEqual(["tcp 0.0.0.0:8523"]);
  });

  test("ports that lead to a machine behind the guest are shown so that they can be deleted", async ({
    lab,
  }) => {
    const socket = newSocket(lab);
    await using _guest = await Forwarded.start(lab, ["-c", socket]);
    const ports = ["-t", "0.0.0.0/8551:10.89.0.2/80", "-u", "[::]/8551:[fd00::2]/8551"];
    expect(await pesto(lab, "--add", ...ports, socket)).toMatchObject(OK);
    const { stdout } = await pesto(lab, socket);
    expect(stdout).toBe("-t 0.0.0.0/8551:10.89.0.2/80\n-u [::]/8551:[fd00::2]/8551\n");
    const shown = stdout.trimEnd().split(/[ \n]/);
    expect(await pesto(lab, "--delete", ...shown, "--show", socket)).toMatchObject({
      stdout: `${stdout}now:\n`,
    });
  });

  test("what is wrong, and nobody at the path, is one line", async ({ lab }) => {
    const socket = newSocket(lab);
    await using _guest = await Forwarded.start(lab, ["-c", socket]);
    const wrong = await pesto(lab, "--add", "-t", "8x", socket);
    expect([wrong.code, wrong.stderr]).toEqual([
      1,
      expect.stringMatching(/^pesto: Invalid port specifier 8x.*\n$/),
    ]);
    const nobody = await pesto(lab, "--add", "-t", "8531", `${socket}.nobody`);
    expect([nobody.code, nobody.stderr]).toEqual([
      1,
      expect.stringMatching(/^pesto: .*nobody.*\n$/),
    ]);
    const early = await pesto(lab, socket, "--add", "-t", "8531");
    expect([early.code, early.stderr]).toEqual([
      1,
      expect.stringMatching(/^pesto: the path comes last.*\n$/),
    ]);
    expect((await pesto(lab, "--version")).code).toBe(0);
  });

  test("1,000 changes leave nothing, beside clients that stay silent or send nonsense", async ({
    lab,
  }) => {
    const socket = newSocket(lab);
    await using guest = await Forwarded.start(lab, ["-c", socket]);
    const before = guest.openDescriptors;
    const clients = ["", "", '{"execute":"pesto","argu', "{".repeat(100_000)].map((text) => {
      const client = lab.host.user.spawn(["socat", "STDIO", `UNIX-CONNECT:${socket}`], {
        stdin: "pipe",
      });
      client.child.stdin?.write(text);
      return client;
    });
    await expect.poll(() => guest.openDescriptors).toBeGreaterThan(before);
    const program = lab.host.program("pesto");
    await lab.host.user.shell(`
      for i in $(seq 500); do
        ${program} --add -t 8541 -u 127.0.0.1/8541 ${socket}
        ${program} --delete -t 8541 -u 127.0.0.1/8541 ${socket}
      done
    `);
    for (const each of clients) each.kill("SIGKILL");
    await expect.poll(() => guest.openDescriptors, { timeout: 10_000 }).toBeLessThan(before + 5);
  });
});
