import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { openEtcd } from "../../src/store/etcd/open.ts";
import { CALL_LIMIT, type StoreError } from "../../src/store/store.ts";
import { Authority } from "../lab/certificates.ts";
import { Etcd, freePorts } from "../lab/etcd.ts";
import { at, failureOf, openStore, prefix, put } from "./stores.ts";

/** An HTTP server that answers all requests alike, or with a function of the path. */
async function impostor(answer: (path: string) => { status: number; body: string }) {
  const server = createServer((request, response) => {
    const { status, body } = answer(request.url ?? "");
    request.resume();
    response.writeHead(status).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

const version = (text: string) => JSON.stringify({ etcdserver: text, etcdcluster: "3.4.0" });

/** What listing a store fails with that is at a port of this machine. */
async function failureAt(port: number, tls: { ca: string | null; identity: null } | null = null) {
  const store = await openEtcd({ kind: "etcd", ...at(port), tls, user: null, prefix });
  onTestFinished(() => store.close());
  return failureOf(store.list(""));
}

function expectFailure(error: StoreError, failure: string, port: number, text: string): void {
  expect(error.failure, error.message).toBe(failure);
  expect(error.message).toContain(`://127.0.0.1:${port}`);
  expect(error.message).toContain(text);
  expect(error.message).not.toContain("\n");
}

it("nobody listens", async () => {
  const [port] = await freePorts(1);
  expectFailure(
    await failureAt(port),
    "unreachable",
    port,
    "refuses connections: start etcd there",
  );
});

it("somebody listens, and says nothing", async () => {
  const server = createTcpServer(() => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const begun = performance.now();
  expectFailure(await failureAt(port), "unreachable", port, "does not answer within 5 s");
  expect(performance.now() - begun).toBeLessThan(3 * CALL_LIMIT);
});

it.each([
  ["a web server", () => ({ status: 404, body: "<html>" }), "answers with HTTP status 404"],
  ["one that says yes to everything", () => ({ status: 200, body: "ok" }), "its version"],
  ["an etcd that is too old", () => ({ status: 200, body: version("3.3.25") }), 'version "3.3.25"'],
  ["an etcd of before", () => ({ status: 200, body: version("2.3.8") }), 'version "2.3.8"'],
  [
    "one whose answers make no sense",
    (path: string) => ({ status: 200, body: path === "/version" ? version("3.5.9") : '{"kvs":7}' }),
    "answers /v3/kv/range without sense",
  ],
  [
    "one with a revision that is no number of ours",
    (path: string) => ({
      status: 200,
      body:
        path === "/version" ? version("3.5.9") : '{"header":{"revision":"9223372036854775807"}}',
    }),
    "answers /v3/kv/range without sense",
  ],
  [
    "one that never stops",
    (path: string) => ({
      status: 200,
      body: path === "/version" ? version("3.5.9") : "x".repeat(9 << 20),
    }),
    "answers with more than 8 MiB",
  ],
])("%s", async (_, answer, text) => {
  const port = await impostor(answer);
  expectFailure(await failureAt(port), "unusable", port, text);
});

it("a server that does not speak HTTP", async () => {
  const server = createTcpServer((socket) => socket.end("SSH-2.0-OpenSSH\r\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  expectFailure(await failureAt(port), "unusable", port, "does not speak HTTP");
});

it("TLS on one side only", async () => {
  await using plain = await Etcd.create();
  await using secured = await Etcd.create({ tls: "server" });
  const [{ place: clear }] = plain.members;
  const [{ place: closed }] = secured.members;
  const ca = secured.certificates?.authority.file ?? null;
  const { clientPort: port } = clear;
  const talksTls = await failureAt(port, { ca, identity: null });
  expectFailure(talksTls, "unreachable", port, "write etcd:// for etcds:// where not");
  const talksClear = await failureAt(closed.clientPort);
  const advice = "write etcds:// for etcd:// where not";
  expectFailure(talksClear, "unreachable", closed.clientPort, advice);
  // A server of Node's, such as a proxy before an etcd, says more.
  const web = await impostor(() => ({ status: 200, body: "" }));
  const wrongTls = await failureAt(web, { ca, identity: null });
  expectFailure(wrongTls, "refused", web, "does not speak TLS: write etcd:// for etcds://");
});

it("certificates that are wrong, each way", async () => {
  await using etcd = await Etcd.create({ tls: "mutual" });
  const [{ place }] = etcd.members;
  const { clientPort: port } = place;
  const { certificates } = etcd;
  if (certificates === null) throw new Error("no certificates");
  const { authority, client } = certificates;
  const ca = authority.file;

  const good = await openStore(etcd);
  await put(good, "key", "value");
  expect((await good.list("")).entries).toHaveLength(1);

  const other = await Authority.create(place.namespace, `${ca.replace(/ca\.pem$/, "")}other`);
  const stranger = await other.sign("client", [], ["clientAuth"]);
  const open = (tls: { ca: string; identity: typeof client | null }, host = "127.0.0.1") =>
    openStore(etcd, { tls, endpoints: [{ host, port }] });
  const wrongAuthority = await open({ ca: other.file, identity: client });
  expectFailure(
    await failureOf(wrongAuthority.list("")),
    "refused",
    port,
    "no authority of --store-ca has signed the certificate",
  );
  for (const identity of [null, stranger]) {
    const wrongClient = await open({ ca, identity });
    expectFailure(
      await failureOf(wrongClient.list("")),
      "refused",
      port,
      "does not accept our certificate",
    );
  }
  const byName = await open({ ca, identity: client }, "localhost");
  expect((await byName.list("")).entries).toHaveLength(1);
});

it("a certificate with a CommonName, at an etcd with users", async () => {
  await using etcd = await Etcd.create({ tls: "mutual" });
  const [{ place }] = etcd.members;
  const { authority } = etcd.certificates ?? {};
  if (authority === undefined) throw new Error("no certificates");
  const identity = await authority.sign("named", [], ["clientAuth"], "/CN=root");
  await etcd.enableAuth([]);
  const store = await openStore(etcd, { tls: { ca: authority.file, identity } });
  const error = await failureOf(store.list(""));
  expectFailure(error, "refused", place.clientPort, "wants a --store-cert without a CommonName");
});

it("a certificate for another host", async () => {
  await using etcd = await Etcd.create({ tls: "server" });
  const [{ place }] = etcd.members;
  const server = createTcpServer((client) => {
    const through = connect(place.clientPort, place.address);
    client.pipe(through).pipe(client);
    for (const end of [client, through]) end.on("error", () => undefined);
  });
  // The same etcd by an address that its certificate does not name.
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.2", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const store = await openStore(etcd, { endpoints: [{ host: "127.0.0.2", port }] });
  const { failure, message } = await failureOf(store.list(""));
  expect(failure).toBe("refused");
  expect(message).toContain(`the certificate of etcds://127.0.0.2:${port} is not for 127.0.0.2`);
});

it("a gateway that cannot reach its own etcd", async () => {
  const etcd = await Etcd.create({ tls: "no gateway" });
  onTestFinished(() => etcd.close());
  const store = await openStore(etcd);
  // It tells as soon as it has failed to connect: until then a busy machine gets no answer in time.
  const failure = (): Promise<string> =>
    failureOf(store.list("")).then((error) => `${error.failure}: ${error.message}`);
  await expect
    .poll(failure, { timeout: 30_000 })
    .toMatch(/^refused: .*the server's must be good for clients, too/);
});

it("users: who is asked for, who is wrong, and what their role allows", async () => {
  await using etcd = await Etcd.create();
  const [{ place }] = etcd.members;
  const { clientPort: port } = place;
  const secret = (word: string) => ({ kind: "word", word }) as const;
  const store = await openStore(etcd, { user: { name: "ours", password: secret("right") } });
  const anonymous = await openStore(etcd);
  await put(store, "key", "before there were users");
  const elsewhere = { name: "theirs", password: "right", prefix: "/theirs/" };
  await etcd.enableAuth([{ name: "ours", password: "right", prefix }, elsewhere]);

  await put(store, "key", "by a user who was not asked for before");
  expectFailure(await failureOf(anonymous.list("")), "refused", port, "asks for a user: give");
  const wrong = await openStore(etcd, { user: { name: "ours", password: secret("wrong") } });
  expectFailure(await failureOf(wrong.list("")), "refused", port, 'does not accept user "ours"');
  const theirs = await openStore(etcd, { user: { name: "theirs", password: secret("right") } });
  expectFailure(await failureOf(theirs.list("")), "refused", port, "below /slipway/v1/: grant");
  const watched: StoreError[] = [];
  theirs.watch("", 0, {
    onOpen: () => undefined,
    onChanges: () => undefined,
    onEnd: (why) => watched.push(why),
  });
  await expect.poll(() => watched).toHaveLength(1);
  expectFailure(watched[0], "refused", port, "below /slipway/v1/: grant");

  // Tokens are forgotten by an etcd that starts again.
  await etcd.members[0].kill();
  etcd.members[0].restart();
  await etcd.healthy();
  await put(store, "key", "with a token that was asked for anew");
  expect((await store.list("")).entries[0].value).toBe("with a token that was asked for anew");
});

it("files and names are told by their option", async () => {
  const directory = mkdtempSync(join(tmpdir(), "store-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const garbage = join(directory, "garbage.pem");
  writeFileSync(garbage, "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
  const base = { kind: "etcd", ...at(1), tls: null, user: null, prefix } as const;
  const missing = join(directory, "missing");
  await expect(openEtcd({ ...base, tls: { ca: missing, identity: null } })).rejects.toThrow(
    `--store-ca "${missing}" cannot be read (ENOENT)`,
  );
  await expect(openEtcd({ ...base, tls: { ca: garbage, identity: null } })).rejects.toThrow(
    "no certificates and key in PEM that belong together",
  );
  const password = { kind: "env", name: "SLIPWAY_NO_SUCH_VARIABLE" } as const;
  await expect(openEtcd({ ...base, user: { name: "x", password } })).rejects.toThrow(
    'the environment has no "SLIPWAY_NO_SUCH_VARIABLE"',
  );
  const endpoints = [{ host: "store.invalid", port: 2379 }];
  await expect(openEtcd({ ...base, endpoints })).rejects.toThrow(
    "the host of etcd://store.invalid:2379 cannot be resolved",
  );
  // A password in a file: its first line.
  const file = join(directory, "password");
  writeFileSync(file, "secret\nmore\n");
  const store = await openEtcd({
    ...base,
    user: { name: "x", password: { kind: "file", path: file } },
  });
  store.close();
});

it("garbage of an etcd's other users is no concern of ours, but for what is below our prefix", async () => {
  await using etcd = await Etcd.create();
  await etcd.put("/registry/pods", "\u0000k8s");
  await etcd.put(`${prefix}hosts/x`, "\u0000\u0001{");
  const store = await openStore(etcd);
  const { entries } = await store.list("");
  expect(entries.map(({ key, value }) => [key, value])).toEqual([["hosts/x", "\u0000\u0001{"]]);
});
