/* SPDX-License-Identifier: Apache-2.0 */
#include "dimse_status.h"
#include "fail_disk.h"
#include "index_file.h"
#include "ingest_fixture.h"
#include "temp_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cmocka.h>

#define CT       "1.2.840.10008.5.1.4.1.1.2"
#define EXPLICIT "1.2.840.10008.1.2.1"
#define IMPLICIT "1.2.840.10008.1.2"
#define DEFLATED "1.2.840.10008.1.2.1.99"
#define JPEG     "1.2.840.10008.1.2.4.50"

#define PIECE 100000 /* a PDV's worth */

typedef ingest_fixture fixture;

/* ---- Data sets ---- */

typedef struct data {
    const char *sop_class, *sop, *study, *series; /* NULL: missing */
    const char *name;
    size_t pixel_nbytes;
} data;

static const data usual = {CT, "1.2.3.1", "1.2.1", "1.2.2", "Doe^John", 2000};

static void put(dcb_dataset *dataset, uint32_t tag, dcb_vr vr, const char *text)
{
    if (text != NULL)
        assert_int_equal(dcb_dataset_put_text(dataset, tag, vr, text, NULL), DCB_OK);
}

static uint8_t *encode(size_t *nbytes, const data *d, dcb_syntax syntax)
{
    dcb_dataset *dataset = NULL;
    uint8_t *bytes = NULL, *pixels = calloc(1, d->pixel_nbytes);
    assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
    put(dataset, 0x00080016, DCB_VR('U', 'I'), d->sop_class);
    put(dataset, 0x00080018, DCB_VR('U', 'I'), d->sop);
    put(dataset, 0x00100010, DCB_VR('P', 'N'), d->name);
    put(dataset, 0x0020000D, DCB_VR('U', 'I'), d->study);
    put(dataset, 0x0020000E, DCB_VR('U', 'I'), d->series);
    for (size_t i = 0; i < d->pixel_nbytes; i++)
        pixels[i] = (uint8_t)(i * 31 >> 3);
    assert_int_equal(
        dcb_dataset_put(dataset, 0x7FE00010, DCB_VR('O', 'W'), pixels, d->pixel_nbytes, NULL),
        DCB_OK);
    assert_int_equal(dcb_dataset_encode(&bytes, nbytes, dataset, syntax, NULL), DCB_OK);
    dcb_dataset_close(dataset);
    free(pixels);
    return bytes;
}

static uint16_t send_bytes(fixture *f, const char *sop, const char *syntax, const uint8_t *bytes,
                           size_t nbytes)
{
    const ingest_request request = {7, syntax, CT, sop};
    ingest_verdict verdict;
    ingest_instance *instance = ingest_begin(f->ingest, &request);
    for (size_t at = 0; at < nbytes; at += PIECE)
        ingest_take(instance, bytes + at, nbytes - at < PIECE ? nbytes - at : PIECE);
    ingest_finish(instance, &verdict);
    ingest_free(instance);
    return verdict.status;
}

static uint16_t send_data(fixture *f, const data *d)
{
    size_t nbytes;
    uint8_t *bytes = encode(&nbytes, d, DCB_SYNTAX_EXPLICIT_LE);
    const uint16_t status =
        send_bytes(f, d->sop != NULL ? d->sop : "1.2.3.1", EXPLICIT, bytes, nbytes);
    free(bytes);
    return status;
}

/* The instance as the index finds it and the reader gives it; NULL: it is not there. */
static dcb_frame *fetch_from(fixture *f, const char *series_uid, const char *sop,
                             dcb_encoding encoding)
{
    const index_filter filter = {.sop_uids = &sop,
                                 .nsop_uids = 1,
                                 .series_uids = &series_uid,
                                 .nseries_uids = series_uid != NULL};
    index_cursor *cursor = NULL;
    index_instance found;
    dcb_series *series = NULL;
    dcb_frame *frame = NULL;
    ingest_settle(f->ingest);
    assert_int_equal(index_find_instances(&cursor, f->index, &filter, NULL), 0);
    if (index_cursor_next_instance(cursor, &found, NULL) == 1) {
        assert_int_equal(series_pool_get(&series, f->series, found.path, NULL), DCB_OK);
        assert_int_equal(dcb_series_frame(&frame, series, found.frame, encoding, NULL), DCB_OK);
        dcb_series_release(series);
    }
    index_cursor_close(cursor);
    return frame;
}

