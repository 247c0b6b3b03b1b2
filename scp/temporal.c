/* SPDX-License-Identifier: Apache-2.0 */
/* temporal.c - see temporal.h. */
#include "temporal.h"

#include <string.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

typedef struct scanner {
    const char *next, *end;
} scanner;

static size_t digits_ahead(const scanner *in)
{
    size_t count = 0;
    while (in->next + count < in->end && in->next[count] >= '0' && in->next[count] <= '9')
        count++;
    return count;
}

static bool read_number(scanner *in, size_t ndigits, int min, int max, int *out)
{
    if (digits_ahead(in) < ndigits)
        return false;
    int number = 0;
    for (size_t i = 0; i < ndigits; i++)
        number = number * 10 + (*in->next++ - '0');
    *out = number;
    return number >= min && number <= max;
}

static bool skip(scanner *in, char c)
{
    if (in->next == in->end || *in->next != c)
        return false;
    in->next++;
    return true;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1 January of year 0, in the Gregorian calendar. */
static int64_t day_number(int year, int month, int day)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t days = (int64_t)365 * year + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    days += before[month - 1] + day - 1;
    if (month > 2 && is_leap(year))
        days++;
    return days;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

static bool read_date(time_span *out, scanner *in)
{
    int year = 0, month = 0, day = 0;
    if (!read_number(in, 4, 0, 9999, &year))
        return false;
    const bool dotted = skip(in, '.');
    if (!read_number(in, 2, 1, 12, &month) || (dotted && !skip(in, '.')) ||
        !read_number(in, 2, 1, days_of_month(year, month), &day))
        return false;
    out->first = out->last = day_number(year, month, day);
    return in->next == in->end;
}

/* SS[.F{1,6}], the last part of TM and DT; 60 is a leap second (PS3.5 6.2). */
static bool read_seconds(time_span *out, scanner *in, int64_t base)
{
    int second = 0;
    if (!read_number(in, 2, 0, 60, &second))
        return false;
    int64_t unit = SECOND, first = base + second * SECOND;
    if (skip(in, '.')) {
        size_t ndigits = digits_ahead(in);
        if (ndigits < 1 || ndigits > 6)
            return false;
        for (; ndigits > 0; ndigits--) {
            unit /= 10;
            first += (*in->next++ - '0') * unit;
        }
    }
    *out = (time_span){first, first + unit - 1};
    return true;
}

/* HH[MM[SS[.F]]] after `base`. */
static bool read_clock(time_span *out, scanner *in, int64_t base)
{
    int hour = 0, minute = 0;
    if (!read_number(in, 2, 0, 23, &hour))
        return false;
    base += hour * HOUR;
    *out = (time_span){base, base + HOUR - 1};
    const bool colons = skip(in, ':');
    if (!colons && digits_ahead(in) == 0)
        return true;
    if (!read_number(in, 2, 0, 59, &minute))
        return false;
    base += minute * MINUTE;
    *out = (time_span){base, base + MINUTE - 1};
    if (colons ? !skip(in, ':') : digits_ahead(in) == 0)
        return true;
    return read_seconds(out, in, base);
}

/* &ZZXX, -1200 to +1400. */
static bool read_offset(int64_t *out, scanner *in)
{
    const bool west = *in->next == '-';
    if (!west && *in->next != '+')
        return false;
    in->next++;
    int hours = 0, minutes = 0;
    if (!read_number(in, 2, 0, west ? 12 : 14, &hours) || !read_number(in, 2, 0, 59, &minutes))
        return false;
    *out = hours * HOUR + minutes * MINUTE;
    if (*out > (west ? 12 : 14) * HOUR)
        return false;
    if (west)
        *out = -*out;
    return true;
}

static bool read_datetime(time_span *out, scanner *in)
{
    int year = 0, month = 1, day = 1;
    if (!read_number(in, 4, 0, 9999, &year))
        return false;
    out->first = day_number(year, 1, 1) * DAY;
    out->last = day_number(year + 1, 1, 1) * DAY - 1;
    if (digits_ahead(in) > 0) {
        if (!read_number(in, 2, 1, 12, &month))
            return false;
        out->first = day_number(year, month, 1) * DAY;
        out->last = out->first + days_of_month(year, month) * DAY - 1;
    }
    if (digits_ahead(in) > 0) {
        if (!read_number(in, 2, 1, days_of_month(year, month), &day))
            return false;
        out->first = day_number(year, month, day) * DAY;
        out->last = out->first + DAY - 1;
    }
    if (digits_ahead(in) > 0 && !read_clock(out, in, out->first))
        return false;
    if (in->next < in->end) {
        int64_t offset = 0;
        if (!read_offset(&offset, in))
            return false;
        out->first -= offset;
        out->last -= offset;
    }
    return in->next == in->end;
}

bool temporal_read(time_span *out, value_text value, dcb_vr vr)
{
    scanner in = {value.text, value.text + value.nbytes};
    if (vr == DCB_VR('D', 'A'))
        return read_date(out, &in);
    if (vr == DCB_VR('T', 'M'))
        return read_clock(out, &in, 0) && in.next == in.end;
    return read_datetime(out, &in);
}

/*
 * The hyphen of a range, or NULL. In DT a hyphen may begin an offset: by PS3.4 C.2.2.2.5 it does
 * where four digits of an allowed offset follow and then the end or the range's own hyphen.
 */
static const char *range_hyphen(value_text value, dcb_vr vr)
{
    const char *end = value.text + value.nbytes;
    const char *hyphen = memchr(value.text, '-', value.nbytes);
    if (hyphen == NULL || hyphen == value.text || vr != DCB_VR('D', 'T'))
        return hyphen;
    scanner in = {hyphen, end};
    int64_t offset = 0;
    if (read_offset(&offset, &in) && (in.next == end || *in.next == '-'))
        return in.next == end ? NULL : in.next;
    return hyphen;
}

bool temporal_read_key(time_span *out, value_text value, dcb_vr vr)
{
    const char *hyphen = range_hyphen(value, vr);
    if (hyphen == NULL)
        return temporal_read(out, value, vr);
    const char *end = value.text + value.nbytes;
    const value_text from = value_trim((value_text){value.text, (size_t)(hyphen - value.text)}, vr);
    const value_text to = value_trim((value_text){hyphen + 1, (size_t)(end - hyphen - 1)}, vr);
    if (from.nbytes == 0 && to.nbytes == 0)
        return false;
    time_span first = {INT64_MIN, INT64_MAX}, last = {INT64_MIN, INT64_MAX};
    if ((from.nbytes > 0 && !temporal_read(&first, from, vr)) ||
        (to.nbytes > 0 && !temporal_read(&last, to, vr)))
        return false;
    *out = (time_span){first.first, last.last};
    return true;
}
