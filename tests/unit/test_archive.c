/* SPDX-License-Identifier: Apache-2.0 */
/* The archive's thread works while the test looks: it waits for generations, never for time. */
#include "archive_private.h"
#include "index_file.h"
#include "make_dcbs.h"
#include "temp_dir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define DEADLINE_MS 20000

typedef struct fixture {
    char *dir, *root, *log_path;
    char *archives[1];
    scp_options options;
    archive_tuning tuning;
    scp_index *index;
    series_pool *pool;
    scp_archive *archive;
    uint64_t seen;
    int old_stderr;
    void *codestream; /* within bytes */
    size_t codestream_nbytes;
    uint8_t *golden;
} fixture;

/* ---- The node's part ---- */

static void start(fixture *f)
{
    scp_error error = SCP_ERROR_INIT;
    if (index_open(&f->index, f->options.state_dir, &error) != 0 ||
        archive_start(&f->archive, &f->options, f->index, f->pool, &f->tuning, &error) != 0)
        fail_msg("%s", error.message);
    f->seen = archive_generation(f->archive);
}

static void stop(fixture *f)
{
    archive_stop(f->archive);
    index_close(f->index);
    f->archive = NULL;
    f->index = NULL;
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    size_t nbytes = 0;
    f->golden = read_whole_file(TEST_DATA_DIR "/golden/tiny3/series.dcbs", &nbytes);
    f->codestream = f->golden + 1162; /* format section 1 */
    f->codestream_nbytes = 262;
    f->dir = temp_dir_create();
    f->root = path_join(f->dir, "archive");
    assert_int_equal(mkdir(f->root, 0700), 0);
    f->archives[0] = f->root;
    f->options = (scp_options){.archives = f->archives, .narchives = 1};
    f->options.state_dir = path_join(f->root, ".dcbscp");
    f->tuning = (archive_tuning)ARCHIVE_TUNING_INIT;
    f->tuning.settle_ms = f->tuning.grow_ms = 0;
    assert_int_equal(series_pool_create(&f->pool, 8, NULL, NULL), DCB_OK);
    f->log_path = path_join(f->dir, "log");
    log_configure(LOG_DEBUG, LOG_TEXT);
    f->old_stderr = dup(2);
    int fd = open(f->log_path, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && dup2(fd, 2) == 2);
    close(fd);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    if (f->archive != NULL)
        stop(f);
    dup2(f->old_stderr, 2);
    close(f->old_stderr);
    series_pool_close(f->pool);
    free(f->options.state_dir);
    free(f->root);
    free(f->log_path);
    temp_dir_remove(f->dir);
    free(f->golden);
    free(f);
    return 0;
}

/* ---- Files ---- */

static char *in_root(fixture *f, const char *name)
{
    return path_join(f->root, name);
}

static uint8_t *series_bytes(fixture *f, size_t *nbytes, const char *sop, int n)
{
    index_file file = {.patient_id = "P",
                       .name = "N",
                       .study = "1",
                       .series = "1.1",
                       .modality = "CT",
                       .sop = sop,
                       .first = 1,
                       .n = n};
    return index_file_dcbs(nbytes, &file, f->codestream, f->codestream_nbytes);
}

static void add(fixture *f, const char *name, const char *sop)
{
    size_t nbytes = 0;
    uint8_t *bytes = series_bytes(f, &nbytes, sop, 1);
    char *path = in_root(f, name);
    write_file(path, bytes, nbytes);
    free(path);
    free(bytes);
}

static void replace(fixture *f, const char *name, const char *sop)
{
    size_t nbytes = 0;
    uint8_t *bytes = series_bytes(f, &nbytes, sop, 1);
    char *path = in_root(f, name);
    replace_file(path, bytes, nbytes);
    free(path);
    free(bytes);
}

static void add_garbage(fixture *f, const char *name, const char *bytes)
{
    char *path = in_root(f, name);
    write_file(path, bytes, strlen(bytes));
    free(path);
}

