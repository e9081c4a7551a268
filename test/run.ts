/**
 * Runs all tests once; if a few files of the lab failed, runs each of these once more, in a new lab and with nothing
 * beside it. The lab is a small internet of real kernels and programs: under load a datagram is lost or the scheduler
 * delays a process, and one such failure in 2,500 tests must not hide the other results. A file that passes only then
 * is printed as FLAKY at the end: it has a bug, in the test or in the product, to investigate. More files than MOST, a
 * unit test, or an error outside any test fail at once.
 */
import { spawnSync } from "node:child_process";
import { type Failed, failedFiles, ROOT } from "./report.ts";

/** How many files may be tried again. */
const MOST = 3;

/** @returns whether all passed */
function vitest(args: readonly string[]): boolean {
  const { status } = spawnSync("npx", ["vitest", "run", ...args], { cwd: ROOT, stdio: "inherit" });
  return status === 0;
}

function isForgivable(failed: readonly Failed[]): boolean {
  if (failed.length === 0 || failed.length > MOST) return false;
  return failed.every(({ file }) => file.startsWith("test/e2e/"));
}

/** @param args of vitest that select tests */
function run(args: readonly string[]): boolean {
  if (vitest(args)) return true;
  const failed = failedFiles();
  if (!isForgivable(failed)) return false;
  for (const { file, tests } of failed) {
    console.log(`\ntest: again, alone: ${file}, which failed in: ${tests.join("; ")}`);
    if (!vitest([file])) return false;
  }
  for (const { file, tests } of failed) {
    console.log(`test: FLAKY, investigate: ${file}: ${tests.join("; ")}`);
  }
  return true;
}

process.exitCode = run(process.argv.slice(2)) ? 0 : 1;