static dcb_frame *fetch(fixture *f, const char *sop, dcb_encoding encoding)
{
    return fetch_from(f, NULL, sop, encoding);
}

static void check_holds(fixture *f, const data *d)
{
    size_t nbytes, got_nbytes;
    uint8_t *bytes = encode(&nbytes, d, DCB_SYNTAX_EXPLICIT_LE);
    dcb_frame *frame = fetch_from(f, d->series, d->sop, DCB_ENCODING_STORED);
    assert_non_null(frame);
    const uint8_t *got = dcb_frame_dataset(frame, &got_nbytes);
    assert_int_equal(got_nbytes, nbytes);
    assert_memory_equal(got, bytes, nbytes);
    dcb_frame_release(frame);
    free(bytes);
}

static size_t count_spool(const fixture *f, const char *suffix)
{
    ingest_settle(f->ingest); /* files come after their answers */
    return ingest_fixture_count(f, true, suffix);
}

/* ---- Tests ---- */

static void test_kept_and_found_at_once(void **state)
{
    fixture *f = *state;
    data large = usual;
    large.sop = "1.2.3.2";
    large.pixel_nbytes = 3u << 20; /* beyond what the journal takes */
    assert_int_equal(send_data(f, &usual), DIMSE_SUCCESS);
    check_holds(f, &usual);
    assert_int_equal(send_data(f, &large), DIMSE_SUCCESS);
    check_holds(f, &large);
    ingest_fixture_stop(f);
    ingest_fixture_start(f);
    check_holds(f, &usual);
    check_holds(f, &large);
    assert_int_equal(count_spool(f, ".part"), 0);
}

/* An instance that came in one native encoding goes out in any other, with the same values. */
static void test_other_encodings(void **state)
{
    static const struct {
        const char *sop, *uid;
        dcb_syntax syntax;
    } arrivals[] = {{"1.5.1", EXPLICIT, DCB_SYNTAX_EXPLICIT_LE},
                    {"1.5.3", "1.2.840.10008.1.2.2", DCB_SYNTAX_EXPLICIT_BE}};
    static const dcb_encoding encodings[] = {DCB_ENCODING_EXPLICIT_LE, DCB_ENCODING_IMPLICIT_LE,
                                             DCB_ENCODING_EXPLICIT_BE};
    static const dcb_syntax syntaxes[] = {DCB_SYNTAX_EXPLICIT_LE, DCB_SYNTAX_IMPLICIT_LE,
                                          DCB_SYNTAX_EXPLICIT_BE};
    fixture *f = *state;
    for (size_t i = 0; i < sizeof arrivals / sizeof arrivals[0]; i++) {
        data d = usual;
        size_t nbytes, got_nbytes;
        d.sop = arrivals[i].sop;
        uint8_t *bytes = encode(&nbytes, &d, arrivals[i].syntax);
        assert_int_equal(send_bytes(f, d.sop, arrivals[i].uid, bytes, nbytes), DIMSE_SUCCESS);
        free(bytes);
        for (int k = 0; k < 3; k++) {
            bytes = encode(&nbytes, &d, syntaxes[k]);
            dcb_frame *frame = fetch(f, d.sop, encodings[k]);
            const uint8_t *got = dcb_frame_dataset(frame, &got_nbytes);
            assert_string_equal(dcb_frame_transfer_syntax_uid(frame),
                                dcb_encoding_uid(encodings[k]));
            assert_int_equal(got_nbytes, nbytes);
            assert_memory_equal(got, bytes, nbytes);
            dcb_frame_release(frame);
            free(bytes);
        }
    }
}