static void make_folder(fixture *f, const char *name)
{
    char *path = in_root(f, name);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static void move(fixture *f, const char *from, const char *to)
{
    char *a = in_root(f, from), *b = in_root(f, to);
    assert_int_equal(rename(a, b), 0);
    free(a);
    free(b);
}

static void delete (fixture *f, const char *name)
{
    char *path = in_root(f, name);
    assert_int_equal(remove(path), 0);
    free(path);
}

static void make_link(fixture *f, const char *target, const char *name)
{
    char *path = in_root(f, name);
    assert_int_equal(symlink(target, path), 0);
    free(path);
}

/* ---- Looking ---- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "name=sop" of all instances below the root, sorted, separated by spaces; then bad files. */
static void describe(fixture *f, char *out, size_t size)
{
    index_cursor *cursor = NULL;
    scp_error error = SCP_ERROR_INIT;
    char *lines[64];
    size_t n = 0;
    if (index_find_instances(&cursor, f->index, NULL, &error) != 0)
        fail_msg("%s", error.message);
    index_instance instance;
    while (n < 64 && index_cursor_next_instance(cursor, &instance, &error) == 1) {
        size_t root = strncmp(instance.path, f->root, strlen(f->root)) == 0 ? strlen(f->root) : 0;
        assert_true(asprintf(&lines[n++], "%s=%s", instance.path + root + (root > 0),
                             instance.sop_instance_uid) > 0);
    }
    index_cursor_close(cursor);
    qsort(lines, n, sizeof lines[0], compare_lines);
    index_totals totals;
    assert_int_equal(index_get_totals(f->index, &totals, &error), 0);
    size_t length = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        length += (size_t)snprintf(out + length, size - length, "%s ", lines[i]);
        free(lines[i]);
    }
    snprintf(out + length, size - length, "bad=%u", (unsigned)totals.bad_files);
}

static void expect(fixture *f, const char *expected)
{
    char found[4096];
    for (;;) {
        describe(f, found, sizeof found);
        if (strcmp(found, expected) == 0 || !archive_wait(f->archive, &f->seen, DEADLINE_MS))
            break;
    }
    assert_string_equal(found, expected);
}

/* Lines of the log with all of the words. */
static int count_log(fixture *f, const char *event, const char *word)
{
    size_t nbytes = 0;
    char *text = read_whole_file(f->log_path, &nbytes), *rest = text;
    text[nbytes] = '\0';
    int n = 0;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;)
        n += strstr(line, event) != NULL && strstr(line, word) != NULL;
    free(text);
    return n;
}

static void wait_for_log(fixture *f, const char *event, const char *word)
{
    while (count_log(f, event, word) == 0)
        assert_true(archive_wait(f->archive, &f->seen, DEADLINE_MS));
}

/* ---- Tests ---- */

static void the_first_scan(void **state)
{
    fixture *f = *state;
    make_folder(f, "a");
    make_folder(f, "a/b");
    make_folder(f, "a/.hidden");
    add(f, "top.dcbs", "1");
    add(f, "a/b/deep.dcbs", "2");
    add(f, "a/.hidden/x.dcbs", "3");
    add(f, "a/.y.dcbs", "4");
    add(f, "a/z.dcbs.tmp", "5");
    add(f, "a/dcbs", "6");
    start(f);
    expect(f, "a/b/deep.dcbs=2.1 top.dcbs=1.1 bad=0");
}

