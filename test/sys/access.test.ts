import { describe, expect, test } from "vitest";
import {
  type Audience,
  type Peer,
  type RefusalReason,
  refusalReason,
} from "../../src/sys/peers/access.js";

type Row = readonly [
  network: Peer["network"],
  users: Peer["users"],
  processes: readonly Peer["processes"][],
  outcome: Readonly<Record<Audience, RefusalReason | null>>,
];

const any = ["own", "other", "unknown"] as const;
const served = { network: null, user: null, containers: null } as const;

/** The outcome for each audience, in the order of the table. */
function at(
  network: RefusalReason | null,
  user: RefusalReason | null,
  containers: RefusalReason | null,
) {
  return { network, user, containers };
}

// The table of refusalReason(), row by row.
const rows: readonly Row[] = [
  ["own", "own", ["own"], served],
  ["own", "subordinate", ["own"], served],
  ["own", "other", ["own"], at(null, "user", "user")],
  ["own", "own", ["other"], at(null, "PID", "PID")],
  ["own", "other", ["other"], at(null, "user", "user")],
  ["own", "subordinate", ["other"], at(null, "PID", null)],
  ["own", "unknown", ["unknown"], at(null, "process", "process")],
  ["other", "own", any, at("network", "network", "network")],
  ["other", "other", any, at("network", "network", "network")],
  ["other", "subordinate", any, at("network", "network", null)],
  ["other", "unknown", ["unknown"], at("network", "network", "network")],
  ["unknown", "own", any, served],
  ["unknown", "other", any, served],
  ["unknown", "subordinate", any, served],
  ["unknown", "unknown", any, served],
];

describe("who is served", () => {
  test.each(rows)("network %s, users %s, processes %s", (network, users, processes, outcome) => {
    for (const audience of ["network", "user", "containers"] as const) {
      for (const each of processes) {
        const reason = refusalReason({ network, users, processes: each }, audience);
        expect([audience, each, reason]).toEqual([audience, each, outcome[audience]]);
      }
    }
  });

  test("a guest is denied by every audience, whatever else is known of it", () => {
    for (const users of ["own", "other", "unknown"] as const) {
      for (const processes of any) {
        for (const audience of ["network", "user", "containers"] as const) {
          expect(refusalReason({ network: "other", users, processes }, audience)).toBe("network");
        }
      }
    }
  });
});
