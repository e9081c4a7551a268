import type { TestAnnotation } from "vitest";
import type { Reporter, TestCase } from "vitest/node";

/** An annotation's type: a figure, and one that is not what an issue asks for. */
const MEASURED = "measured";
const MISSED = "missed";

/** What vitest gives a test to note something with. */
export type Annotate = (text: string, type: string) => Promise<unknown>;

/**
 * Of a figure that is held against what an issue asks. Where a test grants more, as the figure depends on the
 * machine and on who else uses it, a miss is printed.
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
