import { failing, guest6, httpName, served } from "../lab/addresses.ts";
import type { Guest } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import type { Process } from "../lab/process.ts";
import { isSlipway, node } from "../lab/product.ts";
import { finalFigures } from "../lab/statistics.ts";
import { describe, expect, test } from "./fixture.ts";

const IPV6 = { ipv6: true };
const servers = ["10.0.2.3", guest6.dns] as const;
/** It is checked once a second. */
const CHANGE_SEEN = { interval: 200 };

function dig(guest: Guest, ...args: string[]): Promise<string> {
  return guest.namespace.output(["dig", "+tries=1", "+time=15", ...args]);
}

async function short(guest: Guest, ...args: string[]): Promise<string> {
  return (await dig(guest, "+short", ...args)).trim();
}

/** Rewrites the host's resolv.conf in place. */
async function configure(lab: Lab, ...lines: string[]): Promise<void> {
  await lab.host.root.shell(
    `printf '%s\\n' ${lines.map((it) => `'${it}'`).join(" ")} > /etc/resolv.conf`,
  );
}

/** A server of the world that logs queries and answers by the first label: see its source. */
async function oddServer(lab: Lab): Promise<Process> {
  const server = lab.world.root.spawn([lab.host.stage.inside(node), "--eval", ODD_SERVER]);
  await server.printed(/ready/);
  return server;
}

const ODD_SERVER = `
  const socket = require("node:dgram").createSocket("udp4");
  let losses = 2;
  socket.on("message", (query, { port, address }) => {
    const label = query.toString("latin1", 13, 13 + query[12]);
    console.log(label, port, query.readUInt16BE(0));
    const answer = Buffer.from(query);
    answer.writeUInt16BE(0x8180, 2);
    const send = (message) => socket.send(message, port, address);
    const forged = Buffer.from(answer);
    forged.writeUInt16BE((answer.readUInt16BE(0) + 1) % 65536, 0);
    if (label === "slow") setTimeout(send, 3000, answer);
    else if (label === "large") send(Buffer.concat([answer, Buffer.alloc(3000)]));
    else if (label === "forged") { send(forged); setTimeout(send, 300, answer); }
    else if (label === "lossy") { if ((losses -= 1) < 0) send(answer); }
    else if (label !== "silent") send(answer);
  });
  socket.bind(53, ${JSON.stringify(served.services)}, () => console.log("ready"));
`;

/** Asks three times with one port and one id, as the C library does, and counts the answers. */
const IMPATIENT_CLIENT = `
  const socket = require("node:dgram").createSocket("udp4");
  const query = Buffer.from("1234010000010000000000000473" + "6c6f77076578616d706c650000010001", "hex");
  const ask = () => socket.send(query, 53, "10.0.2.3");
  let answers = 0;
  socket.on("message", (answer) => { answers += answer.readUInt16BE(0) === 0x1234 ? 1 : 0; });
  for (const delay of [0, 400, 800]) setTimeout(ask, delay);
  socket.once("message", () => {
    setTimeout(() => { console.log(answers, "answers"); socket.close(); }, 1500);
  });
`;

/** Repeats the query after a while, with the same port and id, and reports that there is an answer. */
const PATIENT_CLIENT = `
  const socket = require("node:dgram").createSocket("udp4");
  const query = Buffer.from("12340100000100000000000005" + "6c6f737379076578616d706c650000010001", "hex");
  const ask = () => socket.send(query, 53, "10.0.2.3");
  socket.on("message", () => { console.log("answered"); clearInterval(timer); socket.close(); });
  const timer = setInterval(ask, 2500);
  ask();
`;

