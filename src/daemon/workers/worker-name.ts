/** argv[2] of a thread of the daemon, by which the program knows that it runs in one; also the thread's name. */
export const WORKER_NAME = "slipway-network";