static void files_come_and_go(void **state)
{
    fixture *f = *state;
    start(f);
    expect(f, "bad=0");
    add(f, "a.dcbs", "1");
    expect(f, "a.dcbs=1.1 bad=0");
    add(f, "a.dcbs", "2"); /* written in place */
    expect(f, "a.dcbs=2.1 bad=0");
    replace(f, "a.dcbs", "3");
    expect(f, "a.dcbs=3.1 bad=0");
    move(f, "a.dcbs", "b.dcbs");
    expect(f, "b.dcbs=3.1 bad=0");
    move(f, "b.dcbs", "b.not");
    expect(f, "bad=0");
    move(f, "b.not", "c.dcbs");
    expect(f, "c.dcbs=3.1 bad=0");
    delete (f, "c.dcbs");
    expect(f, "bad=0");
    assert_int_equal(count_log(f, "file.removed", "c.dcbs"), 1);
}

static void folders_come_and_go(void **state)
{
    fixture *f = *state;
    start(f);
    make_folder(f, "a");
    make_folder(f, "a/b");
    make_folder(f, "a/b/c");
    add(f, "a/b/c/1.dcbs", "1");
    expect(f, "a/b/c/1.dcbs=1.1 bad=0");
    move(f, "a/b", "moved");
    expect(f, "moved/c/1.dcbs=1.1 bad=0");
    add(f, "moved/c/2.dcbs", "2"); /* still watched */
    expect(f, "moved/c/1.dcbs=1.1 moved/c/2.dcbs=2.1 bad=0");
    make_folder(f, "new"); /* moved into before it is watched */
    move(f, "moved/c", "new/c");
    expect(f, "new/c/1.dcbs=1.1 new/c/2.dcbs=2.1 bad=0");
    add(f, "new/c/3.dcbs", "3");
    expect(f, "new/c/1.dcbs=1.1 new/c/2.dcbs=2.1 new/c/3.dcbs=3.1 bad=0");
    move(f, "new", "../outside");
    expect(f, "bad=0");
    add(f, "../outside/c/4.dcbs", "4"); /* no longer watched */
    move(f, "../outside", "back");
    expect(f, "back/c/1.dcbs=1.1 back/c/2.dcbs=2.1 back/c/3.dcbs=3.1 back/c/4.dcbs=4.1 bad=0");
    move(f, "back", ".back"); /* hidden */
    expect(f, "bad=0");
    move(f, ".back", "back");
    delete (f, "back/c/1.dcbs");
    delete (f, "back/c/2.dcbs");
    delete (f, "back/c/3.dcbs");
    expect(f, "back/c/4.dcbs=4.1 bad=0");
    delete (f, "back/c/4.dcbs");
    delete (f, "back/c");
    make_folder(f, "back/c");
    add(f, "back/c/5.dcbs", "5");
    expect(f, "back/c/5.dcbs=5.1 bad=0");
}

static void bad_files_are_told_once(void **state)
{
    fixture *f = *state;
    add_garbage(f, "a.dcbs", "this is no such file");
    start(f);
    expect(f, "bad=1");
    assert_int_equal(count_log(f, "file.bad", "a.dcbs"), 1);
    stop(f);
    start(f); /* not again */
    add(f, "sentinel.dcbs", "9");
    expect(f, "sentinel.dcbs=9.1 bad=1");
    assert_int_equal(count_log(f, "file.bad", "a.dcbs"), 1);
    add_garbage(f, "a.dcbs", "DCMCUBEA is another kind of file");
    delete (f, "sentinel.dcbs");
    expect(f, "bad=1");
    assert_int_equal(count_log(f, "file.bad", "a.dcbs"), 2);
    replace(f, "a.dcbs", "1");
    expect(f, "a.dcbs=1.1 bad=0");
    add_garbage(f, "a.dcbs", "damaged"); /* a good one that goes bad */
    expect(f, "bad=1");
    assert_int_equal(count_log(f, "file.bad", "a.dcbs"), 3);
    delete (f, "a.dcbs");
    expect(f, "bad=0");
}