/** Sends 300 queries in one stream, cut anywhere, and counts answers in any order. */
const PIPELINE = `
  const queries = [];
  for (let id = 1; id <= 300; id += 1) {
    const name = id % 2 ? "host.containers.internal" : "world.example";
    const labels = name.split(".").map((it) => String.fromCharCode(it.length) + it).join("");
    const message = Buffer.from("0000010000010000000000000000" + "0000010001", "hex");
    const query = Buffer.concat([message.subarray(0, 12), Buffer.from(labels, "latin1"), Buffer.from("0000010001", "hex")]);
    query.writeUInt16BE(id, 0);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length, 0);
    queries.push(length, query);
  }
  const stream = Buffer.concat(queries);
  const socket = require("node:net").connect(53, process.argv[1], () => {
    for (let at = 0; at < stream.length; at += 1001) socket.write(stream.subarray(at, at + 1001));
  });
  let waiting = Buffer.alloc(0);
  const seen = new Map();
  socket.on("data", (data) => {
    waiting = Buffer.concat([waiting, data]);
    while (waiting.length >= 2 && waiting.length >= 2 + waiting.readUInt16BE(0)) {
      const message = waiting.subarray(2, 2 + waiting.readUInt16BE(0));
      seen.set(message.readUInt16BE(0), message.subarray(-4).join("."));
      waiting = waiting.subarray(2 + message.length);
    }
    if (seen.size === 300) socket.end();
  });
  socket.on("close", () => {
    const own = [...seen].filter(([id, address]) => id % 2 === 1 && address === "10.0.2.2");
    console.log(seen.size + " answers, " + own.length + " of them own");
  });
`;

describe.each(servers)("DNS at %s", (server) => {
  test.for([
    ["A", served.http],
    ["AAAA", served.http6],
    ["TXT", `"the world of Slipway's lab"`],
  ] as const)("resolves %s, by UDP and TCP", async ([type, answer], { lab }) => {
    await using guest = await lab.guest(IPV6);
    expect(await short(guest, `@${server}`, httpName, type)).toBe(answer);
    expect(await short(guest, "+tcp", `@${server}`, httpName, type)).toBe(answer);
  });

  test("sends an answer too long for UDP by TCP", async ({ lab }) => {
    await using guest = await lab.guest(IPV6);
    const truncated = await dig(guest, "+ignore", `@${server}`, "large.example", "TXT");
    expect(truncated).toMatch(/flags:[a-z ]* tc /);
    const whole = await dig(guest, `@${server}`, "large.example", "TXT");
    expect(whole).toContain("Truncated, retrying in TCP mode");
    expect(whole).toContain("7".repeat(200));
  });

  test("answers its own names by TCP, beside others in one connection", async ({ lab }) => {
    await using guest = await lab.guest(IPV6);
    expect(await short(guest, "+tcp", `@${server}`, "host.containers.internal")).toBe("10.0.2.2");
    const mixed = ["host.docker.internal", httpName, "nobody.example", "host.docker.internal"];
    const output = await dig(guest, "+tcp", "+keepopen", `@${server}`, ...mixed);
    const statuses = [...output.matchAll(/status: ([A-Z]+)/g)].map(([, status]) => status);
    expect(statuses).toEqual(["NOERROR", "NOERROR", "NXDOMAIN", "NOERROR"]);
    expect(output.match(/\sA\s+10\.0\.2\.2$/gm)).toHaveLength(2);
    expect(output).toContain(served.http);
  });

  test("answers many simultaneous queries by TCP", async ({ lab }) => {
    await using guest = await lab.guest(IPV6);
    const inside = lab.host.stage.inside(node);
    const counts = await guest.namespace.output([inside, "--eval", PIPELINE, server]);
    expect(counts).toBe("300 answers, 150 of them own\n");
    // Connections that a client abandons are closed.
    await expect.poll(() => guest.helper.openDescriptors()).toBeLessThan(30);
  });

  test("answers its own names in both families", async ({ lab }) => {
    await using guest = await lab.guest(IPV6);
    for (const name of ["host.containers.internal", "Host.Docker.Internal"]) {
      expect(await short(guest, `@${server}`, name, "A")).toBe("10.0.2.2");
      expect(await short(guest, `@${server}`, name, "AAAA")).toBe(guest6.gateway);
      const other = await dig(guest, `@${server}`, name, "MX");
      expect(other).toMatch(/status: NOERROR/);
      expect(other).toMatch(/ANSWER: 0/);
    }
  });

  test("knows the guest's hostname", async ({ lab }) => {
    await using guest = await lab.guest(IPV6);
    const hostname = (await guest.namespace.output(["hostname"])).trim();
    expect(await short(guest, `@${server}`, hostname, "A")).toBe("10.0.2.100");
    expect(await short(guest, `@${server}`, hostname, "AAAA")).toBe(guest6.guest);
  });

  test("is absent with --disable-dns", async ({ lab }) => {
    await using guest = await lab.guest({ ...IPV6, options: ["--disable-dns"] });
    for (const protocol of ["+notcp", "+tcp"]) {
      const command = ["dig", "+tries=1", "+time=2", protocol, `@${server}`, httpName];
      expect((await guest.run(command)).code).not.toBe(0);
    }
  });
});

