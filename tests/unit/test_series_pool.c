/* SPDX-License-Identifier: Apache-2.0 */
#include "series_pool.h"
#include "temp_dir.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define NFILES 4

typedef struct fixture {
    char *dir;
    char *paths[NFILES];
    series_pool *pool;
    void *other; /* another series' bytes */
    size_t other_nbytes;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    size_t nbytes = 0;
    void *bytes = read_whole_file(TEST_DATA_DIR "/golden/tiny3/series.dcbs", &nbytes);
    f->other =
        read_whole_file(TEST_DATA_DIR "/golden/ct_phantom_small/series.dcbs", &f->other_nbytes);
    f->dir = temp_dir_create();
    for (int i = 0; i < NFILES; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.dcbs", i);
        f->paths[i] = path_join(f->dir, name);
        write_file(f->paths[i], bytes, nbytes);
    }
    free(bytes);
    assert_int_equal(series_pool_create(&f->pool, 2, NULL, NULL), DCB_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    series_pool_close(f->pool);
    for (int i = 0; i < NFILES; i++)
        free(f->paths[i]);
    temp_dir_remove(f->dir);
    free(f->other);
    free(f);
    return 0;
}

static dcb_series *get(fixture *f, int i)
{
    dcb_series *series = NULL;
    dcb_error error = DCB_ERROR_INIT;
    if (series_pool_get(&series, f->pool, f->paths[i], &error) != DCB_OK)
        fail_msg("%s", error.message);
    return series;
}

static void opens_once(void **state)
{
    fixture *f = *state;
    dcb_series *a = get(f, 0), *b = get(f, 0), *c = get(f, 1);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_int_equal(dcb_series_get_info(a)->nframes, 3);
    dcb_series_release(a);
    dcb_series_release(b);
    dcb_series_release(c);
}

static void closes_the_longest_unused(void **state)
{
    fixture *f = *state;
    dcb_series *held[NFILES];
    held[0] = get(f, 0);
    held[1] = get(f, 1);
    dcb_series_release(get(f, 0));
    held[2] = get(f, 2); /* of 0 and 1, 1 is unused for longer */
    dcb_series *again = get(f, 0);
    assert_ptr_equal(again, held[0]);
    dcb_series_release(again);
    again = get(f, 1);
    assert_ptr_not_equal(again, held[1]);
    dcb_series_release(again);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dcb_series_get_info(held[i])->nframes, 3); /* ours to the end */
        dcb_series_release(held[i]);
    }
}

static void a_replaced_file_is_opened_anew(void **state)
{
    fixture *f = *state;
    dcb_series *old = get(f, 0);
    replace_file(f->paths[0], f->other, f->other_nbytes);
    dcb_series *new = get(f, 0);
    assert_ptr_not_equal(old, new);
    assert_int_not_equal(dcb_series_get_info(new)->nframes, 3);
    assert_int_equal(dcb_series_get_info(old)->nframes, 3);
    dcb_frame *frame = NULL; /* the old file is still whole for who holds it */
    assert_int_equal(dcb_series_frame(&frame, old, 2, DCB_ENCODING_STORED, NULL), DCB_OK);
    dcb_frame_release(frame);
    dcb_series_release(old);
    dcb_series_release(new);
}

static void forgets(void **state)
{
    fixture *f = *state;
    dcb_series *old = get(f, 0);
    series_pool_forget(f->pool, f->paths[0]);
    series_pool_forget(f->pool, "/no/such/path");
    dcb_series *new = get(f, 0);
    assert_ptr_not_equal(old, new);
    dcb_series_release(old);
    dcb_series_release(new);
}

static void tells_why_not(void **state)
{
    fixture *f = *state;
    dcb_series *series = NULL;
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(unlink(f->paths[0]), 0);
    assert_int_equal(series_pool_get(&series, f->pool, f->paths[0], &error), DCB_ERR_IO);
    assert_null(series);
    assert_non_null(strstr(error.message, "No such file"));
    write_file(f->paths[0], "DCMCUBES cut off", 16);
    assert_int_equal(series_pool_get(&series, f->pool, f->paths[0], &error), DCB_ERR_FORMAT);
    assert_null(series);
    write_file(f->paths[0], f->other, f->other_nbytes); /* a failure is not kept */
    dcb_series_release(get(f, 0));
}

