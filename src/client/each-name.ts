import { print } from "../base/stdio.js";

/**
 * Does the same for each name.
 * @param textOf what is printed of the results
 * @returns that text
 * @throws the first failure, after the other names had their turn and their results are printed
 */
export async function forEachName<T>(
  names: readonly string[],
  act: (name: string) => Promise<T>,
  textOf: (results: readonly T[]) => string,
): Promise<string> {
  const results: T[] = [];
  const failures: unknown[] = [];
  for (const name of names) {
    try {
      results.push(await act(name));
    } catch (error) {
      failures.push(error);
    }
  }
  const text = results.length > 0 ? textOf(results) : "";
  if (failures.length === 0) return text;
  print(text);
  throw failures[0];
}
