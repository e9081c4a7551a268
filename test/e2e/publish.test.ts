import { setTimeout as delay } from "node:timers/promises";
import { link, served } from "../lab/addresses.ts";
import type { Guest } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import type { Namespace } from "../lab/namespace.ts";
import { isSlipway } from "../lab/product.ts";
import { addForward, apiGuest, ask, userDirectory } from "./api-client.ts";
import { endOf, withAttached } from "./attached.ts";
import { expectExchange } from "./exchange.ts";
import { faultyHelper } from "./faulty-helper.ts";
import { test as base, describe, expect } from "./fixture.ts";

const test = base.runIf(isSlipway);

/** Who connects, where, and as whom the guest sees it. */
const clients = [
  { name: "a client of the world", from: "world", any: "0.0.0.0", at: link.host, seen: link.world },
  { name: "a client of the host", from: "host", any: "0.0.0.0", at: "127.0.0.1", seen: "10.0.2.2" },
  { name: "a client of the world", from: "world", any: "::", at: link.host6, seen: link.world6 },
  { name: "a client of the host", from: "host", any: "::", at: "::1", seen: "fd00::2" },
] as const;

const guests = { "0.0.0.0": "10.0.2.100", "::": "fd00::64" } as const;

function agentOf(lab: Lab, from: "world" | "host") {
  return from === "world" ? lab.world.agent : lab.host.agent;
}

