/** Standard descriptors. */
export const Stdio = { Input: 0, Output: 1, Error: 2 } as const;
