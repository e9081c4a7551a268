/** What a healthy transfer must keep of its rate beside whatever else goes on. */
export const KEPT = 0.8;
/** Gbit/s, far below what the machines do on which that was found. */
const SLOW = 10;

/**
 * A virtual machine that has lost its processors to others for hours did 5 Gbit/s instead of 20. There the
 * same commit that had passed failed, with the same attacks: what costs a kernel's call had become dearer
 * than what costs bytes. Then less is asked for than the issue asks, so as to tell a slow machine from a fault.
 * @param alone Gbit/s of a transfer without the rest
 * @param least the ratio that is asked for on a slow machine
 */
export function keptOf(alone: number, least: number): number {
  return alone >= SLOW ? KEPT : least;
}
