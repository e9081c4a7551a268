#pragma once

/* Echoes on a free port of the address, printed as one line, until standard input closes. */
void serve(const char *address);
