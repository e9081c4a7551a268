import { expect } from "vitest";
import type { Connection } from "../lab/agent/client.ts";

/** A request and an answer, each closed by its side, arrive complete. */
export async function expectExchange(outside: Connection, inside: Connection): Promise<void> {
  await outside.write("the request");
  await outside.end();
  expect(await inside.readToEnd()).toBe("the request");
  await inside.write("the answer");
  await inside.end();
  expect(await outside.readToEnd()).toBe("the answer");
}
