import type { TestAnnotation } from "vitest";
import type { Reporter, TestCase } from "vitest/node";

/** Annotation types: a figure, and one that misses its goal. */
const MEASURED = "measured";
const MISSED = "missed";

/** vitest's function to annotate a test. */
export type Annotate = (text: string, type: string) => Promise<unknown>;

/**
 * Reports a figure and its goal. If a test tolerates a miss, because the figure depends on the
 * machine and its other users, the miss is printed.
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
