import { setTimeout as delay } from "node:timers/promises";
import { served } from "../lab/addresses.ts";
import type { Lab } from "../lab/lab.ts";
import { isSlipway } from "../lab/product.ts";
import { type ApiGuest, apiGuest, ask, askText, userDirectory } from "./api-client.ts";
import { describe, expect, test } from "./fixture.ts";

// slirp4netns 1.2 passes these too: run them against it with SLIPWAY_LAB_PEER.
const ours = test.runIf(isSlipway);

async function withApi(lab: Lab, use: (api: ApiGuest) => Promise<void>): Promise<void> {
  await using api = await apiGuest(lab, {});
  await use(api);
}

function add(changes: object): object {
  const good = {
    proto: "tcp",
    host_addr: "0.0.0.0",
    host_port: 8070,
    guest_addr: "",
    guest_port: 80,
  };
  return { execute: "add_hostfwd", arguments: { ...good, ...changes } };
}

test("ports are added, listed and removed in slirp4netns's words", async ({ lab }) => {
  await withApi(lab, async ({ socket }) => {
    expect(await askText(lab, socket, JSON.stringify(add({})))).toBe('{"return":{"id":1}}');
    const list = async () => askText(lab, socket, '{"execute":"list_hostfwd"}');
    const entry = {
      id: 1,
      proto: "tcp",
      host_addr: "0.0.0.0",
      host_port: 8070,
      guest_addr: "10.0.2.100",
      guest_port: 80,
    };
    // Its manual has them in `return`, the program only beside it.
    expect(JSON.parse(await list())).toMatchObject({ entries: [entry] });
    if (isSlipway) expect(JSON.parse(await list())).toMatchObject({ return: { entries: [entry] } });
    expect(await askText(lab, socket, '{"execute":"remove_hostfwd","arguments":{"id":1}}\n')).toBe(
      '{"return":{}}',
    );
    expect(JSON.parse(await list())).toMatchObject({ entries: [] });
  });
});

test("a port that is in use, not permitted, or at a foreign address is refused with the reason", async ({
  lab,
}) => {
  await withApi(lab, async ({ socket }) => {
    await using taken = await lab.host.agent.listen("0.0.0.0");
    const desc = "bad request: add_hostfwd: slirp_add_hostfwd failed";
    for (const [changes, reason] of [
      [{ host_port: taken.endpoint.port }, "EADDRINUSE"],
      [{ host_port: 80 }, "EACCES"],
      [{ host_addr: served.http }, "EADDRNOTAVAIL"],
    ] as const) {
      // Fields that slirp4netns does not have are additional.
      const error = isSlipway ? { desc, reason } : { desc };
      expect(await ask(lab, socket, add(changes))).toEqual({ error });
    }
  });
});

describe("a bad request is answered by an error", () => {
  const bad: readonly [string, string | object, string][] = [
    ["no JSON", "hello", "cannot parse JSON"],
    ["no execute", "{}", "no execute found"],
    ["an unknown execute", { execute: "fly" }, "unknown execute"],
    ["proto", add({ proto: "sctp" }), "add_hostfwd: bad arguments.proto"],
    ["host_addr", add({ host_addr: "1.2.3" }), "add_hostfwd: bad arguments.host_addr"],
    ["host_port", add({ host_port: 0 }), "add_hostfwd: bad arguments.host_port"],
    ["guest_addr", add({ guest_addr: "x" }), "add_hostfwd: bad arguments.guest_addr"],
    ["guest_port", add({ guest_port: 0 }), "add_hostfwd: bad arguments.guest_port"],
    [
      "id",
      { execute: "remove_hostfwd", arguments: { id: 77 } },
      "remove_hostfwd: bad arguments.id",
    ],
    ["no id", { execute: "remove_hostfwd" }, "remove_hostfwd: bad arguments.id"],
    ["too long", `{"execute":"${"x".repeat(5_000)}"}`, "too large message"],
  ];
  test.for(bad)("%s", async ([, request, desc], { lab }) => {
    await withApi(lab, async ({ socket }) => {
      const text = typeof request === "string" ? request : JSON.stringify(request);
      const error = { desc: `bad request: ${desc}` };
      expect(JSON.parse(await askText(lab, socket, text))).toEqual({ error });
    });
  });
});

ours("arguments may be missing: slirp4netns 1.2 dies of that", async ({ lab }) => {
  await withApi(lab, async ({ socket }) => {
    expect(await ask(lab, socket, { execute: "add_hostfwd" })).toEqual({
      error: { desc: "bad request: add_hostfwd: bad arguments.proto" },
    });
  });
});

ours(
  "a client that says nothing is dropped after a time, and keeps nobody waiting",
  async ({ lab }) => {
    await withApi(lab, async ({ socket }) => {
      const silent = lab.host.user.spawn(["socat", "-u", `UNIX-CONNECT:${socket}`, "STDOUT"]);
      expect(await ask(lab, socket, { execute: "list_hostfwd" })).toMatchObject({ entries: [] });
      expect((await silent.ended(10_000)).stdout).toBe("");
    });
  },
);

