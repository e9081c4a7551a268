import { httpName, served } from "../lab/addresses.ts";
import type { Lab } from "../lab/lab.ts";
import { describe, expect, test } from "./fixture.ts";

const size = 100 * 1024 * 1024;

const withFile = test.extend("sha256", { scope: "file" }, ({ lab }: { lab: Lab }) =>
  lab.world.http.addFile("100MB", size),
);

describe.each([1500, 65_520])("at MTU %i", (mtu) => {
  withFile("100 MB come down unchanged", async ({ lab, sha256 }) => {
    await using guest = await lab.guest({ mtu });
    const url = `http://${httpName}/100MB`;
    const line = await guest.namespace.shell(`curl --silent --show-error ${url} | sha256sum`);
    expect(line.slice(0, 64)).toBe(sha256);
  });

  withFile("100 MB go up unchanged", async ({ lab }) => {
    await using guest = await lab.guest({ mtu });
    const url = `http://${httpName}/up-${mtu}`;
    const line = await guest.namespace.shell(`
      file=${lab.directory}/up-${mtu}
      head -c ${size} /dev/urandom > $file
      curl --silent --show-error --fail --upload-file $file ${url}
      sha256sum < $file
      rm $file
    `);
    expect(await lab.world.http.sha256(`up-${mtu}`)).toBe(line.slice(0, 64));
  });

  test("both directions at once arrive unchanged", async ({ lab }) => {
    await using guest = await lab.guest({ mtu });
    const listener = await lab.world.agent.listen(served.services);
    const inside = await (await guest.agent()).connect(listener.endpoint);
    const outside = await listener.accept();
    const received = Promise.all([inside.receive(), outside.receive()]);
    const send = async (connection: typeof inside) => {
      const digest = await connection.send(16 * 1024 * 1024);
      await connection.end();
      return digest;
    };
    const [up, down] = await Promise.all([send(inside), send(outside)]);
    expect(await received).toEqual([down, up]);
  });
});

test("200 connections at once each carry their own data", async ({ lab }) => {
  await using guest = await lab.guest();
  const agent = await guest.agent();
  const echo = await lab.world.agent.echo(served.services);
  const connections = await Promise.all(Array.from({ length: 200 }, () => agent.connect(echo)));
  // All are open now; each gets back what it sent.
  const results = await Promise.all(
    connections.map(async (connection) => {
      const received = connection.receive();
      const sent = await connection.send(256 * 1024);
      await connection.end();
      return { sent, received: await received };
    }),
  );
  for (const { sent, received } of results) expect(received).toEqual(sent);
});
