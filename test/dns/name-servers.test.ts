import { expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { NameServers } from "../../src/dns/name-servers.js";

const [a, b, c, d] = [1, 2, 3, 4].map((host) => Address.ofIpv4Word(0xc000_0200 + host));

it("asks at most three servers in the configured order, the preferred one first", () => {
  const servers = new NameServers({ servers: [a, b, c, d], search: [] });
  expect(servers.inOrder).toEqual([a, b, c]);
  servers.prefer(c);
  expect(servers.inOrder).toEqual([c, a, b]);
  servers.prefer(d);
  expect(servers.inOrder).toEqual([a, b, c]);
});

it("follows the configuration", () => {
  let now = [a, b];
  const servers = new NameServers({
    get servers() {
      return now;
    },
    search: [],
  });
  servers.prefer(b);
  expect(servers.inOrder).toEqual([b, a]);
  now = [c];
  expect(servers.inOrder).toEqual([c]);
});