/* A copy under way when the scan meets it is no bad file. */
static void a_growing_file_is_given_time(void **state)
{
    fixture *f = *state;
    f->tuning.grow_ms = 3600000;
    size_t nbytes = 0;
    uint8_t *bytes = series_bytes(f, &nbytes, "1", 2);
    char *path = in_root(f, "a.dcbs");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes, nbytes - 10), nbytes - 10);
    start(f);
    add(f, "sentinel.dcbs", "9");
    expect(f, "sentinel.dcbs=9.1 bad=0");
    assert_int_equal(write(fd, bytes + nbytes - 10, 10), 10);
    close(fd);
    expect(f, "a.dcbs=1.1 a.dcbs=1.2 sentinel.dcbs=9.1 bad=0");
    assert_int_equal(count_log(f, "file.bad", ""), 0);
    free(path);
    free(bytes);
}

static void a_file_cut_off_for_good_is_judged(void **state)
{
    fixture *f = *state;
    f->tuning.settle_ms = f->tuning.grow_ms = 30;
    size_t nbytes = 0;
    uint8_t *bytes = series_bytes(f, &nbytes, "1", 2);
    char *path = in_root(f, "a.dcbs");
    start(f);
    write_file(path, bytes, nbytes - 10); /* its first slice is whole */
    expect(f, "bad=1");
    assert_int_equal(count_log(f, "file.bad", "before 1 of its 2 frames"), 1);
    write_file(path, bytes, nbytes); /* the rest comes after all */
    expect(f, "a.dcbs=1.1 a.dcbs=1.2 bad=0");
    write_file(path, bytes, 100);
    add(f, "sentinel.dcbs", "9");
    while (count_log(f, "file.bad", "a.dcbs") < 2)
        assert_true(archive_wait(f->archive, &f->seen, DEADLINE_MS));
    expect(f, "sentinel.dcbs=9.1 bad=1");
    free(path);
    free(bytes);
}

/* DiCube writes files without metadata from NIfTI. */
static void files_without_metadata_are_told(void **state)
{
    fixture *f = *state;
    make_frame frames[] = {{f->codestream, f->codestream_nbytes}};
    make_dcbs dcbs = {.pixel_header_json = "{\"RescaleSlope\": 1.0, \"RescaleIntercept\": 0.0, "
                                           "\"PixelDtype\": \"int16\"}",
                      .nframes = 1,
                      .frames = frames};
    char *path = in_root(f, "bare.dcbs");
    assert_int_equal(make_dcbs_write(path, &dcbs), 0);
    start(f);
    index_cursor *cursor = NULL;
    const dcb_dataset *record = NULL;
    char modality[16];
    assert_int_equal(index_find(&cursor, f->index, LEVEL_IMAGE, NULL, NULL), 0);
    assert_int_equal(index_cursor_next(cursor, &record, NULL), 1);
    dcb_dataset_get_text(record, 0x00080060, modality, sizeof modality);
    assert_string_equal(modality, "OT");
    index_cursor_close(cursor);
    stop(f);
    start(f);
    assert_int_equal(count_log(f, "file.no_metadata", path), 1);
    free(path);
}

static void restarts_read_what_changed(void **state)
{
    fixture *f = *state;
    make_folder(f, "a");
    add(f, "a/1.dcbs", "1");
    add(f, "a/2.dcbs", "2");
    add(f, "a/3.dcbs", "3");
    start(f);
    expect(f, "a/1.dcbs=1.1 a/2.dcbs=2.1 a/3.dcbs=3.1 bad=0");
    assert_int_equal(count_log(f, "scan.finished", "files=3 read=3"), 1);
    stop(f);
    start(f);
    assert_int_equal(count_log(f, "scan.finished", "files=3 read=0"), 1);
    stop(f);
    delete (f, "a/1.dcbs");
    replace(f, "a/2.dcbs", "7");
    start(f);
    expect(f, "a/2.dcbs=7.1 a/3.dcbs=3.1 bad=0");
    assert_int_equal(count_log(f, "scan.finished", "files=2 read=1"), 1);
}

