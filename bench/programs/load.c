/*
  * The bench's own load, for what iperf3 does not measure. One program for both ends:
 *
 *   load serve ADDRESS
 *   load transactions  ADDRESS PORT SECONDS
 *   load connect       ADDRESS PORT SECONDS
 *   load connect-byte  ADDRESS PORT SECONDS
 *   load flows         ADDRESS PORT SECONDS FLOWS DEPTH
 *   load hold          ADDRESS PORT FLOWS
 *   load serve-datagrams ADDRESS
 *   load datagrams-up   ADDRESS PORT STEP-SECONDS SIZE SEGMENTS
 *   load datagrams-down ADDRESS PORT STEP-SECONDS SIZE SEGMENTS
 *   load requests PATH SECONDS RATE DEPTH
 *   load reach NAME-SERVER PORT
 */
#include "client.h"
#include "datagrams.h"
#include "reach.h"
#include "requests.h"
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is(const char *word, int argc, char **argv, int arguments)
{
    return argc == arguments + 2 && strcmp(argv[1], word) == 0;
}

/* A positive number from the command line; the bench is its only caller. */
static double number(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (*end == '\0' && value > 0) return value;
    fprintf(stderr, "%s: not a positive number\n", text);
    exit(2);
}

int main(int argc, char **argv)
{
    if (is("serve", argc, argv, 1)) {
        serve(argv[2]);
        return 0;
    }
    if (is("serve-datagrams", argc, argv, 1)) {
        serve_datagrams(argv[2]);
        return 0;
    }
    if (is("requests", argc, argv, 4)) {
        run_requests(argv[2], number(argv[3]), number(argv[4]), (int)number(argv[5]));
        return 0;
    }
    if (is("reach", argc, argv, 2)) {
        struct endpoint name_server = endpoint_parse(argv[2], argv[3]);
        run_reach(&name_server);
        return 0;
    }
    if (argc < 5) {
        fprintf(stderr, "usage: see the head of bench/programs/load.c\n");
        return 2;
    }

    struct endpoint server = endpoint_parse(argv[2], argv[3]);
    double amount = number(argv[4]);
    if (is("transactions", argc, argv, 3)) run_transactions(&server, amount);
    else if (is("connect", argc, argv, 3)) run_connections(&server, amount, EXCHANGE_NOTHING);
    else if (is("connect-byte", argc, argv, 3)) run_connections(&server, amount, EXCHANGE_BYTE);
    else if (is("flows", argc, argv, 5))
        run_flows(&server, amount, (int)number(argv[5]), (int)number(argv[6]));
    else if (is("datagrams-up", argc, argv, 5))
        run_datagrams(&server, amount, HEADING_UP, (int)number(argv[5]), (int)number(argv[6]));
    else if (is("datagrams-down", argc, argv, 5))
        run_datagrams(&server, amount, HEADING_DOWN, (int)number(argv[5]), (int)number(argv[6]));
    else if (is("hold", argc, argv, 3)) hold_flows(&server, (int)amount);
    else {
        fprintf(stderr, "%s: unknown workload or wrong number of arguments\n", argv[1]);
        return 2;
    }
    return 0;
}
