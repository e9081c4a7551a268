import { test as base } from "vitest";
import { Lab } from "../lab/lab.ts";

export { describe, expect } from "vitest";

/** A test with a lab: one for each file, closed at its end. */
export const test = base.extend(
  "lab",
  { scope: "file" },
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the dependencies off the pattern
  async ({}, { onCleanup }) => {
    const lab = await Lab.create();
    onCleanup(() => lab.close());
    return lab;
  },
);