static void links(void **state)
{
    fixture *f = *state;
    make_folder(f, "../ext");
    make_folder(f, "../ext/sub");
    add(f, "../ext/sub/1.dcbs", "1");
    add(f, "../single.dcbs", "2");
    make_link(f, "..", "../ext/sub/loop"); /* leads to ext, which is there already */
    make_folder(f, "real");
    add(f, "real/3.dcbs", "3");
    make_link(f, "real", "again");         /* within the archive: not followed */
    make_link(f, "real/3.dcbs", "3.dcbs"); /* the same */
    make_link(f, "nowhere", "broken.dcbs");
    make_link(f, "../ext", "ext");
    make_link(f, "../single.dcbs", "single.dcbs");
    start(f);
    expect(f, "ext/sub/1.dcbs=1.1 real/3.dcbs=3.1 single.dcbs=2.1 bad=0");
    add(f, "../ext/sub/4.dcbs", "4");
    expect(f, "ext/sub/1.dcbs=1.1 ext/sub/4.dcbs=4.1 real/3.dcbs=3.1 single.dcbs=2.1 bad=0");
    delete (f, "ext"); /* the link alone */
    delete (f, "single.dcbs");
    expect(f, "real/3.dcbs=3.1 bad=0");
    make_link(f, "../ext", "ext2");
    make_link(f, "../single.dcbs", "two.dcbs");
    expect(f, "ext2/sub/1.dcbs=1.1 ext2/sub/4.dcbs=4.1 real/3.dcbs=3.1 two.dcbs=2.1 bad=0");
    char *hard = in_root(f, "hard.dcbs"), *file = in_root(f, "../single.dcbs");
    delete (f, "two.dcbs");
    assert_int_equal(link(file, hard), 0);
    expect(f, "ext2/sub/1.dcbs=1.1 ext2/sub/4.dcbs=4.1 hard.dcbs=2.1 real/3.dcbs=3.1 bad=0");
    free(hard);
    free(file);
}

static void without_enough_watches_it_scans(void **state)
{
    fixture *f = *state;
    make_folder(f, "a");
    make_folder(f, "b");
    f->tuning.max_watches = 2; /* the root and a */
    f->tuning.rescan_ms = 20;
    start(f);
    add(f, "b/1.dcbs", "1");
    expect(f, "b/1.dcbs=1.1 bad=0");
    delete (f, "b/1.dcbs");
    expect(f, "bad=0");
    add(f, "a/2.dcbs", "2");
    expect(f, "a/2.dcbs=2.1 bad=0");
    assert_int_equal(count_log(f, "archive.watch_limit", "max_user_watches"), 1);
}

static void a_lost_archive_folder_comes_back(void **state)
{
    fixture *f = *state;
    char *state_dir = f->options.state_dir;
    f->options.state_dir = path_join(f->dir, "state");
    f->tuning.rescan_ms = 20;
    add(f, "1.dcbs", "1");
    start(f);
    expect(f, "1.dcbs=1.1 bad=0");
    char *gone = path_join(f->dir, "gone");
    assert_int_equal(rename(f->root, gone), 0);
    wait_for_log(f, "archive.folder_lost", "files=1");
    expect(f, "1.dcbs=1.1 bad=0"); /* still found */
    assert_int_equal(count_log(f, "archive.folder_missing", f->root), 1);
    assert_int_equal(rename(gone, f->root), 0);
    wait_for_log(f, "archive.folder_back", f->root);
    add(f, "2.dcbs", "2");
    expect(f, "1.dcbs=1.1 2.dcbs=2.1 bad=0");
    assert_int_equal(count_log(f, "file.indexed", "1.dcbs"), 1); /* not read again */
    /* An empty folder in its place: a mount point with nothing mounted, but for a note. */
    assert_int_equal(rename(f->root, gone), 0);
    assert_int_equal(mkdir(f->root, 0700), 0);
    add_garbage(f, "NOT_MOUNTED", "");
    wait_for_log(f, "archive.folder_lost", "files=2");
    expect(f, "1.dcbs=1.1 2.dcbs=2.1 bad=0");
    stop(f);
    start(f); /* nor does a restart forget */
    expect(f, "1.dcbs=1.1 2.dcbs=2.1 bad=0");
    add(f, "3.dcbs", "3"); /* it is in use after all: what is not in it is gone */
    expect(f, "3.dcbs=3.1 bad=0");
    free(gone);
    stop(f);
    free(f->options.state_dir);
    f->options.state_dir = state_dir;
}

