/** `npx node test/report.ts` tells which files of the last run took longest. */
import { readFileSync } from "node:fs";
import path from "node:path";
import * as v from "valibot";

const ROOT = path.dirname(import.meta.dirname);

/** What vitest's JSON reporter writes (vitest.config.ts): of the last run. */
export const REPORT = path.join(ROOT, "build", "test-report.json");

const LONGEST = 15;

const report = v.object({
  testResults: v.array(v.object({ name: v.string(), startTime: v.number(), endTime: v.number() })),
});

/** @throws when the last run wrote no report */
function tellLongest(): void {
  const { testResults } = v.parse(report, JSON.parse(readFileSync(REPORT, "utf8")));
  const took = testResults.map(({ name, startTime, endTime }) => ({
    file: path.relative(ROOT, name),
    seconds: (endTime - startTime) / 1_000,
  }));
  const sum = took.reduce((all, { seconds }) => all + seconds, 0);
  for (const { file, seconds } of took.toSorted((a, b) => b.seconds - a.seconds).slice(0, LONGEST))
    console.log(`${seconds.toFixed(1).padStart(6)} s  ${file}`);
  console.log(`${sum.toFixed(0).padStart(4)}   s  of ${took.length} files, several at a time`);
}

if (import.meta.main) tellLongest();
