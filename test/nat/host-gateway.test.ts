import { expect, test } from "vitest";
import { DEFAULT_PREFIX, planFor, withHostLoopback } from "../../src/config/address-plan.ts";
import { hostGateway, requireHostGateway } from "../../src/nat/host-gateway.ts";

const plans = [planFor(DEFAULT_PREFIX[4]), planFor(DEFAULT_PREFIX[6])];

test("a guest reaches the host at the gateways if these lead to the host's loopback", () => {
  expect(hostGateway({ plans: plans.map(withHostLoopback) }).join()).toBe("10.0.2.2,fd00::2");
});

test("otherwise at addresses that are not the gateways, at most one of each family", () => {
  const found = hostGateway({ plans });
  expect(found.filter(({ family }) => family === 4).length).toBeLessThan(2);
  expect(found.filter(({ family }) => family === 6).length).toBeLessThan(2);
  for (const { gateway } of plans) expect(found.join()).not.toContain(`${gateway}`);
});

test("an address that the guest may not reach is none", () => {
  const reach = {
    plans,
    membership: { mayReach: () => false },
  };
  expect(hostGateway(reach)).toEqual([]);
  expect(() => requireHostGateway("me", reach)).toThrow(/^--add-host me=host-gateway: no address/);
});
