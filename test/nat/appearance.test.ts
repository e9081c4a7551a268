import { describe, expect, test } from "vitest";
import { Address, type Family, Prefix } from "../../src/base/address.js";
import { planFor } from "../../src/config/address-plan.js";
import { appearanceOf } from "../../src/nat/translate.js";

const plans = ["10.0.2.0/24", "fd00::/64"].map((text) => planFor(Prefix.parse(text)));

function seen(client: string, family: Family): string {
  const address = Address.parse(client);
  if (address === null) throw new Error(client);
  return `${appearanceOf({ plans }, address, family)}`;
}

describe("a client of a published port appears", () => {
  test.each<[string, Family]>([
    ["198.51.100.1", 4],
    ["192.168.1.7", 4],
    ["2001:db8::1", 6],
    ["fd00:0:0:1::7", 6],
  ])("as itself: %s", (client, family) => {
    expect(seen(client, family)).toBe(client);
  });

  test.each<[string, Family, string]>([
    ["127.0.0.1", 4, "10.0.2.2"],
    ["127.8.8.8", 4, "10.0.2.2"],
    ["169.254.3.4", 4, "10.0.2.2"],
    ["10.0.2.100", 4, "10.0.2.2"],
    ["10.0.2.7", 4, "10.0.2.2"],
    ["::1", 6, "fd00::2"],
    ["fe80::5", 6, "fd00::2"],
    ["fd00::64", 6, "fd00::2"],
    ["198.51.100.1", 6, "fd00::2"],
    ["2001:db8::1", 4, "10.0.2.2"],
  ])("as the gateway, if it could not be answered: %s to IPv%i", (client, family, gateway) => {
    expect(seen(client, family)).toBe(gateway);
  });
});
