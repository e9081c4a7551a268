#pragma once

/* Echoes on a free port of the address, which it prints as one line, until standard input closes. */
void serve(const char *address);
