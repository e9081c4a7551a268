import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Loop } from "../../src/loop/loop.js";
import { keyPairOf } from "../../src/sys/crypto/x25519.js";
import { randomBytes } from "../../src/sys/random.js";
import { endStage, Host, makeUnderlay, member, type Place, UNDERLAY } from "./stage.js";
import { expectTraffic } from "./traffic.js";

const PORT = 51_820;
const MTU = 1420;

const loop = new Loop();

beforeAll(() => loop.start());
afterAll(() => {
  loop.stop();
  endStage();
});

describe.each([4, 6] as const)("two hosts over IPv%i", (family) => {
  const [near, far] = [member("near", 2), member("far", 3)];
  const addresses = UNDERLAY[family];
  let hosts: readonly [Host, Host];
  let places: readonly [Place, Place];

  beforeAll(async () => {
    const underlay = await makeUnderlay();
    hosts = [new Host(loop, underlay[0]), new Host(loop, underlay[1])];
    const secrets = [randomBytes(32), randomBytes(32)];
    for (const [index, host] of hosts.entries()) {
      await host.open({ kind: "wireguard" }, addresses[index], PORT, MTU, secrets[index]);
      const { publicKey } = keyPairOf(secrets[1 - index]);
      host.learnHost("other", addresses[1 - index], PORT, publicKey);
    }
    hosts[0].learnRemote(far, { kind: "host", host: "other" });
    hosts[1].learnRemote(near, { kind: "host", host: "other" });
    places = [await hosts[0].join(near, MTU), await hosts[1].join(far, MTU)];
  });

  test("members reach each other by both families, whatever they send", async () => {
    await expectTraffic(places[0], places[1], far.addresses);
    expect(await hosts[0].drops()).toEqual({});
    expect(await hosts[1].drops()).toEqual({});
  });
});