static void test_statuses(void **state)
{
    fixture *f = *state;
    const struct {
        data d;
        uint16_t status;
    } cases[] = {
        {{CT, "1.2.3.9", "1.2.1", "1.2.2", "A", 10}, DIMSE_IDENTIFIER_MISMATCH},
        {{"1.2.840.10008.5.1.4.1.1.4", "1.2.3.1", "1.2.1", "1.2.2", "A", 10},
         DIMSE_IDENTIFIER_MISMATCH},
        {{CT, NULL, "1.2.1", "1.2.2", "A", 10}, DIMSE_IDENTIFIER_MISMATCH},
        {{CT, "1.2.3.1", NULL, "1.2.2", "A", 10}, DIMSE_IDENTIFIER_MISMATCH},
        {{CT, "1.2.3.1", "1.2.1", NULL, "A", 10}, DIMSE_IDENTIFIER_MISMATCH},
    };
    size_t nbytes;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *bytes = encode(&nbytes, &cases[i].d, DCB_SYNTAX_EXPLICIT_LE);
        assert_int_equal(send_bytes(f, "1.2.3.1", EXPLICIT, bytes, nbytes), cases[i].status);
        free(bytes);
    }
    uint8_t *bytes = encode(&nbytes, &usual, DCB_SYNTAX_EXPLICIT_LE);
    assert_int_equal(send_bytes(f, "1.2.3.1", EXPLICIT, bytes, nbytes - 2),
                     DIMSE_UNABLE_TO_PROCESS);
    assert_int_equal(send_bytes(f, "1.2.3.1", IMPLICIT, bytes, nbytes), DIMSE_UNABLE_TO_PROCESS);
    assert_int_equal(send_bytes(f, "1.2.3.1", DEFLATED, bytes, nbytes), DIMSE_UNABLE_TO_PROCESS);
    assert_int_equal(send_bytes(f, "1.2.3.1", EXPLICIT, bytes, 0), DIMSE_IDENTIFIER_MISMATCH);
    memset(bytes + 4, 'x', 2); /* no VR */
    assert_int_equal(send_bytes(f, "1.2.3.1", EXPLICIT, bytes, nbytes), DIMSE_UNABLE_TO_PROCESS);
    free(bytes);
    assert_null(fetch(f, "1.2.3.1", DCB_ENCODING_STORED));
    assert_int_equal(count_spool(f, ".dcm"), 0);
}

static void test_abandoned_leaves_nothing(void **state)
{
    fixture *f = *state;
    const ingest_request request = {7, EXPLICIT, CT, "1.2.3.1"};
    uint8_t *bytes = calloc(1, 3u << 20);
    ingest_instance *instance = ingest_begin(f->ingest, &request);
    ingest_take(instance, bytes, 3u << 20);
    assert_int_equal(count_spool(f, ".part"), 1);
    ingest_free(instance);
    assert_int_equal(count_spool(f, ".part") + count_spool(f, ".dcm"), 0);
    free(bytes);
}

static void test_no_room(void **state)
{
    fixture *f = *state;
    f->options.store_reserve_mb = UINT32_MAX;
    assert_int_equal(send_data(f, &usual), DIMSE_OUT_OF_RESOURCES);
    f->options.store_reserve_mb = 0;
    assert_int_equal(send_data(f, &usual), DIMSE_SUCCESS);
}

static void test_duplicates(void **state)
{
    fixture *f = *state;
    data other = usual, elsewhere = usual;
    other.name = "Roe^Jane";
    elsewhere.series = "1.2.99";
    assert_int_equal(send_data(f, &usual), DIMSE_SUCCESS);
    /* Before and after the index has it. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send_data(f, &usual), DIMSE_SUCCESS);
        assert_int_equal(send_data(f, &other), DIMSE_WARNING_DUPLICATE);
        ingest_settle(f->ingest);
    }
    assert_int_equal(count_spool(f, ".dcm"), 1);
    check_holds(f, &usual);

    f->options.store_duplicates = DUPLICATES_REJECT;
    assert_int_equal(send_data(f, &other), DIMSE_UNABLE_TO_PROCESS);
    check_holds(f, &usual);

    f->options.store_duplicates = DUPLICATES_REPLACE;
    assert_int_equal(send_data(f, &other), DIMSE_WARNING_DUPLICATE);
    check_holds(f, &other);
    assert_int_equal(count_spool(f, ".dcm"), 2); /* nothing is deleted */

    f->options.store_duplicates = DUPLICATES_KEEP_FIRST;
    assert_int_equal(send_data(f, &elsewhere), DIMSE_WARNING_DUPLICATE);
    assert_int_equal(count_spool(f, ".dcm"), 3);
    check_holds(f, &elsewhere);
    check_holds(f, &other); /* each in its series */
}

