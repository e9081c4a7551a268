import type { TestAnnotation } from "vitest";
import type { Reporter, TestCase } from "vitest/node";

/** An annotation's type: a figure, and one that is not what an issue asks for. */
export const MEASURED = "measured";
export const MISSED = "missed";

/**
 * A figure of rates or waits that is held against what an issue asks. It depends on the machine and on who
 * else uses it, so a miss is printed and fails nothing; what fails a test is a loss beyond any machine's whim.
 */
export const figureType = (isReached: boolean) => (isReached ? MEASURED : MISSED);

/** Prints what the tests measured, with the misses last. */
export class FiguresReporter implements Reporter {
  readonly #lines: Record<string, string[]> = { [MEASURED]: [], [MISSED]: [] };

  onTestCaseAnnotate(test: TestCase, { type, message }: TestAnnotation): void {
    this.#lines[type]?.push(`${type}: ${test.fullName}: ${message}`);
  }

  onTestRunEnd(): void {
    console.log(Object.values(this.#lines).flat().join("\n"));
  }
}
