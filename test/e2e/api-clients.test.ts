import { once } from "node:events";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { Connector } from "../lab/connector.ts";
import type { GuestOptions } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import { isSlipway } from "../lab/product.ts";
import { type ApiGuest, apiGuest, ask } from "./api-client.ts";
import { test as base, describe, expect } from "./fixture.ts";

// Misbehaving clients, or very many. slirp4netns serves one after the other.
const test = base.runIf(isSlipway);

const LIST = '{"execute":"list_hostfwd"}';
const NOTHING = '{"return":{"entries":[]},"entries":[]}';

/** A client in this process, which can do what no ordinary program does. */
async function client({ host }: Lab, { socket }: ApiGuest): Promise<Socket> {
  const connector = connectors.get(host) ?? Connector.start(host.user, host.stage);
  connectors.set(host, connector);
  return connector.connect(socket);
}

const connectors = new Map<Lab["host"], Connector>();

/** The answer up to the end of the connection, even if that is a reset. */
async function answerTo(socket: Socket): Promise<string> {
  let answer = "";
  socket.on("data", (part) => {
    answer += part;
  });
  socket.on("error", () => {}).on("end", () => socket.destroy());
  await once(socket, "close");
  return answer;
}

async function withApi(
  lab: Lab,
  options: GuestOptions,
  use: (api: ApiGuest) => Promise<void>,
): Promise<void> {
  await using api = await apiGuest(lab, options);
  const before = api.guest.helper.openDescriptors();
  await use(api);
  // The last client may not have been closed yet.
  await expect.poll(() => api.guest.helper.openDescriptors()).toBe(before);
}

function range(count: number): object {
  const ports = { host_addr: "127.0.0.1", host_port: 20_000, guest_port: 20_000 };
  return { execute: "add_hostfwd", arguments: { proto: "tcp", ...ports, count } };
}

const gone = {
  execute: "remove_hostfwd",
  arguments: { proto: "tcp", host_port: 20_000, count: 4096 },
};

test("200 clients that connect before the first asks are all served", async ({ lab }) => {
  await withApi(lab, {}, async (api) => {
    const sockets = await Promise.all(Array.from({ length: 200 }, () => client(lab, api)));
    const answers = sockets.map((socket) => text(socket));
    for (const socket of sockets) socket.end(LIST);
    expect(await Promise.all(answers)).toEqual(Array(200).fill(NOTHING));
  });
});

test("above the limit the oldest client is closed without an answer, and the newest is served", async ({
  lab,
}) => {
  // Few, as each has 5 s to ask.
  const most = 8;
  await withApi(lab, { options: ["--max-api-clients", `${most}`] }, async (api) => {
    const oldest = await client(lab, api);
    // It may end before the test knows that the newest is connected.
    const end = once(oldest.resume(), "end");
    const others: Socket[] = [];
    for (let count = 0; count < most; count += 1) others.push(await client(lab, api));
    await end;
    const asking = [others[0], others[most - 1]];
    const answers = asking.map((socket) => text(socket));
    for (const socket of asking) socket.end(LIST);
    expect(await Promise.all(answers)).toEqual([NOTHING, NOTHING]);
    for (const socket of [oldest, ...others]) socket.destroy();
  });
});

describe("an invalid request is answered by an error, and the next client is served", () => {
  const bad: readonly [string, string | Uint8Array, string][] = [
    ["nothing at all", "", "cannot parse JSON"],
    ["half a request", LIST.slice(0, 12), "cannot parse JSON"],
    ["an array", "[1]", "no execute found"],
    ["a number as execute", '{"execute":1}', "no execute found"],
    ["a name of JavaScript's own", '{"execute":"__proto__"}', "unknown execute"],
    ["bytes that are no text", Uint8Array.of(0xff, 0x00, 0x7d), "cannot parse JSON"],
    ["deep brackets", `${"[".repeat(2_000)}${"]".repeat(2_000)}`, "no execute found"],
    [
      "null arguments",
      '{"execute":"add_hostfwd","arguments":null}',
      "add_hostfwd: bad arguments.proto",
    ],
    [
      "arguments in an array",
      '{"execute":"add_hostfwd","arguments":[]}',
      "add_hostfwd: bad arguments.proto",
    ],
    ["a port beyond", addWith('"host_port":65536'), "add_hostfwd: bad arguments.host_port"],
    ["half a port", addWith('"host_port":80.5'), "add_hostfwd: bad arguments.host_port"],
    [
      "a range beyond",
      addWith('"host_port":65000,"guest_port":1,"count":600'),
      "add_hostfwd: bad arguments.count",
    ],
    [
      "too many ports",
      addWith('"host_port":1,"guest_port":1,"count":4097'),
      "add_hostfwd: bad arguments.count",
    ],
    [
      "an unknown level",
      '{"execute":"set_log_level","arguments":{"level":"loud"}}',
      "set_log_level: bad arguments.level",
    ],
    ["4096 bytes", `{"execute":"${"x".repeat(4_096 - 14)}"}`, "too large message"],
    ["a megabyte", "x".repeat(1_000_000), "too large message"],
  ];

  function addWith(entries: string): string {
    return `{"execute":"add_hostfwd","arguments":{"proto":"tcp",${entries}}}`;
  }

  test("for every kind of invalid request", async ({ lab }) => {
    await withApi(lab, {}, async (api) => {
      for (const [name, request, desc] of bad) {
        const socket = await client(lab, api);
        const answer = answerTo(socket);
        socket.end(request);
        const error = { desc: `bad request: ${desc}` };
        expect(JSON.parse(await answer), name).toEqual({ error });
        expect(await ask(lab, api.socket, JSON.parse(LIST)), name).toMatchObject({ entries: [] });
      }
    });
  });
});