/* The same data set in another native encoding is the same instance. */
static void test_same_in_another_encoding(void **state)
{
    fixture *f = *state;
    size_t nbytes;
    assert_int_equal(send_data(f, &usual), DIMSE_SUCCESS);
    uint8_t *bytes = encode(&nbytes, &usual, DCB_SYNTAX_EXPLICIT_BE);
    assert_int_equal(send_bytes(f, usual.sop, "1.2.840.10008.1.2.2", bytes, nbytes), DIMSE_SUCCESS);
    free(bytes);
    assert_int_equal(count_spool(f, ".dcm"), 1);
}

/* After a power failure files may be torn or missing that were acknowledged: the journal has them.
   Here the journal of a running node is copied, and the file damaged. */
static void test_replay_restores(void **state)
{
    fixture *f = *state;
    data second = usual, third = usual;
    second.sop = "1.2.3.2";
    second.pixel_nbytes = 300002; /* its file goes past the system's cache */
    third.sop = "1.2.3.3";
    assert_int_equal(send_data(f, &usual), DIMSE_SUCCESS);
    assert_int_equal(send_data(f, &second), DIMSE_SUCCESS);
    assert_int_equal(send_data(f, &third), DIMSE_SUCCESS);
    char *journal = ingest_fixture_path(f, "journal-0");
    size_t nbytes, file_nbytes;
    uint8_t *bytes = read_whole_file(journal, &nbytes);
    ingest_fixture_stop(f);

    char *first = ingest_fixture_path(f, "000000/000000001.dcm");
    char *middle = ingest_fixture_path(f, "000000/000000002.dcm");
    char *last = ingest_fixture_path(f, "000000/000000003.dcm");
    uint8_t *file = read_whole_file(middle, &file_nbytes);
    memset(file + file_nbytes - 100, 0, 100);
    write_file(middle, file, file_nbytes);
    assert_int_equal(truncate(first, 100), 0);
    assert_int_equal(unlink(last), 0);
    write_file(journal, bytes, nbytes);
    ingest_fixture_start(f);
    check_holds(f, &usual);
    check_holds(f, &second);
    check_holds(f, &third);
    free(file);

    /* A torn tail: the last record was not yet on the disk, its file neither. */
    ingest_fixture_stop(f);
    uint8_t *record = memmem(bytes, nbytes, third.sop, strlen(third.sop));
    assert_non_null(record);
    record[0] ^= 1;
    write_file(journal, bytes, nbytes);
    assert_int_equal(unlink(last), 0);
    assert_int_equal(truncate(middle, 300), 0);
    ingest_fixture_start(f);
    check_holds(f, &second);
    /* What is torn and in no journal was never acknowledged: it goes. */
    ingest_fixture_stop(f);
    assert_int_equal(truncate(middle, 300), 0);
    ingest_fixture_start(f);
    assert_int_equal(access(middle, F_OK), -1);
    check_holds(f, &usual);
    free(first);
    free(middle);
    free(last);
    free(journal);
    free(bytes);
}

/* What an older version's records hold is not passed over. */
static void test_an_older_journal_is_told(void **state)
{
    fixture *f = *state;
    struct {
        uint64_t magic, sequence, hash;
    } header = {0, 7, 0};
    size_t nbytes;
    memcpy(&header.magic, "DCBJRNL1", 8);
    header.hash = journal_hash(&header, 16);
    assert_int_equal(send_data(f, &usual), DIMSE_SUCCESS);
    ingest_close(f->ingest);
    char *journal = ingest_fixture_path(f, "journal-0");
    uint8_t *bytes = read_whole_file(journal, &nbytes);
    memcpy(bytes, &header, sizeof header);
    write_file(journal, bytes, nbytes);
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(ingest_open(&f->ingest, &f->options, f->index, f->series, &error), -1);
    assert_non_null(strstr(error.message, "journal-0 is of another dcbscp"));
    memset(bytes, 0, sizeof header);
    write_file(journal, bytes, nbytes);
    assert_int_equal(ingest_open(&f->ingest, &f->options, f->index, f->series, &error), 0);
    check_holds(f, &usual);
    free(bytes);
    free(journal);
}

