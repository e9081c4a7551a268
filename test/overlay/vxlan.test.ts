import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Loop } from "../../src/loop/loop.js";
import { endStage, Host, makeUnderlay, member, type Place, UNDERLAY, VNI } from "./stage.js";

const PORT = 4789;
const MTU = 1430;

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
    for (const [index, host] of hosts.entries()) {
      await host.open({ kind: "vxlan", vni: VNI }, addresses[index], PORT, MTU);
      host.learnHost("other", addresses[1 - index], PORT);
    }
    hosts[0].learnRemote(far, { kind: "host", host: "other" });
    hosts[1].learnRemote(near, { kind: "host", host: "other" });
    places = [await hosts[0].join(near, MTU), await hosts[1].join(far, MTU)];
  });

  test("members reach each other by both families", async () => {
    for (const address of far.addresses) {
      expect(await places[0].shell(`ping -c3 -i0.2 -W5 ${address}`)).toMatch("3 received");
      expect(await places[0].shell(`ping -c2 -i0.2 -W5 -s 4000 ${address}`)).toMatch("2 received");
    }
    expect(await hosts[0].drops()).toEqual({});
    expect(await hosts[1].drops()).toEqual({});
  });
});
