/* SPDX-License-Identifier: Apache-2.0 */
/* dcbtool_main.c - dcbtool's commands and how they report errors. */
#include "dcbtool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COMMAND_NAMES                                                                              \
    "info, extract, preview, verify, pack, status, query, reindex, password or echo"

static const char USAGE[] =
    "Usage: dcbtool info FILE [--json]\n"
    "       dcbtool extract FILE [-f N[,N-N]... | --all] [-o DIR]\n"
    "                       [--syntax htj2k|explicit|implicit|source]\n"
    "       dcbtool preview FILE [-f N] [--window C,W] [--size PX] -o OUT.png\n"
    "       dcbtool verify FILE|DIR... [--jobs N]\n"
    "       dcbtool pack FILE|DIR... -o DIR [--jobs N]\n"
    "       dcbtool status [URL] [--json | --quiet] [--token-file FILE] [--ca-file FILE]\n"
    "       dcbtool query (--archive DIR | --state DIR | -c FILE) [KEY VALUE]... [--json]\n"
    "                       [--level patient|study|series] [--files]\n"
    "       dcbtool reindex (--archive DIR [--state DIR] | -c FILE)\n"
    "       dcbtool reindex URL [--token-file FILE] [--ca-file FILE]\n"
    "       dcbtool password NAME\n"
    "       dcbtool echo [HOST [PORT]] [--called TITLE] [--calling TITLE] [--timeout S]\n"
    "Looks into DiCube .dcbs files, takes DICOM instances out of them, makes such files; asks a\n"
    "node how it is, and its index what there is.\n"
    "\n"
    "info      tells what a file holds: patient, study, series, image, encoding, sections.\n"
    "  --json               the same as one JSON object\n"
    "\n"
    "extract   writes frames as DICOM Part 10 files, named by frame: 0000.dcm, 0001.dcm, ...\n"
    "  -f, --frames LIST    frames by number, counted from 0: 5 or 0,7,20-29\n"
    "  --all                every frame; so it is without -f too\n"
    "  -o, --output DIR     where they go [.]; made if missing; files there are replaced\n"
    "  --syntax NAME        htj2k: pixels as they are stored, lossless (1.2.840.10008.1.2.4.201\n"
    "                       or .202); explicit, implicit: decoded, little endian; source: the\n"
    "                       syntax that the instance came in, where files of our own tell it and\n"
    "                       it is not another compressed one, else explicit [htj2k]\n"
    "\n"
    "preview   renders a frame, or a contact sheet of the series, as PNG; not for diagnosis.\n"
    "  -f, --frame N        that frame [a sheet of up to 64, numbered]\n"
    "  --window C,W         VOI window in real-world units [the file's own, else all values]\n"
    "  --size PX            the longer side of a frame or of a tile [as it is; tiles 128]\n"
    "  -o, --output FILE    where to\n"
    "\n"
    "verify    checks files, and all .dcbs files of folders, against the format: what lies where,\n"
    "          metadata, UIDs, every codestream by every decoder, every frame in every encoding.\n"
    "          One line for each problem, PATH: frame N: what; then a summary.\n"
    "  -j, --jobs N         threads [one for each processor]\n"
    "\n"
    "pack      makes one .dcbs file of each series, from which every instance comes back exactly;\n"
    "          what such a file cannot hold exactly is copied beside it. Any lossless transfer\n"
    "          syntax. Slices go by place, or by Instance Number. Then a summary.\n"
    "  -o, --output DIR     where to; made if missing; nothing there is replaced\n"
    "  -j, --jobs N         threads that encode [one for each processor]\n"
    "\n"
    "status    asks a running node, by its HTTP port (http_port), how it is. Exit status 0: "
    "ready.\n"
    "  URL                  [http://127.0.0.1:11180/]\n"
    "  --json               what /status.json says\n"
    "  --quiet              only the exit status; wants no token\n"
    "  --token-file FILE    the node's http_token_file [$DCBSCP_HTTP_TOKEN_FILE]\n"
    "  --ca-file FILE       for https: whom to trust [$DCBSCP_TLS_CA_FILE, else the system's]\n"
    "\n"
    "query     lists what an archive holds, from its index; a node may run meanwhile. Values are "
    "as\n"
    "          in C-FIND: 'doe*', 20260101-20260131.\n"
    "  --archive DIR        the archive; or --state DIR, its state folder; or -c FILE, dcbscp's\n"
    "                       configuration\n"
    "  --level NAME         patient, study or series [study]\n"
    "  --name, --patient, --date, --accession, --description, --modality, --study, --series VALUE\n"
    "                       patient's name and ID, study's date, accession number, description,\n"
    "                       modality, UIDs\n"
    "  --files              the files of the study or series, one a line\n"
    "  --json               an array of objects\n"
    "\n"
    "reindex   makes the index of an archive anew from its files, where no node runs; with a URL\n"
    "          the running node reads all files again. Options are dcbscp's own.\n"
    "\n"
    "password  reads a passcode from the terminal (or a line of standard input) and prints the\n"
    "          line for users_file that lets the user NAME in.\n"
    "\n"
    "echo      asks a node for C-ECHO: does it answer? [127.0.0.1, port 11112]\n"
    "  --called TITLE       its AE title [DCBSCP]; this and the port come from DCBSCP_AE_TITLE "
    "and\n"
    "                       DCBSCP_PORT where they are set, as the node's own do\n"
    "  --calling TITLE      ours [DCBTOOL]\n"
    "  --timeout S          seconds for the connection and for each answer [5]\n"
    "\n"
    "  --version            print the version and exit\n"
    "  --help               print this and exit\n"
    "\n"
    "A damaged frame is reported and the others are written.\n"
    "Exit status: 0 all done and well, 1 something could not be read or written or verify found\n"
    "problems, 2 wrong usage.\n";