/* A syncfs that fails says so once; what it lost cannot be told. So the journal is kept. */
static void test_the_journal_outlives_a_failed_sync(void **state)
{
    fixture *f = *state;
    size_t nbytes;
    assert_int_equal(send_data(f, &usual), DIMSE_SUCCESS);
    ingest_settle(f->ingest);
    fail_disk_at(1, EIO, FAIL_DISK_OWN_CALL);
    ingest_fixture_stop(f);
    assert_true(fail_disk_end());
    char *journal = ingest_fixture_path(f, "journal-0"),
         *file = ingest_fixture_path(f, "000000/000000001.dcm");
    uint8_t *bytes = read_whole_file(journal, &nbytes);
    assert_memory_equal(bytes, "DCBJRNL4", 8);
    assert_int_equal(truncate(file, 1000), 0);
    ingest_fixture_start(f);
    check_holds(f, &usual);
    free(bytes);
    free(journal);
    free(file);
}

/* No call would fail if the journal's writes were not durable any more: looked up by name. */
static void test_the_journal_is_written_through(void **state)
{
    fixture *f = *state;
    char link[64], target[4200];
    unsigned found = 0;
    assert_int_equal(send_data(f, &usual), DIMSE_SUCCESS);
    for (int fd = 0; fd < 256; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const ssize_t n = readlink(link, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strstr(target, f->store) == NULL || strstr(target, "/journal-") == NULL)
            continue;
        if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
            continue;
        assert_int_equal(fcntl(fd, F_GETFL) & O_DSYNC, O_DSYNC);
        found++;
    }
    assert_true(found > 0);
}

/* No call would fail if files went by the system's cache: asked is what that has of one. */
static void test_large_files_pass_the_cache(void **state)
{
    enum { PAGE = 4096, MAX = 100 };
    fixture *f = *state;
    data d = usual;
    unsigned char resident[MAX] = {0};
    struct statfs disk;
    struct stat st;
    unsigned n = 0;
    d.pixel_nbytes = 300002;
    assert_int_equal(send_data(f, &d), DIMSE_SUCCESS);
    ingest_settle(f->ingest);
    assert_int_equal(statfs(f->store, &disk), 0);
    char *path = ingest_fixture_path(f, "000000/000000001.dcm");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_in_range(st.st_size, d.pixel_nbytes, MAX * PAGE);
    void *mapped = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(mapped, MAP_FAILED);
    assert_int_equal(mincore(mapped, (size_t)st.st_size, resident), 0);
    for (int i = 0; i < MAX; i++)
        n += resident[i] & 1;
    if (disk.f_type == TMPFS_MAGIC)
        assert_true(n > 70); /* it has nothing else */
    else
        assert_int_equal(n, 1); /* the last, which is no whole block */
    munmap(mapped, (size_t)st.st_size);
    close(fd);
    free(path);
    check_holds(f, &d);
}

/* Sends until it is kept: the journal tries again after a second. */
static void send_until_kept(fixture *f, const data *d)
{
    uint16_t status = DIMSE_OUT_OF_RESOURCES;
    for (int tries = 0; tries < 200 && status != DIMSE_SUCCESS; tries++) {
        status = send_data(f, d);
        if (status != DIMSE_SUCCESS)
            usleep(50000);
    }
    assert_int_equal(status, DIMSE_SUCCESS);
    check_holds(f, d);
}

/* Whatever call fails: what was answered with success is there, also after a restart, and what was
   not can be sent again. Ends with the first call that neither instance makes. A call of the
   journal's own thread may fail without either instance knowing. */
static void fail_each_write(fixture *f, fail_disk_reach reach, size_t small_nbytes)
{
    data small = usual, large = usual;
    bool failed = true;
    unsigned n = 0;
    small.pixel_nbytes = small_nbytes;
    large.pixel_nbytes = 1500000;
    while (failed) {
        char small_uid[48], large_uid[48];
        snprintf(small_uid, sizeof small_uid, "1.7.%u.%d.%zu", ++n, (int)reach, small_nbytes);
        snprintf(large_uid, sizeof large_uid, "1.8.%u.%d.%zu", n, (int)reach, small_nbytes);
        small.sop = small_uid;
        large.sop = large_uid;
        fail_disk_at(n, reach == FAIL_DISK_FOREVER ? ENOSPC : EIO, reach);
        const uint16_t status = send_data(f, &small), status_large = send_data(f, &large);
        failed = fail_disk_end();
        if (n % 3 == 0) {
            ingest_fixture_stop(f);
            ingest_fixture_start(f);
        }
        assert_true(status == DIMSE_SUCCESS || status == DIMSE_OUT_OF_RESOURCES);
        assert_true(status_large == DIMSE_SUCCESS || status_large == DIMSE_OUT_OF_RESOURCES);
        const bool told = status != DIMSE_SUCCESS || status_large != DIMSE_SUCCESS;
        assert_true(failed == told || (failed && reach != FAIL_DISK_OWN_CALL));
        if (status == DIMSE_SUCCESS)
            check_holds(f, &small);
        if (status_large == DIMSE_SUCCESS)
            check_holds(f, &large);
        send_until_kept(f, &small);
        send_until_kept(f, &large);
    }
    assert_true(n > 10); /* both ways were gone to their ends */
    assert_int_equal(count_spool(f, ".part"), 0);
}