test("a client that does not read its long answer is dropped after a time limit, and delays nobody", async ({
  lab,
}) => {
  await withApi(lab, {}, async (api) => {
    const count = 3_000;
    expect(await ask(lab, api.socket, range(count))).toMatchObject({ return: { id: 1 } });
    const slow = await client(lab, api);
    slow.write(LIST);
    const { entries } = (await ask(lab, api.socket, JSON.parse(LIST))) as { entries: object[] };
    expect(entries).toHaveLength(count);
    const dropped = async () => {
      const status = await ask(lab, api.socket, { execute: "query_status" });
      return (status as { return: { api: { dropped: number } } }).return.api.dropped;
    };
    await expect.poll(dropped, { interval: 500 }).toBe(1);
    const answer = await answerTo(slow);
    expect(() => JSON.parse(answer)).toThrow();
    expect(answer).toMatch(/^\{"return":\{"entries":\[\{"id":1,/);
    expect(await ask(lab, api.socket, gone)).toEqual({ return: {} });
  });
});

test("a range with one port taken, or whose client disconnects, is not opened in part", async ({
  lab,
}) => {
  await withApi(lab, {}, async (api) => {
    const taken = await lab.host.agent.listen("127.0.0.1", 20_150);
    const error = {
      desc: "bad request: add_hostfwd: slirp_add_hostfwd failed",
      reason: "EADDRINUSE",
    };
    expect(await ask(lab, api.socket, range(200))).toEqual({ error });
    await taken.close();
    const leaving = await client(lab, api);
    leaving.write(JSON.stringify(range(2_000)), () => leaving.destroy());
    await once(leaving, "close");
    await expect.poll(() => ask(lab, api.socket, JSON.parse(LIST))).toMatchObject({ entries: [] });
    for (const port of [20_000, 20_199, 20_300]) {
      await (await lab.host.agent.listen("127.0.0.1", port)).close();
    }
    const answer = (await ask(lab, api.socket, range(200))) as { return: { ids: number[] } };
    expect(answer.return.ids).toHaveLength(200);
    expect(await ask(lab, api.socket, gone)).toEqual({ return: {} });
  });
});

test("a flood of requests does not disturb a transfer", async ({ lab, annotate }) => {
  await withApi(lab, {}, async (api) => {
    const bytes = 200_000_000;
    const sha256 = await lab.world.http.addFile("api-flood", bytes);
    const fetch = async (): Promise<number> => {
      const begin = performance.now();
      const command = "curl -sS http://world.example/api-flood | sha256sum";
      const { stdout } = await api.guest.run(["sh", "-c", command], { timeoutMs: 60_000 });
      expect(stdout.slice(0, 64)).toBe(sha256);
      return performance.now() - begin;
    };
    const alone = await fetch();
    let asked = 0;
    let isOver = false;
    const flood = Array.from({ length: 8 }, async (_, index) => {
      const execute = ["list_hostfwd", "list_flows", "query_status"][index % 3];
      while (!isOver) {
        const socket = await client(lab, api);
        socket.end(JSON.stringify({ execute }));
        expect(JSON.parse(await text(socket))).toHaveProperty("return");
        asked += 1;
      }
    });
    const flooded = await fetch();
    isOver = true;
    await Promise.all(flood);
    const rate = Math.round(asked / (flooded / 1000));
    await annotate(
      `${(alone / flooded).toFixed(2)} of its rate beside ${rate} requests/s`,
      "measured",
    );
    expect(asked).toBeGreaterThan(0);
  });
});
