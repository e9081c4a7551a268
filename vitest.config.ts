import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts", "native/test/**/*.test.ts", "wasm/test/**/*.test.ts"],
          exclude: ["test/e2e/**"],
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
          // The lab ties the lives of its processes to the thread that starts them.
          pool: "forks",
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
