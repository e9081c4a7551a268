import { describe, expect, test } from "vitest";
import { type Door, type Obstacle, obstacleOf, type Peer } from "../../src/sys/peer-rule.js";

type Row = readonly [
  network: Peer["network"],
  users: Peer["users"],
  processes: readonly Peer["processes"][],
  outcome: Readonly<Record<Door, Obstacle | null>>,
];

const any = ["own", "other", "unknown"] as const;
const served = { network: null, user: null, containers: null } as const;

/** An outcome at all doors, in the order of the table. */
function at(network: Obstacle | null, user: Obstacle | null, containers: Obstacle | null) {
  return { network, user, containers };
}

// The table of obstacleOf(), row by row.
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
    for (const door of ["network", "user", "containers"] as const) {
      for (const each of processes) {
        const obstacle = obstacleOf({ network, users, processes: each }, door);
        expect([door, each, obstacle]).toEqual([door, each, outcome[door]]);
      }
    }
  });

  test("a guest at no socket, whatever else is known of it", () => {
    for (const users of ["own", "other", "unknown"] as const) {
      for (const processes of any) {
        for (const door of ["network", "user", "containers"] as const) {
          expect(obstacleOf({ network: "other", users, processes }, door)).toBe("network");
        }
      }
    }
  });
});
