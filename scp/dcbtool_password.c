/* SPDX-License-Identifier: Apache-2.0 */
/* dcbtool_password.c - dcbtool password: a line for users_file. */
#include "dcbtool.h"
#include "users.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* A line from standard input, not shown where that is a terminal. */
static bool read_hidden(char *out, size_t size, const char *prompt)
{
    struct termios shown, hidden;
    const bool terminal = tcgetattr(STDIN_FILENO, &shown) == 0;
    if (terminal) {
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
        fputs(prompt, stderr);
    }
    const bool there = fgets(out, (int)size, stdin) != NULL;
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        fputc('\n', stderr);
    }
    const size_t n = there ? strlen(out) : 0;
    if (n == 0 || out[n - 1] != '\n')
        return there && n + 1 < size; /* a last line may have no end */
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

int dcbtool_password(int argc, char **argv)
{
    char first[UL_PASSCODE_SIZE + 2] = "", again[UL_PASSCODE_SIZE + 2] = "", line[512];
    scp_error error = SCP_ERROR_INIT;
    int result = DCBTOOL_OK;
    if (argc != 2 || argv[1][0] == '-')
        return dcbtool_usage_error("password: expected one user name; see dcbtool --help");
    if (!read_hidden(first, sizeof first, "Passcode: "))
        result = dcbtool_failed("password: no passcode of at most %d bytes on standard input",
                                UL_PASSCODE_SIZE - 1);
    else if (isatty(STDIN_FILENO) &&
             (!read_hidden(again, sizeof again, "Again: ") || strcmp(first, again) != 0))
        result = dcbtool_failed("password: the two are not the same");
    else if (users_make_line(line, sizeof line, argv[1], first, &error) != 0)
        result = dcbtool_failed("password: %s", error.message);
    else
        fputs(line, stdout);
    explicit_bzero(first, sizeof first);
    explicit_bzero(again, sizeof again);
    return result;
}
