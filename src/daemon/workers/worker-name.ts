/** What a thread of the daemon is called: the name by which the program knows that it runs in one. */
export const WORKER_NAME = "slipway-network";