describe("several name servers", () => {
  test.for([
    ["is silent", failing.blackHole],
    ["is not there", served.services],
    ["is not routed", failing.noRoute],
  ] as const)("the second answers if the first %s", async ([, first], { lab }) => {
    await using guest = await lab.guest();
    await configure(lab, `nameserver ${first}`, `nameserver ${served.dns}`);
    await expect
      .poll(() => short(guest, "@10.0.2.3", httpName, "A"), CHANGE_SEEN)
      .toBe(served.http);
    // From now on it is asked first, by TCP too.
    expect(await short(guest, "+tcp", "@10.0.2.3", httpName, "A")).toBe(served.http);
  });

  test.for([
    ["is silent", failing.blackHole],
    ["is not there", served.services],
    ["is not routed", failing.noRoute],
  ] as const)("the second answers by TCP, too, if the first %s", async ([, first], { lab }) => {
    await configure(lab, `nameserver ${first}`, `nameserver ${served.dns6}`);
    await using guest = await lab.guest();
    expect(await short(guest, "+tcp", "@10.0.2.3", httpName, "A")).toBe(served.http);
  });

  test("the client gets an error by TCP if none answers", async ({ lab }) => {
    await configure(lab, `nameserver ${served.services}`);
    await using guest = await lab.guest();
    expect(await dig(guest, "+tcp", "@10.0.2.3", httpName)).toContain("status: SERVFAIL");
    expect(await short(guest, "+tcp", "@10.0.2.3", "host.docker.internal")).toBe("10.0.2.2");
  });

  test("the second is asked if the first refuses", async ({ lab }) => {
    await using guest = await lab.guest();
    const refusing = `dnsmasq --conf-file=/dev/null --no-daemon --pid-file= --no-resolv --no-hosts \
      --bind-interfaces --listen-address=127.0.0.9 --port=53`;
    const server = lab.host.root.spawn(refusing.split(/\s+/));
    await server.printed(/started/);
    await configure(lab, "nameserver 127.0.0.9", `nameserver ${served.dns6}`);
    await expect
      .poll(() => short(guest, "@10.0.2.3", httpName, "A"), CHANGE_SEEN)
      .toBe(served.http);
    server.kill("SIGTERM");
    await server.ended(10_000);
  });

  test("the client gets an error if none answers", async ({ lab }) => {
    await using guest = await lab.guest();
    await configure(lab, `nameserver ${served.services}`);
    await expect
      .poll(() => dig(guest, "@10.0.2.3", httpName), CHANGE_SEEN)
      .toContain("status: SERVFAIL");
  });
});

describe("a resolver on the host's loopback", () => {
  test.for(["127.0.0.53", "::1"] as const)("%s is asked", async (address, { lab }) => {
    await using guest = await lab.guest({ hostLoopback: false });
    const server = lab.host.root.spawn([
      ...["dnsmasq", "--conf-file=/dev/null", "--no-daemon", "--pid-file=", "--no-resolv"],
      ...["--no-hosts", "--bind-interfaces", `--listen-address=${address}`],
      "--host-record=local.example,192.0.2.77",
    ]);
    await server.printed(/started/);
    await configure(lab, `nameserver ${address}`);
    const ask = () => short(guest, "@10.0.2.3", "local.example", "A");
    await expect.poll(ask, CHANGE_SEEN).toBe("192.0.2.77");
    expect(await short(guest, "+tcp", "@10.0.2.3", "local.example", "A")).toBe("192.0.2.77");
    server.kill("SIGTERM");
    await server.ended(10_000);
  });
});

