/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader_series.h - series to measure the reader with, made as scanners make them: of the elements
 * that differ by slice most are small, and one private binary is most of the JSON.
 *
 *   ct     200 slices of 512 x 512, some 148 KB of JSON
 *   mr     150 slices of 64 x 64, some 500 KB of JSON
 *   dense  as ct, but all of the JSON is in 40 elements that differ in every slice: the worst case
 */
#ifndef READER_SERIES_H
#define READER_SERIES_H

/* Write a file in folder; free() the path. Failures end the program. */
char *reader_series_ct(const char *folder);
char *reader_series_mr(const char *folder);
char *reader_series_dense(const char *folder);

#endif
