import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { httpName, link, served } from "../lab/addresses.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace } from "../lab/namespace.ts";
import type { Process } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { taps } from "../lab/taps.ts";
import { userDirectory } from "./api-client.ts";
import { test as base, describe, expect } from "./fixture.ts";
import { servedPasst, startPasst } from "./passt.ts";

/** passt with clients that are no virtual machine (those: machine.test.ts): good ones, and some that lie. */
const test = base.runIf(isSlipway);

/** A client with a TAP in a namespace of its own, which has the address that DHCP would lease. */
async function connect(lab: Lab, path: string): Promise<[HeldNamespace, Process]> {
  const namespace = await lab.host.namespace();
  const client = namespace.spawn([await taps(lab), "stream", path, "tap0"]);
  await client.printed(/connected/);
  await namespace.shell(`
    ip link set tap0 mtu 9000 up
    ip address add ${link.host}/${link.length} dev tap0
    ip route add default via ${link.world}
  `);
  return [namespace, client];
}

/** Sends bytes to a socket, as a client of it, and returns when that has been disconnected. */
async function sendTo(lab: Lab, path: string, bytes: readonly number[]): Promise<void> {
  const octal = bytes.map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
  await lab.host.user.shell(`printf '${octal}' | socat -t 20 - UNIX-CONNECT:${path}`);
}

async function end(passt: Process): Promise<void> {
  passt.kill("SIGTERM");
  expect(await passt.ended(10_000)).toMatchObject({ code: 0 });
}

describe("passt --socket", () => {
  test("carries 20 MB each way, and serves the next client when one has gone", async ({ lab }) => {
    const [passt, path] = await servedPasst(lab);
    expect(await lab.host.user.output(["stat", "-c", "%a %F", path])).toBe("600 socket\n");
    const sha256 = await lab.world.http.addFile("stream", 20_000_000);
    for (const name of ["one", "two"]) {
      const [namespace, client] = await connect(lab, path);
      await using _ = namespace;
      await namespace.shell(`ping -c 1 -w 20 ${link.world} >&2`);
      const resolve = `--resolve ${httpName}:80:${served.http}`;
      const file = join(await userDirectory(lab), name);
      await namespace.shell(`curl -sS -m 60 ${resolve} -o ${file} http://${httpName}/stream`);
      expect((await namespace.output(["sha256sum", file])).slice(0, 64)).toBe(sha256);
      await namespace.shell(`curl -sS -m 60 ${resolve} -T ${file} http://${httpName}/up-${name}`);
      expect(await lab.world.http.sha256(`up-${name}`)).toBe(sha256);
      client.kill("SIGKILL");
      await client.exit;
    }
    await end(passt);
  });

  test.for([
    ["0", [0, 0, 0, 0]],
    ["13", [0, 0, 0, 13]],
    ["65,550", [0, 1, 0, 14]],
    ["4 GiB", [255, 255, 255, 255]],
  ] as const)(
    "a length of %s ends the client, and the next is served",
    async ([, bytes], { lab }) => {
      const [passt, path] = await servedPasst(lab);
      await sendTo(lab, path, [...bytes, ...Array.from({ length: 60 }, () => 0)]);
      await passt.printed(/the client sent what is no frame: disconnected/);
      const [namespace] = await connect(lab, path);
      await using _ = namespace;
      await namespace.output(["ping", "-c1", "-w20", link.world]);
      await end(passt);
    },
  );

  test("a client that ends in the middle of a frame costs the next one nothing", async ({
    lab,
  }) => {
    const [passt, path] = await servedPasst(lab);
    await lab.host.user.shell(`printf '\\000\\000\\005\\352abc' | socat -u - UNIX-CONNECT:${path}`);
    await passt.printed(/the client has disconnected/);
    const [namespace] = await connect(lab, path);
    await using _ = namespace;
    await namespace.output(["ping", "-c1", "-w20", link.world]);
    await end(passt);
  });

  test("one client is served at a time", async ({ lab }) => {
    const [passt, path] = await servedPasst(lab);
    const [first, client] = await connect(lab, path);
    await using _first = first;
    const [second] = await connect(lab, path);
    await using _second = second;
    await first.output(["ping", "-c1", "-w20", link.world]);
    expect((await second.run(["ping", "-c1", "-w1", link.world])).code).toBe(1);
    client.kill("SIGKILL");
    await second.output(["ping", "-c1", "-w20", link.world]);
    await end(passt);
  });

  test("with --one-off it ends with its client, and refuses others meanwhile", async ({ lab }) => {
    const [passt, path] = await servedPasst(lab, "--one-off");
    const [namespace, client] = await connect(lab, path);
    await using _ = namespace;
    await namespace.output(["ping", "-c1", "-w20", link.world]);
    const other = await lab.host.user.run([
      "socat",
      "-u",
      "OPEN:/dev/null",
      `UNIX-CONNECT:${path}`,
    ]);
    expect(other.stderr).toMatch(/refused/);
    client.kill("SIGKILL");
    expect(await passt.ended(10_000)).toMatchObject({ code: 0 });
  });

  test("a path that is in use, or no socket, is refused; a stale one is replaced", async ({
    lab,
  }) => {
    const [first, path] = await servedPasst(lab);
    for (const [at, message] of [
      [path, /is in use by another process/],
      ["/etc/passwd", /exists and is not a socket/],
    ] as const) {
      const { code, stderr } = await startPasst(lab, ["--socket", at]).ended(10_000);
      expect(stderr).toMatch(message);
      expect(code).toBe(1);
    }
    first.kill("SIGKILL");
    await first.exit;
    const again = startPasst(lab, ["--socket", path]);
    await again.printed(/is served/);
    await end(again);
  });
});

describe("passt --fd", () => {
  /** An ARP request for the gateway, framed. */
  const request = Buffer.from(
    "0000002affffffffffff020000000077080600010800060400010200000000" +
      "77c6336402000000000000c6336401",
    "hex",
  );

  test("serves the socket that it inherits, byte by byte if need be, and ends with it", async ({
    lab,
  }) => {
    const passt = startPasst(lab, ["--fd", "3"], { pipes: [3] });
    const socket = passt.pipe(3);
    const answer = once(socket, "data");
    for (const byte of request) {
      socket.write(Uint8Array.of(byte));
      await sleep(1);
    }
    const [data] = (await answer) as [Buffer];
    expect(data.readUInt32BE(0)).toBe(data.length - 4);
    expect(data.subarray(4, 10).toString("hex")).toBe("020000000077");
    socket.destroy();
    expect(await passt.ended(10_000)).toMatchObject({ code: 0 });
  });

  test("what is no connected stream socket is refused", async ({ lab }) => {
    const closed = await startPasst(lab, ["--fd", "9"]).ended(10_000);
    expect(closed.stderr).toMatch(/--fd 9 is not open/);
    const program = lab.host.program("passt");
    const file = await lab.host.user.run(["sh", "-c", `exec ${program} -f --fd 7 7</dev/null`]);
    expect(file.stderr).toMatch(/--fd 7 is not a socket: give a connected stream socket/);
    expect([closed.code, file.code]).toEqual([1, 1]);
  });
});

test("--vhost-user is refused in one line that says what there is instead", async ({ lab }) => {
  const { code, stderr } = await startPasst(lab, ["--vhost-user"]).ended(10_000);
  expect(stderr).toMatch(/^passt: .*vhost-user is not supported: .*-netdev stream.*\n$/);
  expect(code).toBe(1);
});
