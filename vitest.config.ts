import { defineConfig } from "vitest/config";
import { FiguresReporter } from "./test/figures.ts";
import { REPORT } from "./test/report.ts";

/** What all tests in the lab need. */
const LAB = {
  // The lab ties the lives of its processes to the thread that starts them.
  pool: "forks",
  testTimeout: 120_000,
  hookTimeout: 60_000,
  // States are waited for, not times: how long is for what never comes, on the slowest machine.
  expect: { poll: { timeout: 30_000 } },
} as const;

export default defineConfig({
  test: {
    reporters: ["default", ["json", { outputFile: REPORT }], new FiguresReporter()],
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts", "native/test/**/*.test.ts", "wasm/test/**/*.test.ts"],
          exclude: ["test/e2e/**"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          // Each file has a lab of its own. One worker spends a minute waiting on an idle
          // connection; the other two fill the two cores of a small machine.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
          ...LAB,
        },
      },
    ],
  },
});
