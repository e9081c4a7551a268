import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { FiguresReporter } from "./test/figures.ts";
import { REPORT } from "./test/report.ts";

/** The longest files, which mostly wait: they start first, and the rest fills the processors meanwhile. */
const LONG = [
  "test/cluster/faults.test.ts",
  "test/e2e/attacks/floods.test.ts",
  "test/e2e/attacks/tcp.test.ts",
  "test/e2e/attacks/cve.test.ts",
  "test/e2e/idle.test.ts",
  "test/e2e/dns.test.ts",
  "test/e2e/icmp.test.ts",
  "test/e2e/integrity.test.ts",
  "native/test/loop.test.ts",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const index = LONG.findIndex((name) => moduleId.endsWith(name));
      return index < 0 ? LONG.length : index;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

/** Files at a time: more than the two cores of a small machine, as most of the lab's tests wait for programs. */
const maxWorkers = 3;

/** States are waited for, not times: how long is for what never comes, on the slowest machine. */
const expect = { poll: { timeout: 30_000 } };

export default defineConfig({
  test: {
    reporters: ["default", ["json", { outputFile: REPORT }], new FiguresReporter()],
    sequence: { sequencer: LongestFirst },
    maxWorkers,
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts", "native/test/**/*.test.ts", "wasm/test/**/*.test.ts"],
          exclude: ["test/e2e/**"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect,
          maxWorkers,
        },
      },
      {
        test: {
          name: "e2e",
          // Each file has a lab of its own.
          include: ["test/e2e/**/*.test.ts"],
          maxWorkers,
          // The lab ties the lives of its processes to the thread that starts them.
          pool: "forks",
          testTimeout: 120_000,
          hookTimeout: 60_000,
          expect,
        },
      },
    ],
  },
});
