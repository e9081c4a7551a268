import { UserError } from "../../base/errors.js";
import type { Method, Params } from "../../rpc/messages.js";
import type { Results } from "../../rpc/reports.js";
import type { Client } from "../server.js";

/** What carries out the requests, by method. */
export type Handlers = {
  /** @param passed is closed when it is done */
  readonly [M in Method]: (
    params: Params<M>,
    client: Client,
    passed: number | null,
  ) => Results[M] | Promise<Results[M]>;
};

/** What carries out requests about hosts and peers. */
export type ClusterHandlers = Pick<
  Handlers,
  "host.list" | "peer.add" | "peer.list" | "peer.remove"
>;

/** What a daemon without a store answers to requests about its cluster. */
export const clusterless: ClusterHandlers = {
  "host.list": refuse,
  "peer.add": refuse,
  "peer.list": refuse,
  "peer.remove": refuse,
};

function refuse(): never {
  throw noStore();
}

export function noStore(): UserError {
  return new UserError(
    "the daemon has no store, which hosts share networks by: slipway daemon stop, then slipway daemon start --store etcd://HOST:2379 --advertise ADDRESS",
  );
}
