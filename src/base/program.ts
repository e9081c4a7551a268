let name = "slipway";

/** The name by which this program was called. Lines on stderr begin with it. */
export function programName(): string {
  return name;
}

/** Longer names are cut: the native watchdog's message has no room for more. */
const MOST = 64;

/** @param called "" changes nothing */
export function setProgramName(called: string): void {
  if (called !== "") name = called.slice(0, MOST);
}