static void test_every_failing_write(void **state)
{
    /* The file of the second size goes past the system's cache, but for its end. */
    static const size_t small_nbytes[] = {2000, 300002};
    for (int i = 0; i < 2; i++) {
        fail_each_write(*state, FAIL_DISK_OWN_CALL, small_nbytes[i]);
        fail_each_write(*state, FAIL_DISK_ANY_CALL, small_nbytes[i]);
        fail_each_write(*state, FAIL_DISK_FOREVER, small_nbytes[i]);
    }
}

/* The disk takes the journal, and then no file: what was answered comes back, from the journal at
   the next start or as soon as files can be written; meanwhile nothing more is taken. */
static void test_files_fail_after_their_answers(void **state)
{
    fixture *f = *state;
    data d = usual, more = usual;
    for (int restart = 0; restart < 2; restart++) {
        d.sop = restart ? "1.10.1" : "1.10.0";
        more.sop = restart ? "1.11.1" : "1.11.0";
        char *folder = ingest_fixture_path(f, "000000");
        assert_int_equal(send_data(f, &usual), DIMSE_SUCCESS); /* the folder is there */
        ingest_settle(f->ingest);
        char *aside = ingest_fixture_path(f, "aside");
        assert_int_equal(rename(folder, aside), 0);
        write_file(folder, (const uint8_t *)"", 0);
        assert_int_equal(send_data(f, &d), DIMSE_SUCCESS);
        uint16_t status = DIMSE_SUCCESS;
        for (int tries = 0; tries < 100 && status == DIMSE_SUCCESS; tries++) {
            usleep(50000);
            status = send_data(f, &more);
        }
        assert_int_equal(status, DIMSE_OUT_OF_RESOURCES);
        /* What came is not compared with a file that is not there; and nobody waits for it. */
        assert_int_equal(send_data(f, &d), DIMSE_OUT_OF_RESOURCES);
        if (restart)
            ingest_fixture_stop(f);
        assert_int_equal(unlink(folder), 0);
        assert_int_equal(rename(aside, folder), 0);
        if (restart)
            ingest_fixture_start(f);
        check_holds(f, &d);
        send_until_kept(f, &more);
        assert_int_equal(send_data(f, &d), DIMSE_SUCCESS);
        free(folder);
        free(aside);
    }
}

/* More than all segments hold: they are used again after a checkpoint. */
static void test_segments_in_turn(void **state)
{
    fixture *f = *state;
    data d = usual;
    char uid[32];
    d.sop = uid;
    d.pixel_nbytes = 1000000;
    for (int i = 0; i < 220; i++) {
        snprintf(uid, sizeof uid, "1.9.%d", i);
        assert_int_equal(send_data(f, &d), DIMSE_SUCCESS);
    }
    check_holds(f, &d);
    assert_int_equal(count_spool(f, ".dcm"), 220);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, ingest_fixture_setup, ingest_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_kept_and_found_at_once),
        TEST(test_other_encodings),
        TEST(test_statuses),
        TEST(test_abandoned_leaves_nothing),
        TEST(test_no_room),
        TEST(test_duplicates),
        TEST(test_same_in_another_encoding),
        TEST(test_replay_restores),
        TEST(test_an_older_journal_is_told),
        TEST(test_the_journal_outlives_a_failed_sync),
        TEST(test_the_journal_is_written_through),
        TEST(test_large_files_pass_the_cache),
        TEST(test_every_failing_write),
        {"test_every_failing_write, grown journal", test_every_failing_write,
         ingest_fixture_setup_grown, ingest_fixture_teardown, NULL},
        TEST(test_files_fail_after_their_answers),
        TEST(test_segments_in_turn),
    };
    return cmocka_run_group_tests_name("ingest", tests, NULL, NULL);
}