describe("the host's resolv.conf is followed", () => {
  test.for([
    ["written", "echo 'nameserver 198.51.100.1' > /etc/resolv.conf"],
    ["emptied", ": > /etc/resolv.conf"],
  ] as const)("when it is %s, and back", async ([, change], { lab }) => {
    await using guest = await lab.guest();
    await configure(lab, `nameserver ${served.dns}`);
    const status = () => dig(guest, "@10.0.2.3", httpName, "A");
    await expect.poll(status, CHANGE_SEEN).toContain("status: NOERROR");
    await lab.host.root.shell(change);
    await expect.poll(status, CHANGE_SEEN).toContain("status: SERVFAIL");
    await configure(lab, `nameserver ${served.dns}`);
    await expect.poll(status, CHANGE_SEEN).toContain("status: NOERROR");
  });
});

describe("upstream", () => {
  test("queries have their own ports and ids, and a repeated query reuses them", async ({
    lab,
  }) => {
    await using guest = await lab.guest();
    const server = await oddServer(lab);
    await configure(lab, `nameserver ${served.services}`);
    await expect
      .poll(() => dig(guest, "@10.0.2.3", "x.example"), CHANGE_SEEN)
      .toContain("status: NOERROR");
    for (let count = 0; count < 16; count += 1) await dig(guest, "@10.0.2.3", "many.example");
    const seen = server.stdout.split("\n").filter((line) => line.startsWith("many "));
    expect(new Set(seen.map((line) => line.split(" ")[1])).size).toBeGreaterThan(12);
    expect(new Set(seen.map((line) => line.split(" ")[2])).size).toBeGreaterThan(12);

    const inside = lab.host.stage.inside(node);
    const answers = await guest.namespace.output([inside, "--eval", IMPATIENT_CLIENT]);
    expect(answers).toBe("1 answers\n");
    // The client's three are one, and Slipway repeats one that may have been lost, whenever it is
    // due, until the answer arrives; each of three would be asked for at least twice.
    expect(server.stdout.match(/^slow /gm)?.length).toBeLessThan(6);
    expect(guest.helper.openDescriptors()).toBeLessThan(40);
    // Two queries are lost; the client's repetition makes a third.
    expect(await guest.namespace.output([inside, "--eval", PATIENT_CLIENT])).toBe("answered\n");

    expect(await dig(guest, "@10.0.2.3", "forged.example")).toContain("status: NOERROR");
    const large = await dig(guest, "+ignore", "+bufsize=4096", "@10.0.2.3", "large.example");
    expect(large).toMatch(/flags:[a-z ]* tc /);
    expect(await dig(guest, "@10.0.2.3", "silent.example")).toContain("status: SERVFAIL");
    server.kill("SIGTERM");
    await server.ended(10_000);
  });
});

/** Sends messages by UDP, each from its own socket, and prints each answer, or "silence". */
const HOSTILE_CLIENT = `
  const { createSocket } = require("node:dgram");
  const [server, ...messages] = process.argv.slice(1);
  const ask = (message) => new Promise((resolve) => {
    const socket = createSocket(server.includes(":") ? "udp6" : "udp4");
    const end = (answer) => { socket.close(); resolve(answer); };
    const timer = setTimeout(end, 1000, "silence");
    socket.on("message", (answer) => { clearTimeout(timer); end(answer.toString("hex")); });
    socket.send(Buffer.from(message, "hex"), 53, server);
  });
  Promise.all(messages.map(ask)).then((answers) => console.log(answers.join(" ")));
`;

/** The same in one TCP connection, which it half-closes; prints all that arrives until the server closes. */
const HOSTILE_STREAM = `
  const [server, ...messages] = process.argv.slice(1);
  const socket = require("node:net").connect({ port: 53, host: server });
  const answers = [];
  socket.on("data", (data) => answers.push(data));
  socket.on("close", () => console.log(Buffer.concat(answers).toString("hex")));
  for (const message of messages) {
    const length = (message.length / 2).toString(16).padStart(4, "0");
    socket.write(Buffer.from(length + message, "hex"));
  }
  socket.end();
`;

/** Records every byte that arrives, by UDP and TCP. */
const WITNESS = `
  const host = ${JSON.stringify(served.services)};
  const tell = (data) => console.log("asked", data.toString("hex"));
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", tell);
  const server = require("node:net").createServer((client) => client.on("data", tell));
  socket.bind(53, host, () => server.listen(53, host, () => console.log("ready")));
`;

