/**
 * Constants of the protocol (§6.1). Times are in ms.
 *
 * Counters are JavaScript numbers, exact up to 2^53. So keys are changed after fewer messages than the protocol allows
 * (2^60 and 2^64 - 2^13 - 1), which at ten million messages a second is after 14 years.
 */
export const REKEY_AFTER_MESSAGES = 2 ** 52;
export const REJECT_AFTER_MESSAGES = 2 ** 53 - 2 ** 13 - 1;
export const REKEY_AFTER_TIME = 120_000;
export const REJECT_AFTER_TIME = 180_000;
export const REKEY_ATTEMPT_TIME = 90_000;
export const REKEY_TIMEOUT = 5_000;
export const KEEPALIVE_TIMEOUT = 10_000;
/** How long a cookie is good, and the secret that it is made of. */
export const COOKIE_TIME = 120_000;
/** Two ends that lost each other's initiations would lose each other's again without it. */
export const REKEY_JITTER = 334;