ours("a client that sends byte by byte and does not end its side is answered", async ({ lab }) => {
  await withApi(lab, async ({ socket }) => {
    const client = lab.host.user.spawn(["socat", "STDIO", `UNIX-CONNECT:${socket}`], {
      stdin: "pipe",
    });
    for (const byte of '{"execute":"list_hostfwd"}') {
      client.child.stdin?.write(byte);
      await delay(1);
    }
    await client.printed(/"entries":\[\]/);
    await client.ended(10_000);
  });
});

ours("query_status tells what the guest's network is", async ({ lab }) => {
  await withApi(lab, async ({ guest, socket }) => {
    expect(await ask(lab, socket, { execute: "query_status" })).toMatchObject({
      return: {
        version: expect.stringMatching(/^\d/),
        mtu: 1500,
        networks: [{ network: "10.0.2.0/24", guest: "10.0.2.100", gateway: "10.0.2.2" }],
        statistics: { tcpFlows: 0, tcpBytesFromGuest: 0 },
        api: { clients: 1, requests: 1, dropped: 0 },
        pid: guest.helper.pid,
        target: guest.namespace.pid,
      },
    });
    // Nobody answers for that address.
    await guest.run(["ping", "-c1", "-W1", "10.0.2.77"]);
    await guest.run(["curl", "-sS", "-m", "20", "http://world.example/"]);
    const { return: status } = (await ask(lab, socket, { execute: "query_status" })) as {
      return: { statistics: { tcpBytesToGuest: number }; drops: Record<string, number> };
    };
    expect(status.statistics.tcpBytesToGuest).toBeGreaterThan(0);
    expect(status.drops["arp-not-for-us"]).toBeGreaterThan(0);
  });
});

ours("set_log_level changes what is logged from then on", async ({ lab }) => {
  await withApi(lab, async ({ guest, socket }) => {
    await ask(lab, socket, { execute: "list_hostfwd" });
    expect(guest.helper.stderr).toBe("");
    const level = { execute: "set_log_level", arguments: { level: "debug" } };
    expect(await ask(lab, socket, level)).toEqual({ return: {} });
    await ask(lab, socket, { execute: "list_hostfwd" });
    await guest.helper.printed(/^slirp4netns: debug: API: "list_hostfwd"$/m);
  });
});

describe("the socket", () => {
  ours("is the user's alone, and goes with the helper", async ({ lab }) => {
    const { guest, socket } = await apiGuest(lab, {});
    expect(await lab.host.user.output(["stat", "-c", "%a %F", socket])).toBe("600 socket\n");
    await guest.close();
    expect((await lab.host.user.run(["test", "-e", socket])).code).toBe(1);
  });

  ours("replaces one that a killed helper has left", async ({ lab }) => {
    await using api = await apiGuest(lab, {});
    const { guest, socket } = api;
    guest.helper.kill("SIGKILL");
    await guest.helper.exit;
    await using namespace = await lab.host.namespace();
    const process = lab.host.helper(["-c", "-r3", "-a", socket, `${namespace.pid}`, "tap0"], {
      pipes: [3],
    });
    await process.printed(/API Socket: {6}\//);
    expect(await ask(lab, socket, { execute: "list_hostfwd" })).toMatchObject({ entries: [] });
    process.kill("SIGTERM");
    await process.ended(10_000);
  });

  ours.for([
    ["where another helper listens", (socket: string) => socket, /is in use by another process/],
    ["in a missing directory", (socket: string) => `${socket}/none/x`, /ENOTDIR|does not exist/],
    ["that is too long", (socket: string) => socket + "x".repeat(100), /too long/],
    ["that is a file", () => "/etc/passwd", /is not a socket/],
    ["that is empty", () => "", /--api-socket is empty/],
  ] as const)("at a path %s is refused", async ([, pathOf, message], { lab }) => {
    await withApi(lab, async ({ socket }) => {
      await using namespace = await lab.host.namespace();
      const path = pathOf(socket);
      const process = lab.host.helper(["-c", "-a", path, `${namespace.pid}`, "tap0"]);
      const { code, stderr } = await process.ended(10_000);
      expect(stderr).toMatch(message);
      expect(code).toBe(1);
      expect(await ask(lab, socket, { execute: "list_hostfwd" })).toHaveProperty("return");
    });
  });
});

ours("many clients at once are served while a transfer runs", async ({ lab }) => {
  await withApi(lab, async ({ guest, socket }) => {
    const sha256 = await lab.world.http.addFile("api-load", 50_000_000);
    const transfer = guest.run(["sh", "-c", "curl -sS http://world.example/api-load | sha256sum"]);
    const directory = await userDirectory(lab);
    const answers = await lab.host.user.shell(`
      for i in $(seq 100); do
        echo '{"execute":"list_hostfwd"}' | socat -t30 STDIO UNIX-CONNECT:${socket} > ${directory}/answer.$i &
      done
      wait
      cat ${directory}/answer.*
    `);
    expect(answers).toBe('{"return":{"entries":[]},"entries":[]}'.repeat(100));
    expect((await transfer).stdout.slice(0, 64)).toBe(sha256);
  });
});
