import { networkInterfaces } from "node:os";
import { expect, it } from "vitest";
import { HostTables } from "../../../src/host/copy/host-tables.js";

it("has the addresses of this machine, each time that it is read", () => {
  const expected = Object.entries(networkInterfaces()).flatMap(([name, infos = []]) =>
    infos.map(({ cidr }) => `${name} ${cidr}`),
  );
  const reader = new HostTables();
  for (let count = 0; count < 3; count += 1) {
    const { links, addresses } = reader.read();
    const found = addresses.map(({ link, address, length }) => {
      const { name } = links.find(({ index }) => index === link) ?? {};
      return `${name} ${address}/${length}`;
    });
    expect(found).toEqual(expect.arrayContaining(expected));
  }
  reader.close();
});
