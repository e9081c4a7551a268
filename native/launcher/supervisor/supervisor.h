#ifndef SLIPWAY_SUPERVISOR_H
#define SLIPWAY_SUPERVISOR_H

/*
 * Returns in a child, which is to become the daemon; and again in another one when a daemon was killed, or failed
 * after it had been at work: attachments made by commands that have long ended are waiting for it. The parent
 * stays behind and ends as the daemon does.
 */
void supervise_daemon(void);

#endif
