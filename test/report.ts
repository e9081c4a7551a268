import { readFileSync } from "node:fs";
import path from "node:path";
import * as v from "valibot";

export const ROOT = path.dirname(import.meta.dirname);

/** What vitest's JSON reporter writes (vitest.config.ts): of the last run. */
export const REPORT = path.join(ROOT, "build", "test-report.json");

const assertion = v.object({ fullName: v.string(), status: v.string() });
const report = v.object({
  testResults: v.array(
    v.object({ name: v.string(), status: v.string(), assertionResults: v.array(assertion) }),
  ),
});

export interface Failed {
  /** From the project's root. */
  readonly file: string;
  /** By full name; none where the file itself could not be run. */
  readonly tests: readonly string[];
}

/** Of the last run. @throws when it wrote no report */
export function failedFiles(): readonly Failed[] {
  const { testResults } = v.parse(report, JSON.parse(readFileSync(REPORT, "utf8")));
  return testResults
    .filter(({ status }) => status === "failed")
    .map(({ name, assertionResults }) => {
      const failed = assertionResults.filter((each) => each.status === "failed");
      return { file: path.relative(ROOT, name), tests: failed.map(({ fullName }) => fullName) };
    });
}
