let name = "slipway";

/** The name that this program was called by, which begins the lines that it writes to stderr. */
export function programName(): string {
  return name;
}

/** Longer names are cut: the native watchdog's last words have room for so much of it. */
const MOST = 64;

/** @param called "" leaves it as it is */
export function setProgramName(called: string): void {
  if (called !== "") name = called.slice(0, MOST);
}
