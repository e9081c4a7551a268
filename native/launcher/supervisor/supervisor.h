#ifndef SLIPWAY_SUPERVISOR_H
#define SLIPWAY_SUPERVISOR_H

/*
 * Returns in a child that is to become the daemon, and again in another one whenever a daemon has been
 * killed, or has failed after it had been at work: what was connected to networks by a command that
 * has long ended is waiting for it. Its own process stays behind and ends as the daemon does.
 */
void supervise_daemon(void);

#endif
