/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value_text.c - DS and IS text.
 *
 * Nearly all numbers of real files are short decimals: m / 10^k with m below 2^53 and k up to 15 is
 * correctly rounded, as strtod's result is, so comparing that quotient with the value is the same
 * test as reading the text back, without writing it first.
 *
 * Threads: any. The locale's decimal point does not matter: none is read or written through printf.
 */
#include "value_text.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DS_NBYTES    16
#define EXACT_DOUBLE 9007199254740992.0 /* 2^53 */

static size_t put_digits(char *to, uint64_t value)
{
    char reversed[24];
    size_t n = 0;
    do {
        reversed[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < n; i++)
        to[i] = reversed[n - 1 - i];
    return n;
}

size_t dcb__integer_text(char text[DCB_NUMBER_TEXT], int64_t value)
{
    size_t n = 0;
    if (value < 0)
        text[n++] = '-';
    n += put_digits(text + n, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    text[n] = '\0';
    return n;
}

/* mantissa / 10^decimals as plain text. */
static size_t put_decimal(char *to, uint64_t mantissa, unsigned decimals)
{
    char digits[24];
    size_t n = put_digits(digits, mantissa), out = 0;
    if (decimals == 0) {
        memcpy(to, digits, n);
        return n;
    }
    if (n <= decimals) {
        to[out++] = '0';
        to[out++] = '.';
        for (size_t i = n; i < decimals; i++)
            to[out++] = '0';
        memcpy(to + out, digits, n);
        return out + n;
    }
    memcpy(to, digits, n - decimals);
    out = n - decimals;
    to[out++] = '.';
    memcpy(to + out, digits + n - decimals, decimals);
    return out + decimals;
}

static size_t short_decimal(char *text, double value)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    double magnitude = fabs(value);
    for (unsigned k = 0; k < sizeof powers / sizeof *powers; k++) {
        double scaled = magnitude * powers[k];
        if (scaled >= EXACT_DOUBLE)
            return 0;
        int64_t whole = (int64_t)scaled;
        whole += scaled - (double)whole >= 0.5; /* to the nearest */
        /* m / 10^k is off by half a unit of the last place at most, scaled by one: where it is off
           by more, the division need not be made. */
        if (fabs(scaled - (double)whole) > scaled * 4 * DBL_EPSILON ||
            (double)whole / powers[k] != magnitude)
            continue;
        char digits[DCB_NUMBER_TEXT * 2];
        size_t n = 0;
        if (signbit(value))
            digits[n++] = '-';
        n += put_decimal(digits + n, (uint64_t)whole, k);
        if (n > DS_NBYTES)
            return 0;
        memcpy(text, digits, n);
        return n;
    }
    return 0;
}

/* digits significant digits in scientific notation, shortened: 1.2300e-07 becomes 1.23e-7. */
static size_t put_scientific(char *text, double value, int digits)
{
    char raw[48];
    snprintf(raw, sizeof raw, "%.*e", digits - 1, value);
    char *exponent = strchr(raw, 'e');
    long power = strtol(exponent + 1, NULL, 10);
    size_t mantissa = (size_t)(exponent - raw);
    if (digits > 1) {
        for (size_t i = 0; i < mantissa; i++) /* whatever the locale's point is */
            if (raw[i] != '-' && (raw[i] < '0' || raw[i] > '9'))
                raw[i] = '.';
        while (raw[mantissa - 1] == '0')
            mantissa--;
        if (raw[mantissa - 1] == '.')
            mantissa--;
    }
    int n = snprintf(text, 48, "%.*s", (int)mantissa, raw);
    if (power != 0)
        n += snprintf(text + n, 48 - (size_t)n, "e%ld", power);
    return (size_t)n;
}

/* The value of a text that this file wrote, by digits: strtod would ask the locale for the point.
 */
static double read_back(double value, int digits)
{
    char raw[48];
    snprintf(raw, sizeof raw, "%.*e", digits - 1, value);
    return strtod(raw, NULL); /* written and read with the same locale */
}

/* Where plain notation holds more of the number in 16 characters than scientific does. */
static size_t nearest_plain(char *text, double value, double *difference)
{
    double magnitude = fabs(value);
    int room = DS_NBYTES - (signbit(value) ? 1 : 0);
    if (magnitude >= 1e15 || magnitude < 1e-5)
        return 0;
    int whole = magnitude < 10 ? 1 : (int)floor(log10(magnitude)) + 1;
    for (int decimals = room - whole - 1; decimals >= 0; decimals--) {
        char raw[64];
        int n = snprintf(raw, sizeof raw, "%.*f", decimals, value);
        if (n <= 0 || n > DS_NBYTES)
            continue;
        *difference = fabs(strtod(raw, NULL) - value);
        for (int i = 0; i < n; i++)
            if (raw[i] != '-' && (raw[i] < '0' || raw[i] > '9'))
                raw[i] = '.';
        if (decimals > 0)
            while (raw[n - 1] == '0')
                n--;
        if (raw[n - 1] == '.')
            n--;
        memcpy(text, raw, (size_t)n);
        return (size_t)n;
    }
    return 0;
}

size_t dcb__ds_text(char text[DCB_NUMBER_TEXT], double value)
{
    text[0] = '\0';
    if (!isfinite(value))
        return 0;
    size_t n = short_decimal(text, value);
    char candidate[48], best[48];
    size_t best_n = 0;
    double best_difference = INFINITY;
    for (int digits = 1; n == 0 && digits <= 17; digits++) {
        size_t length = put_scientific(candidate, value, digits);
        if (length > DS_NBYTES)
            break;
        double difference = fabs(read_back(value, digits) - value);
        if (difference < best_difference) {
            best_difference = difference;
            best_n = length;
            memcpy(best, candidate, length);
        }
        if (difference == 0)
            break;
    }
    if (n == 0) {
        double difference = INFINITY;
        n = best_difference == 0 ? 0 : nearest_plain(candidate, value, &difference);
        if (n > 0 && difference <= best_difference) {
            memcpy(text, candidate, n);
        } else {
            n = best_n;
            memcpy(text, best, n);
        }
    }
    text[n] = '\0';
    return n;
}
