/* SPDX-License-Identifier: Apache-2.0 */
/* dimse_status.c - looks statuses up in the table of dimse_status.h. */
#include "dimse_status.h"

#include <stddef.h>

typedef struct status_row {
    uint16_t value;
    const char *meaning;
} status_row;

static const status_row rows[] = {
#define STATUS_ROW(name, value, clause, meaning) {value, meaning},
    DIMSE_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};

dimse_status_class dimse_classify(uint16_t status)
{
    switch (status) {
    case 0x0000:
        return DIMSE_CLASS_SUCCESS;
    case 0xFF00:
    case 0xFF01:
        return DIMSE_CLASS_PENDING;
    case 0xFE00:
        return DIMSE_CLASS_CANCEL;
    case 0x0001: /* PS3.7 C.1.4 */
    case 0x0107:
    case 0x0116:
        return DIMSE_CLASS_WARNING;
    default:
        return status >> 12 == 0xB ? DIMSE_CLASS_WARNING : DIMSE_CLASS_FAILURE;
    }
}

const char *dimse_status_text(uint16_t status)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].value == status)
            return rows[i].meaning;
    }
    return "unknown status";
}

const char *dimse_outcome(uint16_t status)
{
    static const char *const NAMES[] = {"success", "pending", "cancelled", "warning", "failure"};
    return NAMES[dimse_classify(status)];
}
