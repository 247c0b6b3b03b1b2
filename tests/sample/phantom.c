/* SPDX-License-Identifier: Apache-2.0 */
/* phantom.c - ellipsoids painted one over the other, with soft edges and seeded noise. */
#include "phantom.h"

#include <math.h>
#include <stddef.h>

typedef struct ellipsoid {
    double x, y, z;    /* centre */
    double rx, ry, rz; /* half axes */
    double value;
} ellipsoid;

#define LONG 400.0 /* a half axis far longer than the volume: nearly a cylinder */

static const ellipsoid THORAX[] = {
    {0, 128, 0, 195, 9, LONG, -250},  /* table */
    {0, 128, 0, 190, 6, LONG, -920},  /* its foam */
    {0, 0, 0, 165, 113, LONG, -95},   /* fat */
    {0, 0, 0, 151, 99, LONG, 52},     /* muscle */
    {-70, -6, 25, 60, 76, 120, -862}, /* right lung */
    {72, -4, 25, 56, 74, 120, -868},  /* left lung */
    {-58, -2, -78, 78, 72, 62, 108},  /* liver */
    {80, 22, -82, 46, 52, 52, 118},   /* spleen */
    {0, -20, 10, 34, 62, 130, -70},   /* mediastinal fat */
    {14, -26, -8, 52, 44, 50, 48},    /* heart */
    {30, -24, -10, 27, 24, 32, 265},  /* left ventricle, contrast */
    {-14, -34, -6, 24, 22, 30, 215},  /* right ventricle */
    {22, 40, 0, 13, 13, LONG, 310},   /* descending aorta */
    {-8, -10, 75, 15, 15, 42, 300},   /* ascending aorta */
    {0, 14, 45, 9, 10, 60, -985},     /* trachea */
    {4, 30, 0, 7, 6, LONG, 25},       /* oesophagus */
    {0, 66, 0, 25, 21, LONG, 320},    /* vertebral body: cortex, */
    {0, 66, 0, 22, 18, LONG, 165},    /* marrow */
    {0, 94, 0, 15, 13, LONG, 420},    /* arch */
    {0, 92, 0, 10, 8, LONG, 18},      /* spinal canal */
    {0, -92, 10, 17, 6, LONG, 280},   /* sternum */
    {-104, -52, 0, 9, 5, LONG, 560},  /* ribs */
    {104, -52, 0, 9, 5, LONG, 560},   {-131, -8, 0, 5, 12, LONG, 590},
    {131, -8, 0, 5, 12, LONG, 590},   {-118, 46, 0, 7, 10, LONG, 610},
    {118, 46, 0, 7, 10, LONG, 610},   {-70, 84, 0, 13, 5, LONG, 600},
    {70, 84, 0, 13, 5, LONG, 600},    {-52, 8, 10, 5, 4, 60, 40}, /* pulmonary vessels */
    {-66, -26, 10, 3.5, 3.5, 50, 35}, {54, 12, 10, 5, 4, 60, 40},
    {70, -24, 10, 3.5, 3.5, 50, 35},  {-88, 20, 15, 2.5, 2.5, 45, 20},
    {90, 22, 15, 2.5, 2.5, 45, 20},   {-82, -34, 22, 7, 7, 7, 38}, /* a nodule */
    {84, 6, 34, 2.4, 2.4, 2.4, 880},                               /* a calcified one */
    {-74, -12, -38, 11, 10, 9, 62},                                /* a lesion of the liver */
};

static const ellipsoid HEAD[] = {
    {0, 0, 0, 84, 102, 92, 1900},  /* scalp */
    {0, 0, 0, 78, 96, 86, 130},    /* skull */
    {0, 0, 0, 72, 90, 80, 3350},   /* fluid */
    {-34, 0, 2, 34, 82, 74, 1560}, /* grey matter, right and left */
    {34, 0, 2, 34, 82, 74, 1560},      {-33, 2, 4, 27, 70, 60, 1080},  /* white matter */
    {33, 2, 4, 27, 70, 60, 1080},      {-13, -6, 8, 7, 28, 14, 3500},  /* lateral ventricles */
    {13, -6, 8, 7, 28, 14, 3500},      {0, 4, -6, 3, 14, 9, 3450},     /* third ventricle */
    {-22, 2, -4, 9, 15, 9, 1380},                                      /* basal ganglia */
    {22, 2, -4, 9, 15, 9, 1380},       {0, 54, -46, 44, 26, 24, 1420}, /* cerebellum */
    {0, 22, -48, 13, 13, 34, 1180},                                    /* brain stem */
    {-30, -82, -36, 12, 12, 12, 3700},                                 /* eyes */
    {30, -82, -36, 12, 12, 12, 3700},  {38, 18, 26, 8, 7, 7, 2750},    /* a lesion */
    {38, 18, 26, 3.5, 3, 3, 3600},
};

/* ---- Noise ----------------------------------------------------------------------------------- */