describe("a published TCP port", () => {
  test.for(clients)("$name reaches $at and appears as $seen", async (client, { lab }) => {
    await using api = await apiGuest(lab, { ipv6: true, hostLoopback: false });
    const { guest, socket } = api;
    const server = await (await guest.agent()).listen(guests[client.any]);
    const guestPort = server.endpoint.port;
    await addForward(lab, socket, {
      proto: "tcp",
      host_addr: client.any,
      host_port: 8080,
      guestPort,
    });
    const outside = await agentOf(lab, client.from).connect({ address: client.at, port: 8080 });
    const inside = await server.accept();
    expect(inside.client.address).toBe(client.seen);
    if (client.from === "world") expect(inside.client.port).toBe(outside.client.port);
    await expectExchange(outside, inside);
  });

  test.for([1_500, 65_520])("carries files both ways at MTU %i", async (mtu, { lab }) => {
    await using api = await apiGuest(lab, { mtu });
    const { guest, socket } = api;
    const server = await (await guest.agent()).listen("0.0.0.0");
    const guestPort = server.endpoint.port;
    await addForward(lab, socket, {
      proto: "tcp",
      host_addr: "0.0.0.0",
      host_port: 8081,
      guestPort,
    });
    const outside = await lab.world.agent.connect({ address: link.host, port: 8081 });
    const inside = await server.accept();
    const up = inside.receive();
    const sentUp = await outside.send(20_000_000);
    await outside.end();
    expect(await up).toEqual(sentUp);
    const down = outside.receive();
    const sentDown = await inside.send(20_000_000);
    await inside.end();
    expect(await down).toEqual(sentDown);
  });

  test("a guest that has sent nothing yet is reached", async ({ lab }) => {
    await using api = await apiGuest(lab, {});
    const { guest, socket } = api;
    const server = await (await guest.agent()).listen("0.0.0.0");
    await guest.namespace.shell("ip neigh flush dev tap0");
    const guestPort = server.endpoint.port;
    await addForward(lab, socket, {
      proto: "tcp",
      host_addr: "127.0.0.1",
      host_port: 8082,
      guestPort,
    });
    const outside = await lab.host.agent.connect({ address: "127.0.0.1", port: 8082 });
    await outside.write("x");
    expect(await (await server.accept()).read(1)).toBe("x");
  });

  test("a client is reset if nobody listens in the guest", async ({ lab }) => {
    await using api = await apiGuest(lab, {});
    const { socket } = api;
    await addForward(lab, socket, {
      proto: "tcp",
      host_addr: "0.0.0.0",
      host_port: 8083,
      guestPort: 9,
    });
    const to = { address: link.host, port: 8083 };
    expect(await endOf(lab.world.agent, to)).toBe("ECONNRESET");
  });

  test("a client is reset if the guest does not answer for its address", async ({ lab }) => {
    await using api = await apiGuest(lab, {});
    const { socket } = api;
    const forward = { proto: "tcp", host_addr: "0.0.0.0", host_port: 8084, guestPort: 80 } as const;
    await addForward(lab, socket, { ...forward, guest_addr: "10.0.2.77" });
    const outside = await lab.world.agent.connect({ address: link.host, port: 8084 });
    expect(await outside.closed()).toBe("ECONNRESET");
  });

  test("a guest that answers no SYN does not use up all descriptors", async ({ lab, annotate }) => {
    await using api = await apiGuest(lab, {});
    const { guest, socket } = api;
    const server = await (await guest.agent()).listen("0.0.0.0");
    const guestPort = server.endpoint.port;
    const forward = { proto: "tcp", host_addr: "0.0.0.0", host_port: 8079, guestPort } as const;
    await addForward(lab, socket, forward);
    await guest.namespace.shell(`ip route add blackhole ${link.world}/32`);
    const endpoint = { address: link.host, port: 8079 };
    // Those above the limit are reset, some while they connect.
    const attempts = Array.from({ length: 1_200 }, () => lab.world.agent.connect(endpoint));
    const outcomes = await Promise.allSettled(attempts);
    await expect.poll(() => guest.helper.openDescriptors()).toBeLessThan(1_100);
    await annotate(`${guest.helper.openDescriptors()} descriptors`, "measured");
    const clients = outcomes.filter((outcome) => outcome.status === "fulfilled");
    await Promise.all(clients.map(({ value }) => value.reset()));
    await expect.poll(() => guest.helper.openDescriptors()).toBeLessThan(100);
    await guest.namespace.shell(`ip route delete blackhole ${link.world}/32`);
    const outside = await lab.world.agent.connect(endpoint);
    await outside.write("x");
    expect(await (await server.accept()).read(1)).toBe("x");
  });

  test("RST passes both ways", async ({ lab }) => {
    await using api = await apiGuest(lab, {});
    const { guest, socket } = api;
    const server = await (await guest.agent()).listen("0.0.0.0");
    const guestPort = server.endpoint.port;
    await addForward(lab, socket, {
      proto: "tcp",
      host_addr: "0.0.0.0",
      host_port: 8085,
      guestPort,
    });
    for (const who of ["outside", "inside"] as const) {
      const outside = await lab.world.agent.connect({ address: link.host, port: 8085 });
      const inside = await server.accept();
      await outside.write("x");
      expect(await inside.read(1)).toBe("x");
      const [first, second] = who === "outside" ? [outside, inside] : [inside, outside];
      await first.reset();
      expect(await second.closed()).toBe("ECONNRESET");
    }
  });

  test("200 clients at once reach one port of the guest through several ports", async ({ lab }) => {
    await using api = await apiGuest(lab, {});
    const { guest, socket } = api;
    const { port: guestPort } = await (await guest.agent()).echo("0.0.0.0");
    for (const host_port of [8086, 8087]) {
      await addForward(lab, socket, { proto: "tcp", host_addr: "0.0.0.0", host_port, guestPort });
    }
    const answers = Array.from({ length: 200 }, async (_, index) => {
      await using connection = await lab.world.agent.connect({
        address: link.host,
        port: 8086 + (index % 2),
      });
      await connection.write(`${index}`);
      return await connection.read(`${index}`.length);
    });
    expect(await Promise.all(answers)).toEqual(
      Array.from({ length: 200 }, (_, index) => `${index}`),
    );
  });

  test("nginx in the guest serves curl in the world", async ({ lab }) => {
    await using api = await apiGuest(lab, { ipv6: true });
    const { guest, socket } = api;
    const log = await nginx(lab, guest);
    for (const host_addr of ["0.0.0.0", "::"]) {
      await addForward(lab, socket, { proto: "tcp", host_addr, host_port: 8088, guestPort: 8000 });
    }
    for (const at of [link.host, `[${link.host6}]`]) {
      const body = await lab.world.root.output(["curl", "-sS", "-m", "10", `http://${at}:8088/`]);
      expect(body).toBe("hello from the guest");
    }
    expect((await guest.namespace.output(["cat", log])).trim().split("\n")).toEqual([
      link.world,
      link.world6,
    ]);
  });
});