static void print_error(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0)));

static void print_error(const char *format, va_list arguments)
{
    char message[1024];
    vsnprintf(message, sizeof message, format, arguments);
    fprintf(stderr, "dcbtool: %s\n", message);
}

int dcbtool_usage_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_error(format, arguments);
    va_end(arguments);
    return DCBTOOL_USAGE;
}

int dcbtool_failed(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_error(format, arguments);
    va_end(arguments);
    return DCBTOOL_FAILED;
}

int dcbtool_file_failed(const char *path, const dcb_error *error)
{
    if (error->offset == UINT64_MAX)
        return dcbtool_failed("%s: %s", path, error->message);
    return dcbtool_failed("%s: %s (at byte %llu)", path, error->message,
                          (unsigned long long)error->offset);
}

int dcbtool_frame_failed(const char *path, uint32_t frame, const dcb_error *error)
{
    dcb_error named = *error;
    char prefix[24];
    snprintf(prefix, sizeof prefix, "frame %u", (unsigned)frame);
    if (strncmp(error->message, prefix, strlen(prefix)) != 0)
        snprintf(named.message, sizeof named.message, "%s: %.200s", prefix, error->message);
    return dcbtool_file_failed(path, &named);
}

static int run(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } COMMANDS[] = {{"info", dcbtool_info},         {"extract", dcbtool_extract},
                    {"preview", dcbtool_preview},   {"verify", dcbtool_verify},
                    {"pack", dcbtool_pack},         {"status", dcbtool_status},
                    {"query", dcbtool_query},       {"reindex", dcbtool_reindex},
                    {"password", dcbtool_password}, {"echo", dcbtool_echo}};

    if (argc < 2)
        return dcbtool_usage_error("a command is missing: " COMMAND_NAMES "; see dcbtool --help");
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        if (strcmp(argv[1], COMMANDS[i].name) == 0)
            return COMMANDS[i].run(argc - 1, argv + 1);
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("dcbtool " DCB_VERSION);
        return DCBTOOL_OK;
    }
    for (int i = 1; i < argc && argv[1][0] == '-'; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(USAGE, stdout);
            return DCBTOOL_OK;
        }
    }
    return dcbtool_usage_error("unknown command \"%.40s\": " COMMAND_NAMES "; see dcbtool --help",
                               argv[1]);
}

int main(int argc, char **argv)
{
    int status = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (status == DCBTOOL_OK)
            status = dcbtool_failed("standard output cannot be written");
    }
    return status;
}
