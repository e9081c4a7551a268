/** Descriptors that every process starts with. */
export const Stdio = { Input: 0, Output: 1, Error: 2 } as const;