describe("a published UDP port", () => {
  test.for(clients)(
    "$name asks $at, appears as $seen and is answered from there",
    async (client, { lab }) => {
      await using api = await apiGuest(lab, { ipv6: true, hostLoopback: false });
      const { guest, socket } = api;
      const server = await (await guest.agent()).udp(guests[client.any]);
      const guestPort = server.endpoint.port;
      await addForward(lab, socket, {
        proto: "udp",
        host_addr: client.any,
        host_port: 8060,
        guestPort,
      });
      const own = client.from === "world" ? client.seen : client.at;
      const outside = await agentOf(lab, client.from).udp(own);
      for (const word of ["first", "second", "third"]) {
        await outside.send({ address: client.at, port: 8060 }, word);
        const { text, from } = await server.receive();
        expect(text).toBe(word);
        expect(from).toEqual({ address: client.seen, port: outside.endpoint.port });
        await server.send(from, `${word} answer`);
        expect(await outside.receive()).toEqual({
          text: `${word} answer`,
          from: { address: client.at, port: 8060 },
        });
      }
    },
  );

  test("several ports lead to one of the guest, for a single client too", async ({ lab }) => {
    await using api = await apiGuest(lab, {});
    const { guest, socket } = api;
    const { port: guestPort } = await (await guest.agent()).echoUdp("0.0.0.0");
    for (const host_port of [8061, 8062]) {
      await addForward(lab, socket, { proto: "udp", host_addr: "0.0.0.0", host_port, guestPort });
    }
    const outside = await lab.world.agent.udp(link.world);
    for (const port of [8061, 8062, 8061]) {
      await outside.send({ address: link.host, port }, `to ${port}`);
      const answer = { text: `to ${port}`, from: { address: link.host, port } };
      expect(await outside.receive()).toEqual(answer);
    }
  });

  test("many clients at once get their own answers", async ({ lab }) => {
    await using api = await apiGuest(lab, {});
    const { guest, socket } = api;
    const { port: guestPort } = await (await guest.agent()).echoUdp("0.0.0.0");
    await addForward(lab, socket, {
      proto: "udp",
      host_addr: "0.0.0.0",
      host_port: 8063,
      guestPort,
    });
    const sockets = await Promise.all(
      Array.from({ length: 50 }, () => lab.world.agent.udp(link.world)),
    );
    const answers = sockets.map(async (each, index) => {
      await each.send({ address: link.host, port: 8063 }, `${index}`);
      return (await each.receive()).text;
    });
    expect(await Promise.all(answers)).toEqual(sockets.map((_, index) => `${index}`));
  });

  test("clients that arrive while another's socket is made get their own answers", async ({
    lab,
  }) => {
    const helper = await faultyHelper(lab, { TUNTAP2_CONNECT_DELAY: "100" });
    await using api = await apiGuest(lab, { helper });
    const { guest, socket } = api;
    const { port: guestPort } = await (await guest.agent()).echoUdp("0.0.0.0");
    const forward = { proto: "udp", host_addr: "0.0.0.0", host_port: 8067, guestPort } as const;
    await addForward(lab, socket, forward);
    const clients = [lab.world.agent, lab.host.agent, lab.world.agent, lab.host.agent];
    const answers = clients.map(async (agent, index) => {
      const from = agent === lab.world.agent ? link.world : link.host;
      const each = await agent.udp(from);
      await delay(30 * index);
      await each.send({ address: link.host, port: 8067 }, `${index}`);
      return (await each.receive()).text;
    });
    expect(await Promise.all(answers)).toEqual(clients.map((_, index) => `${index}`));
  });

  test("an answer leaves from the address that was asked, of several", async ({ lab }) => {
    await using api = await apiGuest(lab, {});
    const { guest, socket } = api;
    const { port: guestPort } = await (await guest.agent()).echoUdp("0.0.0.0");
    const forward = { proto: "udp", host_addr: "0.0.0.0", host_port: 8065, guestPort } as const;
    await addForward(lab, socket, forward);
    const second = "198.51.100.77";
    await lab.host.root.shell(`ip address add ${second}/${link.length} dev eth0`);
    const outside = await lab.world.agent.udp(link.world);
    for (const address of [second, link.host]) {
      await outside.send({ address, port: 8065 }, "x");
      expect((await outside.receive()).from).toEqual({ address, port: 8065 });
    }
    await lab.host.root.shell(`ip address delete ${second}/${link.length} dev eth0`);
  });

  test("link-local clients are answered on their link, and appear as the gateway", async ({
    lab,
  }) => {
    await using api = await apiGuest(lab, { ipv6: true });
    const { guest, socket } = api;
    const server = await (await guest.agent()).udp("fd00::64");
    const { port: guestPort } = server.endpoint;
    const forward = { proto: "udp", host_addr: "::", host_port: 8066, guestPort } as const;
    await addForward(lab, socket, forward);
    const asked = `${await linkLocal(lab.host.root, "eth0")}%host`;
    const own = `${await linkLocal(lab.world.root, "host")}%host`;
    const outside = await lab.world.agent.udp(own);
    for (const word of ["first", "second"]) {
      await outside.send({ address: asked, port: 8066 }, word);
      const { text, from } = await server.receive();
      expect(text).toBe(word);
      expect(from.address).toBe("fd00::2");
      await server.send(from, `${word} answer`);
      const answer = { text: `${word} answer`, from: { address: asked, port: 8066 } };
      expect(await outside.receive()).toEqual(answer);
    }
  });

  test("is free again once removed, with its clients' sockets", async ({ lab }) => {
    await using api = await apiGuest(lab, {});
    const { guest, socket } = api;
    const { port: guestPort } = await (await guest.agent()).echoUdp("0.0.0.0");
    const forward = { proto: "udp", host_addr: "0.0.0.0", host_port: 8064, guestPort } as const;
    const id = await addForward(lab, socket, forward);
    await expect(addForward(lab, socket, forward)).rejects.toThrow("slirp_add_hostfwd failed");
    const outside = await lab.world.agent.udp(link.world);
    await outside.send({ address: link.host, port: 8064 }, "x");
    await outside.receive();
    await ask(lab, socket, { execute: "remove_hostfwd", arguments: { id } });
    await using taken = await lab.host.agent.udp("0.0.0.0", 8064);
    await outside.send({ address: link.host, port: 8064 }, "y");
    expect((await taken.receive()).text).toBe("y");
  });
});

