/* SPDX-License-Identifier: Apache-2.0 */
/*
 * phantom.h - the sample archive's pixels: analytic ellipsoids with noise, nobody's body.
 *
 * The same arguments always give the same samples. Coordinates are the patient's (LPS), in mm.
 */
#ifndef PHANTOM_H
#define PHANTOM_H

#include <stdint.h>

#define CT_SIZE    512u
#define CT_SLICES  48u
#define CT_SPACING 0.7
#define CT_STEP    2.5

#define MR_SIZE    128u
#define MR_SLICES  20u
#define MR_SPACING 1.75
#define MR_STEP    6.0

#define US_COLUMNS 640u
#define US_ROWS    480u
#define US_IMAGES  6u

/* Hounsfield values of a thorax, CT_SIZE x CT_SIZE. */
void phantom_ct(int16_t *samples, unsigned slice);
/* A T2-weighted head, 0 to 4095, MR_SIZE x MR_SIZE. */
void phantom_mr(uint16_t *samples, unsigned slice);
/* A sector scan with colour Doppler, RGB interleaved. */
void phantom_us(uint8_t *samples, unsigned image);

/* The z of a slice's centre; slices go from feet to head. */
double phantom_ct_z(unsigned slice);
double phantom_mr_z(unsigned slice);

#endif
