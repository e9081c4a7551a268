import { setTimeout as delay } from "node:timers/promises";
import { served } from "../lab/addresses.ts";
import { expect, test } from "./fixture.ts";

test("a connection survives 60 s of silence", async ({ lab }) => {
  await using guest = await lab.guest();
  const listener = await lab.world.agent.listen(served.services);
  const inside = await (await guest.agent()).connect(listener.endpoint);
  const outside = await listener.accept();
  await delay(60_000);
  await inside.write("still");
  expect(await outside.read(5)).toBe("still");
  await outside.write("here");
  expect(await inside.read(4)).toBe("here");
});
