/** `npx node test/report.ts` shows which files of the last run took longest. */
import { readFileSync } from "node:fs";
import path from "node:path";
import * as v from "valibot";

export const ROOT = path.dirname(import.meta.dirname);

/** The output of vitest's JSON reporter (vitest.config.ts) for the last run. */
export const REPORT = path.join(ROOT, "build", "test-report.json");

const LONGEST = 15;

const report = v.object({
  testResults: v.array(
    v.object({
      name: v.string(),
      status: v.string(),
      startTime: v.number(),
      endTime: v.number(),
      assertionResults: v.array(v.object({ fullName: v.string(), status: v.string() })),
    }),
  ),
});

export interface Failed {
  /** From the project's root. */
  readonly file: string;
  /** By full name; none if the file itself could not be run. */
  readonly tests: readonly string[];
}

/** Of the last run. @throws if it wrote no report */
export function failedFiles(): readonly Failed[] {
  return readReport()
    .filter(({ status }) => status === "failed")
    .map(({ name, assertionResults }) => {
      const failed = assertionResults.filter((each) => each.status === "failed");
      return { file: path.relative(ROOT, name), tests: failed.map(({ fullName }) => fullName) };
    });
}

function readReport(): v.InferOutput<typeof report>["testResults"] {
  return v.parse(report, JSON.parse(readFileSync(REPORT, "utf8"))).testResults;
}

/** @throws if the last run wrote no report */
function tellLongest(): void {
  const took = readReport().map(({ name, startTime, endTime }) => ({
    file: path.relative(ROOT, name),
    seconds: (endTime - startTime) / 1_000,
  }));
  const sum = took.reduce((all, { seconds }) => all + seconds, 0);
  for (const { file, seconds } of took.toSorted((a, b) => b.seconds - a.seconds).slice(0, LONGEST))
    console.log(`${seconds.toFixed(1).padStart(6)} s  ${file}`);
  console.log(`${sum.toFixed(0).padStart(4)}   s  of ${took.length} files, several at a time`);
}

if (import.meta.main) tellLongest();