typedef struct hammer {
    fixture *fixture;
    unsigned seed;
    atomic_int *nfailed;
} hammer;

static void *hammer_pool(void *context)
{
    hammer *h = context;
    for (int i = 0; i < 300; i++) {
        int file = rand_r(&h->seed) % NFILES;
        dcb_series *series = NULL;
        if (rand_r(&h->seed) % 16 == 0)
            series_pool_forget(h->fixture->pool, h->fixture->paths[file]);
        if (series_pool_get(&series, h->fixture->pool, h->fixture->paths[file], NULL) != DCB_OK ||
            dcb_series_get_info(series)->nframes != 3)
            atomic_fetch_add(h->nfailed, 1);
        dcb_series_release(series);
    }
    return NULL;
}

static void many_threads(void **state)
{
    fixture *f = *state;
    atomic_int nfailed = 0;
    pthread_t threads[8];
    hammer hammers[8];
    for (unsigned i = 0; i < 8; i++) {
        hammers[i] = (hammer){f, i + 1, &nfailed};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_pool, &hammers[i]), 0);
    }
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(nfailed, 0);
}

/* ---- Files that are not there yet ---- */

typedef struct made {
    const char *path; /* of the one that he can make; NULL: he has made it */
    const void *bytes;
    size_t nbytes;
    unsigned nasked;
} made;

static bool has(void *context, const char *path)
{
    const made *m = context;
    return m->path != NULL && strcmp(m->path, path) == 0;
}

static void make(void *context, const char *path)
{
    made *m = context;
    m->nasked++;
    if (!has(m, path))
        return;
    write_file(path, m->bytes, m->nbytes);
    m->path = NULL;
}

static void files_are_made_for_who_asks(void **state)
{
    fixture *f = *state;
    made first = {f->paths[0], f->other, f->other_nbytes, 0}, second = first;
    series_maker makers[] = {{NULL, has, make, &first}, {NULL, has, make, &second}};
    second.path = f->paths[1];
    assert_int_equal(unlink(f->paths[0]), 0);
    assert_int_equal(unlink(f->paths[1]), 0);
    assert_int_equal(unlink(f->paths[2]), 0);
    assert_false(series_pool_has(f->pool, f->paths[0]));
    series_pool_add_maker(f->pool, &makers[0]);
    series_pool_add_maker(f->pool, &makers[1]);
    assert_true(series_pool_has(f->pool, f->paths[0]));
    assert_true(series_pool_has(f->pool, f->paths[1]));
    assert_false(series_pool_has(f->pool, f->paths[2]));
    assert_true(series_pool_has(f->pool, f->paths[3]));
    assert_int_equal(access(f->paths[0], F_OK), -1);
    for (int i = 0; i < 2; i++) {
        dcb_series *series = get(f, i);
        assert_int_equal(dcb_series_get_info(series)->nframes, 8);
        assert_true(series_pool_has(f->pool, f->paths[i]));
        dcb_series_release(series);
    }
    dcb_series *none = NULL;
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(series_pool_get(&none, f->pool, f->paths[2], &error), DCB_ERR_IO);
    assert_non_null(strstr(error.message, "No such file"));
    /* Nobody is asked for what is there, and nobody who was taken out. */
    const unsigned nasked = first.nasked;
    dcb_series_release(get(f, 3));
    series_pool_remove_maker(f->pool, &makers[0]);
    assert_int_equal(series_pool_get(&none, f->pool, f->paths[2], NULL), DCB_ERR_IO);
    assert_int_equal(first.nasked, nasked);
    series_pool_remove_maker(f->pool, &makers[1]);
    assert_int_equal(series_pool_get(&none, f->pool, f->paths[2], NULL), DCB_ERR_IO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(opens_once),
        TEST(closes_the_longest_unused),
        TEST(a_replaced_file_is_opened_anew),
        TEST(forgets),
        TEST(tells_why_not),
        TEST(many_threads),
        TEST(files_are_made_for_who_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
