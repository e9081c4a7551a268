import { status } from "./answers.js";
import { request } from "./place.js";
import { ownPlaceNamed } from "./sockets.js";

/** The process of COMMAND of a run with a network of its own, by the run's name; null: there is no such run. */
export async function processOfRun(name: string): Promise<number | null> {
  const place = await ownPlaceNamed(name);
  return place === null ? null : (await request(place, "query_status", {}, status)).target;
}
