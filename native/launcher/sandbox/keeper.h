/* What stays of the broker once the network is up. */
#ifndef SLIPWAY_KEEPER_H
#define SLIPWAY_KEEPER_H

/*
 * Confines this process and serves until the other end of `socket` closes: tells the text of `resolv_conf`, and
 * at the end removes the file of the API's socket ("": there is none). `socket` is the only descriptor that it
 * keeps.
 */
_Noreturn void keeper_run(int socket, const char *resolv_conf, const char *api_socket);

#endif