static double uniform(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

/* Nearly normal, variance 1. */
static double normal(uint64_t *state)
{
    double sum = 0;
    for (int i = 0; i < 4; i++)
        sum += uniform(state);
    return (sum - 2.0) * 1.7320508075688772;
}

/* ---- Painting -------------------------------------------------------------------------------- */

/* How much of a pixel of size mm at a point the ellipsoid covers, 0 to 1, nearly. */
static double coverage(const ellipsoid *e, double x, double y, double z, double size)
{
    double dx = x - e->x, dy = y - e->y, dz = z - e->z;
    if (fabs(dx) > e->rx + size || fabs(dy) > e->ry + size || fabs(dz) > e->rz + size)
        return 0;
    double radius =
        sqrt(dx * dx / (e->rx * e->rx) + dy * dy / (e->ry * e->ry) + dz * dz / (e->rz * e->rz));
    double thinnest = e->rx < e->ry ? e->rx : e->ry;
    double edge = 0.5 + (1 - radius) * thinnest / size;
    return edge < 0 ? 0 : edge > 1 ? 1 : edge;
}

static double paint(const ellipsoid *shapes, size_t nshapes, double background, double x, double y,
                    double z, double size)
{
    double value = background;
    for (size_t i = 0; i < nshapes; i++)
        value += (shapes[i].value - value) * coverage(&shapes[i], x, y, z, size);
    return value;
}

static double clamp(double value, double least, double most)
{
    return value < least ? least : value > most ? most : value;
}

double phantom_ct_z(unsigned slice)
{
    return (slice - (CT_SLICES - 1) / 2.0) * CT_STEP;
}

double phantom_mr_z(unsigned slice)
{
    return (slice - (MR_SLICES - 1) / 2.0) * MR_STEP;
}

void phantom_ct(int16_t *samples, unsigned slice)
{
    uint64_t seed = 1000 + slice;
    double half = (CT_SIZE - 1) / 2.0;
    for (unsigned row = 0; row < CT_SIZE; row++) {
        for (unsigned column = 0; column < CT_SIZE; column++) {
            double x = (column - half) * CT_SPACING, y = (row - half) * CT_SPACING;
            double value = paint(THORAX, sizeof THORAX / sizeof THORAX[0], -1000, x, y,
                                 phantom_ct_z(slice), CT_SPACING);
            /* More photons are lost in the middle of the body. */
            double deep = clamp(1 - (x * x / (165 * 165) + y * y / (113 * 113)), 0, 1);
            value += normal(&seed) * (7 + 9 * deep);
            *samples++ = (int16_t)lrint(clamp(value, -1024, 3071));
        }
    }
}

void phantom_mr(uint16_t *samples, unsigned slice)
{
    uint64_t seed = 2000 + slice;
    double half = (MR_SIZE - 1) / 2.0;
    for (unsigned row = 0; row < MR_SIZE; row++) {
        for (unsigned column = 0; column < MR_SIZE; column++) {
            double x = (column - half) * MR_SPACING, y = (row - half) * MR_SPACING;
            double value =
                paint(HEAD, sizeof HEAD / sizeof HEAD[0], 0, x, y, phantom_mr_z(slice), MR_SPACING);
            value *= 1 - 0.0012 * y; /* the coil's shading */
            double real = value + normal(&seed) * 38, imaginary = normal(&seed) * 38;
            *samples++ = (uint16_t)lrint(clamp(hypot(real, imaginary), 0, 4095));
        }
    }
}

/* Grey of the tissue at an angle (radians from straight down) and depth (0 to 1). */
static double echo(double angle, double depth, double beat)
{
    double grey = 92 * (1 - 0.55 * depth);
    if (depth < 0.06)
        grey = 170; /* skin */
    double dx = angle * 1.4, dy = depth - 0.5;
    if (dx * dx / 0.16 + dy * dy / (0.035 + 0.01 * beat) < 1)
        grey = 9; /* a cavity */
    if (fabs(dx * dx / 0.16 + dy * dy / (0.035 + 0.01 * beat) - 1) < 0.16)
        grey += 80; /* its wall */
    return grey;
}

static void put_pixel(uint8_t *rgb, double red, double green, double blue)
{
    rgb[0] = (uint8_t)lrint(clamp(red, 0, 255));
    rgb[1] = (uint8_t)lrint(clamp(green, 0, 255));
    rgb[2] = (uint8_t)lrint(clamp(blue, 0, 255));
}

void phantom_us(uint8_t *samples, unsigned image)
{
    uint64_t seed = 3000 + image;
    double beat = sin(2 * 3.14159265358979323846 * image / US_IMAGES);
    for (unsigned row = 0; row < US_ROWS; row++) {
        for (unsigned column = 0; column < US_COLUMNS; column++, samples += 3) {
            double x = ((double)column - US_COLUMNS / 2.0) / 430, y = ((double)row - 18) / 430;
            double depth = hypot(x, y), angle = atan2(x, y);
            double speckle = -log(1 - uniform(&seed) * 0.999);
            if (column >= 24 && column < 40 && row >= 60 && row < 316) {
                put_pixel(samples, 315.0 - row, 315.0 - row, 315.0 - row); /* grey scale */
            } else if (fabs(angle) > 0.72 || depth < 0.03 || depth > 1) {
                put_pixel(samples, 0, 0, 0);
            } else {
                double grey = echo(angle, depth, beat) * (0.45 + 0.4 * sqrt(speckle));
                double jet = 1 - (angle * angle * 60 + (depth - 0.5) * (depth - 0.5) * 45);
                if (jet > 0.15) /* flow to the probe is red, from it blue */
                    put_pixel(samples, beat > 0 ? 90 + 165 * jet : 0, 60 * jet,
                              beat > 0 ? 0 : 90 + 165 * jet);
                else
                    put_pixel(samples, grey, grey, grey * 1.04);
            }
        }
    }
}
