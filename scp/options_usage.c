/* SPDX-License-Identifier: Apache-2.0 */
/* options_usage.c - the usage text, from the table of settings. */
#include "options.h"

#include "option_table.h"

#include <stdio.h>
#include <string.h>

void options_print_usage(void)
{
    puts("Usage: dcbscp [-c FILE] [--archive DIR]... [option]...\n"
         "Serves DiCube .dcbs files to DICOM workstations: C-ECHO, C-FIND, C-GET and C-MOVE;\n"
         "takes instances in by C-STORE where --store names a folder for them.\n");
    printf("  %-24s %s\n", "-c FILE", "configuration file (YAML); conf/dcbscp.yaml explains it");
    for (size_t i = 0; i < OPTION_NROWS; i++) {
        if (OPTION_ROWS[i].flag == NULL)
            continue;
        char flag[64];
        snprintf(flag, sizeof flag, "--%s %s", OPTION_ROWS[i].flag, OPTION_ROWS[i].argument);
        if (strlen(flag) > 24)
            printf("  %s\n  %-24s %s", flag, "", OPTION_ROWS[i].help);
        else
            printf("  %-24s %s", flag, OPTION_ROWS[i].help);
        if (OPTION_ROWS[i].default_text != NULL)
            printf(" [%s]", OPTION_ROWS[i].default_text);
        putchar('\n');
    }
    printf("  %-24s %s\n", "--check-config", "check the settings and exit: 0 good, 2 not");
    printf("  %-24s %s\n", "--print-config",
           "print the settings in force, and where each came from, as YAML; exit");
    printf("  %-24s %s\n  %-24s %s\n", "--version", "print the version and exit", "--help",
           "print this and exit");
    puts("\nOnly in the configuration file:");
    for (size_t i = 0; i < OPTION_NROWS; i++) {
        const option_row *row = &OPTION_ROWS[i];
        if (row->flag == NULL && row->default_text != NULL)
            printf("  %-24s %s [%s]\n", row->name, row->help, row->default_text);
        else if (row->flag == NULL)
            printf("  %-24s %s\n", row->name, row->help);
    }
    puts("\nEvery option is also the variable DCBSCP_NAME (DCBSCP_PORT=104), lists and records in\n"
         "YAML's flow style (DCBSCP_ARCHIVES='[/a, /b]'); DCBSCP_CONFIG names the file. The\n"
         "command line goes before the environment, that before the file.\n\n"
         "When ready, one line is printed to standard output; SIGTERM or SIGINT stops the node,\n"
         "a second one at once.\n"
         "Exit status: 0 stopped as asked, 1 could not run, 2 wrong option or configuration.");
}