/** The link-local address of a device. */
async function linkLocal(place: Namespace, device: string): Promise<string> {
  const command = ["ip", "-6", "-o", "address", "show", "dev", device, "scope", "link"];
  const [, address = ""] = /inet6 (fe80[^/]+)/.exec(await place.output(command)) ?? [];
  return address;
}

/** Serves a greeting at port 8000 and logs its clients. @returns the log's path */
async function nginx(lab: Lab, guest: Guest): Promise<string> {
  const directory = `${await userDirectory(lab)}/nginx`;
  const config = `user root; daemon off; master_process off; pid ${directory}/pid; error_log stderr; events {}
    http { log_format client '$remote_addr'; access_log ${directory}/log client;
      client_body_temp_path ${directory}; proxy_temp_path ${directory}; fastcgi_temp_path ${directory};
      uwsgi_temp_path ${directory}; scgi_temp_path ${directory};
      server { listen 8000; listen [::]:8000; return 200 'hello from the guest'; } }`;
  await guest.namespace.shell(
    `mkdir -p ${directory}; echo '${config.replaceAll("'", `'\\''`)}' > ${directory}/conf`,
  );
  guest.spawn(["nginx", "-e", "stderr", "-c", `${directory}/conf`]);
  await expect.poll(() => guest.namespace.output(["ss", "-ltn"])).toMatch(/:8000 /);
  return `${directory}/log`;
}

test("connections outlive their rule, the listener does not", async ({ lab }) => {
  await using api = await apiGuest(lab, {});
  const { guest, socket } = api;
  const { port: guestPort } = await (await guest.agent()).echo("0.0.0.0");
  const id = await addForward(lab, socket, {
    proto: "tcp",
    host_addr: "0.0.0.0",
    host_port: 8089,
    guestPort,
  });
  const outside = await lab.world.agent.connect({ address: link.host, port: 8089 });
  await outside.write("x");
  expect(await outside.read(1)).toBe("x");
  expect(await ask(lab, socket, { execute: "remove_hostfwd", arguments: { id } })).toEqual({
    return: {},
  });
  const { code } = await lab.world.agent.refusal({ address: link.host, port: 8089 });
  expect(code).toBe("ECONNREFUSED");
  await outside.write("y");
  expect(await outside.read(1)).toBe("y");
});

test("kill ends the connections of its rule, on both sides, and no others", async ({ lab }) => {
  await using api = await apiGuest(lab, {});
  const { guest, socket } = api;
  const server = await (await guest.agent()).listen("0.0.0.0");
  const guestPort = server.endpoint.port;
  const [killed, kept] = await Promise.all(
    [8096, 8097].map(async (host_port) => {
      const rule = { proto: "tcp", host_addr: "0.0.0.0", host_port, guestPort } as const;
      return { port: host_port, id: await addForward(lab, socket, rule) };
    }),
  );
  const connections = [];
  for (const { port } of [killed, kept]) {
    const outside = await lab.world.agent.connect({ address: link.host, port });
    connections.push({ outside, inside: await server.accept() });
  }
  const [ended, other] = connections;
  const request = { execute: "remove_hostfwd", arguments: { id: killed.id, kill: true } };
  expect(await ask(lab, socket, request)).toEqual({ return: {} });
  expect(await ended.outside.closed()).toBe("ECONNRESET");
  expect(await ended.inside.closed()).toBe("ECONNRESET");
  await other.outside.write("y");
  expect(await other.inside.read(1)).toBe("y");
});

describe("--publish", () => {
  test.for([
    ["0.0.0.0", link.host6, "10.0.2.2"],
    ["fd00::64", link.host, "fd00::2"],
  ] as const)("a server only at %s is reached at %s, too", async ([at, asked, seen], { lab }) => {
    await withAttached(lab, ["-p", "8141:8141", "-p", "[::]::8142/udp"], async (it) => {
      expect(it.process.stdout).toMatch(/^published \[::\]:\d+ → 8142\/udp$/m);
      const server = await it.agent.listen(at, 8141);
      const to = { address: asked, port: 8141 };
      const outside = await lab.world.agent.connect(to);
      const inside = await server.accept();
      expect(inside.client.address).toBe(seen);
      await expectExchange(outside, inside);
      await server.close();
      expect(await endOf(lab.world.agent, to)).toBe("ECONNRESET");
    });
  });

  test("a guest with IPv6 disabled is reached by IPv4", async ({ lab }) => {
    await withAttached(lab, ["-p", "8143:8143"], async ({ agent, namespace }) => {
      await namespace.shell("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
      const server = await agent.listen("0.0.0.0", 8143);
      const outside = await lab.world.agent.connect({ address: link.host6, port: 8143 });
      const inside = await server.accept();
      expect(inside.client.address).toBe("10.0.2.2");
      await inside.write("hello");
      expect(await outside.read(5)).toBe("hello");
    });
  });

  test("run takes a port, a range, and one that is chosen and printed", async ({ lab }) => {
    const ports = ["-p", "8090:80", "-p", "127.0.0.1:8091-8092:81-82", "-p", ":83"];
    const process = lab.host.slipway(["run", ...ports, "--", "sh", "-c", "echo up; exec sleep 60"]);
    await process.printed(/up/);
    const [, chosen] = /published 0\.0\.0\.0:(\d+) → 83\/tcp/.exec(process.stderr) ?? [];
    const listening = await lab.host.user.output(["ss", "-Hltn"]);
    for (const at of ["0.0.0.0:8090", "127.0.0.1:8091", "127.0.0.1:8092", `0.0.0.0:${chosen}`]) {
      expect(listening).toContain(` ${at} `);
    }
    process.kill("SIGTERM");
    await process.ended(10_000);
    expect(await lab.host.user.output(["ss", "-Hltn"])).not.toMatch(/:809[012] /);
  });

  test.for([
    ["8090:", /--publish "8090:": the port of the guest is missing/],
    ["80-81:80", /--publish "80-81:80": a free port of 80-81 is not chosen: give one/],
    ["1.2.3:80:80", /"1.2.3" is not an address/],
  ] as const)("%s is refused", async ([value, message], { lab }) => {
    const outcome = await lab.host.slipway(["run", "-p", value, "--", "true"]).ended(10_000);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.code).toBe(2);
  });

  test("a port that is not available is reported, and COMMAND does not run", async ({ lab }) => {
    await using taken = await lab.host.agent.listen("0.0.0.0");
    for (const [value, message] of [
      [`${taken.endpoint.port}:80`, /the port is in use/],
      ["80:80", /not permitted/],
      [`${served.http}:8095:80`, /does not have the address/],
    ] as const) {
      const outcome = await lab.host
        .slipway(["run", "-p", value, "--", "echo", "ran"])
        .ended(10_000);
      expect(outcome).toMatchObject({ code: 1, stdout: "" });
      expect(outcome.stderr).toMatch(message);
    }
  });
});