describe.runIf(isSlipway)("messages other than queries reach no server of the host", () => {
  const question = "06626f72646572076578616d706c650000010001";
  const message = (flags: string, counts: string, rest = question) =>
    `abcd${flags}${counts}${rest}`;
  const one = "0001000000000000";
  const cases = [
    ["an update", message("2800", one), "abcda804"],
    ["a notification", message("2400", one), "abcda004"],
    ["a status query", message("1000", one), "abcd9004"],
    ["no question", message("0100", "0000000000000000", ""), "abcd8101"],
    ["two questions", message("0100", "0002000000000000", question + question), "abcd8101"],
    ["bytes behind it", message("0100", one, `${question}00`), "abcd8101"],
    ["a record that is not there", message("0100", "0001000100000000"), "abcd8101"],
    ["an answer", message("8180", one), null],
    ["less than a header", "abcd01000001", null],
  ] as const;
  const sent = cases.map(([, hex]) => hex);
  const empty = "0000000000000000";

  async function witness(lab: Lab): Promise<Process> {
    const server = lab.world.root.spawn([lab.host.stage.inside(node), "--eval", WITNESS]);
    await server.printed(/ready/);
    await configure(lab, `nameserver ${served.services}`);
    return server;
  }

  test.for(servers)("at %s, by UDP and TCP, and are counted", async (address, { lab }) => {
    const server = await witness(lab);
    await using guest = await lab.guest({ ...IPV6, options: ["--stats"] });
    const ask = (script: string, messages: readonly string[]) => {
      const inside = lab.host.stage.inside(node);
      return guest.namespace.output([inside, "--eval", script, address, ...messages]);
    };
    const datagrams = cases.map(([, , answer]) => (answer === null ? "silence" : answer + empty));
    expect((await ask(HOSTILE_CLIENT, sent)).trim().split(" ")).toEqual(datagrams);
    const streamed = cases.flatMap(([, , answer]) =>
      answer === null ? [] : [`000c${answer}${empty}`],
    );
    expect((await ask(HOSTILE_STREAM, sent)).trim()).toBe(streamed.join(""));
    // A real query reaches it, after all that.
    await guest.run(["dig", "+tries=1", "+time=1", "+noedns", `@${address}`, "asked.example"]);
    await server.printed(/asked/);
    expect(server.stdout.replace(/ready\n/, "")).toMatch(
      /^(asked [0-9a-f]{8}00010000000000000561736b6564076578616d706c650000010001\n)+$/,
    );
    const figures = await finalFigures(guest);
    expect(figures.get("dropped dns-opcode")).toBe(6);
    expect(figures.get("dropped dns-malformed")).toBe(12);
    server.kill("SIGTERM");
    await server.ended(10_000);
  });
});

describe("slipway run", () => {
  function run(lab: Lab, options: readonly string[], command: readonly string[]): Promise<string> {
    return lab.host.user.output([lab.host.slipwayPath, "run", ...options, "--", ...command]);
  }

  test("honours --add-host, --dns, --dns-search and --dns-option", async ({ lab }) => {
    await configure(lab, `nameserver ${served.services}`);
    const options = [
      ...["--dns", served.dns6, "--dns-search", "example", "--dns-option", "ndots:3"],
      ...["--add-host", "db.test=192.0.2.9", "--add-host", "db.test=2001:db8::9"],
    ];
    const resolvConf = await run(lab, options, ["cat", "/etc/resolv.conf"]);
    expect(resolvConf).toBe("nameserver 10.0.2.3\nsearch example\noptions ndots:3\n");
    const found = await run(lab, options, ["getent", "ahosts", "world"]);
    expect(found).toContain(served.http);
    const own = await run(lab, options, ["dig", "+short", "db.test", "A", "db.test", "AAAA"]);
    expect(own.trim()).toBe("192.0.2.9\n2001:db8::9");
  });

  test("--disable-dns lists the host's own servers", async ({ lab }) => {
    await configure(lab, "nameserver 127.0.0.53", `nameserver ${served.dns}`);
    const resolvConf = await run(lab, ["--disable-dns"], ["cat", "/etc/resolv.conf"]);
    expect(resolvConf).toBe(`nameserver ${served.dns}\n`);
    const found = await run(lab, ["--disable-dns"], ["dig", "+short", httpName, "A"]);
    expect(found.trim()).toBe(served.http);
  });
});