/* All files deleted, one by one, is no loss: the folder is the one that it was. Nor is one lost for
   ever. */
static void emptied_archive_folders_are_empty(void **state)
{
    fixture *f = *state;
    char *state_dir = f->options.state_dir;
    f->options.state_dir = path_join(f->dir, "state");
    f->tuning.rescan_ms = 20;
    f->tuning.max_watches = 0; /* no events: only scans */
    add(f, "1.dcbs", "1");
    start(f);
    delete (f, "1.dcbs");
    expect(f, "bad=0");
    add(f, "2.dcbs", "2");
    expect(f, "2.dcbs=2.1 bad=0");
    stop(f);
    f->tuning.keep_ms = 1;
    start(f);
    char *gone = path_join(f->dir, "gone");
    assert_int_equal(rename(f->root, gone), 0);
    expect(f, "bad=0");
    assert_int_equal(rename(gone, f->root), 0);
    expect(f, "2.dcbs=2.1 bad=0");
    free(gone);
    stop(f);
    free(f->options.state_dir);
    f->options.state_dir = state_dir;
}

static void duplicates_are_told(void **state)
{
    fixture *f = *state;
    start(f);
    add(f, "b.dcbs", "1");
    expect(f, "b.dcbs=1.1 bad=0");
    add(f, "c.dcbs", "1"); /* newer, or later by path */
    expect(f, "c.dcbs=1.1 bad=0");
    assert_int_equal(count_log(f, "file.duplicate_instances", "instances=1"), 1);
    delete (f, "c.dcbs");
    expect(f, "b.dcbs=1.1 bad=0");
}

/* The kernel's queue is too long to fill in a test; the scan itself is tested above. */
static void lost_events_mean_a_scan(void **state)
{
    (void)state;
    scp_archive archive = {0};
    struct inotify_event event = {.wd = -1, .mask = IN_Q_OVERFLOW};
    archive__event(&archive, &event);
    assert_true(archive.rescan_now);
}

static void archive_folders_must_be_there(void **state)
{
    fixture *f = *state;
    scp_error error = SCP_ERROR_INIT;
    scp_archive *archive = NULL;
    assert_int_equal(index_open(&f->index, f->options.state_dir, &error), 0);
    char *wrong[] = {path_join(f->dir, "none"), path_join(f->dir, "log")};
    static const char *const reasons[] = {"No such file", "is not a folder"};
    for (int i = 0; i < 2; i++) {
        f->archives[0] = wrong[i];
        assert_int_equal(archive_start(&archive, &f->options, f->index, f->pool, NULL, &error), -1);
        assert_null(archive);
        assert_non_null(strstr(error.message, reasons[i]));
        assert_non_null(strstr(error.message, wrong[i]));
        free(wrong[i]);
    }
    index_close(f->index);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_first_scan),
        TEST(files_come_and_go),
        TEST(folders_come_and_go),
        TEST(bad_files_are_told_once),
        TEST(a_growing_file_is_given_time),
        TEST(a_file_cut_off_for_good_is_judged),
        TEST(files_without_metadata_are_told),
        TEST(restarts_read_what_changed),
        TEST(links),
        TEST(without_enough_watches_it_scans),
        TEST(a_lost_archive_folder_comes_back),
        TEST(emptied_archive_folders_are_empty),
        TEST(duplicates_are_told),
        TEST(lost_events_mean_a_scan),
        TEST(archive_folders_must_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
