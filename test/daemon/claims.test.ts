import { expect, test } from "vitest";
import { Address } from "../../src/base/address.ts";
import { UserError } from "../../src/base/errors.ts";
import type { Claim, Wish } from "../../src/cluster/cluster.ts";
import { Claims, type Stake } from "../../src/daemon/cluster/claims.ts";
import { StoreError } from "../../src/store/store.ts";

// What a daemon takes and gives back, whatever ends. The cluster here notes what it is asked: test/cluster has the real one.

const MAC = 0x0242_0a64_0002;
const address = Address.parse("10.100.0.2");

const wish = (member: string): Wish => ({
  network: "n",
  member: { id: member, name: member },
  aliases: [],
  addresses: [],
  mac: null,
});

class Fixture {
  readonly log: string[] = [];
  state: "connected" | "cut off" = "connected";
  /** Why the next claims fail. */
  failure: Error | null = null;
  readonly claimed: Claim[] = [];
  readonly claims = new Claims({
    cluster: this.cluster,
    onUsed: (network) => this.log.push(`used ${network}`),
    onUnused: (network) => this.log.push(`unused ${network}`),
    onLost: ({ member }: Stake, why) => this.log.push(`lost ${member}: ${why}`),
  });

  get cluster() {
    const fixture = this;
    return {
      get state() {
        return fixture.state;
      },
      claim: async ({ network, member: { id } }: Wish): Promise<Claim> => {
        await Promise.resolve();
        if (fixture.failure !== null) throw fixture.failure;
        fixture.log.push(`claim ${id}`);
        const location = { kind: "host", host: "h" } as const;
        const addresses = address === null ? [] : [address];
        const claim: Claim = {
          record: { network, id, names: [id], addresses, mac: MAC, location },
          announce: async () => void fixture.log.push(`announce ${id}`),
          release: async () => void fixture.log.push(`release ${id}`),
        };
        fixture.claimed.push(claim);
        return claim;
      },
    };
  }

  /** What it was asked since the last time. */
  taken(): readonly string[] {
    return this.log.splice(0);
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("what a request took and no attachment has is given back", async () => {
  const fixture = new Fixture();
  const { claims } = fixture;
  claims.release(await claims.take(wish("a")));
  await settled();
  expect(fixture.taken()).toEqual(["claim a", "used n", "unused n", "release a"]);
});

test("what an attachment has is given back when its network releases it, and not before", async () => {
  const fixture = new Fixture();
  const { claims } = fixture;
  const stake = await claims.take(wish("a"));
  claims.onReserved("n", MAC);
  claims.release(stake);
  await claims.show("n", MAC);
  expect(fixture.taken()).toEqual(["claim a", "used n", "announce a"]);
  claims.onReleased("n", MAC);
  claims.onReleased("n", MAC);
  await settled();
  expect(fixture.taken()).toEqual(["unused n", "release a"]);
});

test("a member that comes back keeps what is reserved for it", async () => {
  const fixture = new Fixture();
  const { claims } = fixture;
  claims.adopt({ ...wish("a"), mac: MAC });
  await settled();
  expect(fixture.taken()).toEqual(["used n", "claim a"]);
  // As Members.join() does it: the reserved attachment goes, and another comes.
  const stake = await claims.take(wish("a"));
  claims.onReleased("n", MAC);
  claims.onReserved("n", MAC);
  claims.release(stake);
  expect(fixture.taken()).toEqual([]);
  claims.onReleased("n", MAC);
  await settled();
  expect(fixture.taken()).toEqual(["unused n", "release a"]);
});

test("what the state file has is claimed and shown when the store is there", async () => {
  const fixture = new Fixture();
  const { claims } = fixture;
  fixture.state = "cut off";
  claims.adopt({ ...wish("a"), mac: MAC });
  await claims.show("n", MAC);
  expect(fixture.taken()).toEqual(["used n"]);
  fixture.failure = new StoreError("unreachable", "away again");
  await claims.onConnected();
  expect(fixture.taken()).toEqual([]);
  fixture.failure = null;
  fixture.state = "connected";
  await Promise.all([claims.onConnected(), claims.onConnected()]);
  expect(fixture.taken()).toEqual(["claim a", "announce a"]);
});

test("a member whose address another host has by then loses it", async () => {
  const fixture = new Fixture();
  const { claims } = fixture;
  fixture.failure = new UserError("10.100.0.2 is taken by b");
  claims.adopt({ ...wish("a"), mac: MAC });
  await settled();
  expect(fixture.taken()).toEqual(["used n", "unused n", "lost a: 10.100.0.2 is taken by b"]);
  fixture.failure = null;
  const stake = await claims.take(wish("a"));
  claims.onReserved("n", MAC);
  claims.release(stake);
  fixture.taken();
  const [claim] = fixture.claimed;
  claims.onClaimLost(claim, "host b has it");
  claims.onReleased("n", MAC);
  expect(fixture.taken()).toEqual(["unused n", "lost a: host b has it"]);
});

test("what is given back while the cluster is asked for it is released afterwards", async () => {
  const fixture = new Fixture();
  const { claims } = fixture;
  claims.adopt({ ...wish("a"), mac: MAC });
  claims.onReleased("n", MAC);
  await settled();
  await settled();
  expect(fixture.taken()).toEqual(["used n", "unused n", "claim a", "release a"]);
});
