/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users.c - see users.h.
 *
 * Invariant: of a user that is not there a hash is computed all the same, with another one's
 * settings; only the comparison knows.
 */
#include "users.h"

#include "log.h"

#include <arpa/inet.h>
#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LINE_BYTES      512
#define ADDRESSES       256 /* that are remembered for their failures */
#define MOST_FILE_BYTES (4u << 20)

/* Of a passcode that nobody knows; its cost is that of the lines that we make. */
static const char STAND_IN[] =
    "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$kFGPyosfMC5w8Qj0RuGs9hXJXKpK2TqMfnIakxo0/A5";

typedef struct failures {
    uint8_t address[16]; /* an IPv6 one to its network of 64 bits */
    uint32_t count;
    int64_t since_ms;
} failures;

struct scp_users {
    pthread_mutex_t lock; /* all below */
    uint32_t nchecks;
    failures failures[ADDRESSES];
};

scp_users *users_create(void)
{
    scp_users *users = calloc(1, sizeof *users);
    if (users != NULL)
        pthread_mutex_init(&users->lock, NULL);
    return users;
}

void users_close(scp_users *users)
{
    if (users == NULL)
        return;
    pthread_mutex_destroy(&users->lock);
    free(users);
}

/* ---- The file ---- */

/* What a search through the file found. */
typedef struct entry {
    bool found;
    char hash[LINE_BYTES];  /* the user's; "": none is needed */
    char other[LINE_BYTES]; /* the first hash in the file */
    uint32_t nusers;
    bool strangers_read; /* others than its owner and group may read it */
} entry;

static int check_name(const char *name, scp_error *error)
{
    if (name[0] == '\0' || strlen(name) >= UL_USER_SIZE)
        return scp_fail(error, "a user name has 1 to %d bytes", UL_USER_SIZE - 1);
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        if (*c < 0x20 || *c == 0x7f || *c == ':')
            return scp_fail(error, "a user name has no colon and no control character");
    }
    return name[0] == '#' ? scp_fail(error, "a user name does not begin with #") : 0;
}

static int take_line(entry *out, char *line, const char *wanted, scp_error *error)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#')
        return 0;
    char *hash = strchr(line, ':');
    if (hash == NULL)
        return scp_fail(error, "expected NAME:HASH; dcbtool password makes such a line");
    *hash++ = '\0';
    if (check_name(line, error) != 0)
        return -1;
    if (hash[0] != '\0' && crypt_checksalt(hash) != CRYPT_SALT_OK)
        return scp_fail(error, "the hash of user \"%s\" is none that crypt(3) takes as safe", line);
    out->nusers++;
    if (out->other[0] == '\0')
        snprintf(out->other, sizeof out->other, "%s", hash);
    if (wanted != NULL && strcmp(line, wanted) == 0) {
        if (out->found)
            return scp_fail(error, "user \"%s\" is there twice", line);
        out->found = true;
        snprintf(out->hash, sizeof out->hash, "%s", hash);
    }
    return 0;
}

static int search_file(entry *out, const char *path, const char *wanted, scp_error *error)
{
    char line[LINE_BYTES];
    struct stat status;
    int result = 0;
    memset(out, 0, sizeof *out);
    FILE *file = fopen(path, "re");
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        scp_fail(error, "users_file: cannot read %s: %s", path, strerror(errno));
        if (file != NULL)
            fclose(file);
        return -1;
    }
    out->strangers_read = (status.st_mode & S_IROTH) != 0;
    if (status.st_size > MOST_FILE_BYTES)
        result = scp_fail(error, "users_file: %s is over 4 MiB", path);
    for (unsigned n = 1; result == 0 && fgets(line, sizeof line, file) != NULL; n++) {
        scp_error why = SCP_ERROR_INIT;
        if (strchr(line, '\n') == NULL && !feof(file))
            scp_fail(&why, "a line of over %d bytes", LINE_BYTES - 2);
        if (why.message[0] != '\0' || take_line(out, line, wanted, &why) != 0)
            result = scp_fail(error, "users_file: %s:%u: %s", path, n, why.message);
    }
    if (result == 0 && ferror(file))
        result = scp_fail(error, "users_file: cannot read %s", path);
    fclose(file);
    explicit_bzero(line, sizeof line);
    return result;
}

int users_check_file(const char *path, uint32_t *nusers, scp_error *error)
{
    entry all;
    int result = search_file(&all, path, NULL, error);
    *nusers = all.nusers;
    if (result == 0 && all.strangers_read)
        log_event(LOG_WARN, "users.readable", LOG_T("file", path),
                  LOG_T("reason", "everybody on this machine may read the hashes"));
    explicit_bzero(&all, sizeof all);
    return result;
}

/* ---- Who failed lately ---- */

static void address_of(uint8_t out[16], const char *text)
{
    memset(out, 0, 16);
    if (inet_pton(AF_INET6, text, out) == 1)
        memset(out + 8, 0, 8);
    else if (inet_pton(AF_INET, text, out + 12) == 1)
        out[10] = out[11] = 0xff;
}

/* Under the lock: the address's entry, or the one that is given up for it. */
static failures *failures_of(scp_users *users, const char *peer, int64_t now_ms)
{
    uint8_t address[16];
    failures *oldest = &users->failures[0];
    address_of(address, peer);
    for (size_t i = 0; i < ADDRESSES; i++) {
        failures *f = &users->failures[i];
        if (f->count > 0 && memcmp(f->address, address, sizeof address) == 0) {
            if (now_ms - f->since_ms >= USERS_FAILURES_FOR_MS)
                f->count = 0;
            oldest = f;
            break;
        }
        if (f->count == 0 || (oldest->count != 0 && f->since_ms < oldest->since_ms))
            oldest = f;
    }
    if (oldest->count == 0 || memcmp(oldest->address, address, sizeof address) != 0) {
        memcpy(oldest->address, address, sizeof address);
        oldest->count = 0;
    }
    return oldest;
}

static bool begin_check(scp_users *users, const char *peer, int64_t now_ms, scp_error *reason)
{
    bool may = false;
    pthread_mutex_lock(&users->lock);
    if (failures_of(users, peer, now_ms)->count >= USERS_MOST_FAILURES)
        scp_fail(reason, "user identity: too many failures from %s, not looked at for a minute",
                 peer);
    else if (users->nchecks >= USERS_MOST_CHECKS)
        scp_fail(reason, "user identity: %d others are being checked", USERS_MOST_CHECKS);
    else
        may = true;
    users->nchecks += may;
    pthread_mutex_unlock(&users->lock);
    return may;
}

static void end_check(scp_users *users, const char *peer, int64_t now_ms, bool good)
{
    pthread_mutex_lock(&users->lock);
    failures *f = failures_of(users, peer, now_ms);
    if (f->count == 0)
        f->since_ms = now_ms;
    f->count = good ? 0 : f->count + 1;
    users->nchecks--;
    pthread_mutex_unlock(&users->lock);
}

/* ---- The check ---- */

static bool same(const char *a, const char *b)
{
    const size_t n = strlen(a);
    unsigned differ = 0;
    if (strlen(b) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned)(a[i] ^ b[i]);
    return differ == 0;
}

static bool passcode_fits(const entry *user, const char *passcode)
{
    const char *setting = user->hash[0] != '\0'    ? user->hash
                          : user->other[0] != '\0' ? user->other
                                                   : STAND_IN;
    struct crypt_data *data = calloc(1, sizeof *data);
    if (data == NULL)
        return false;
    const char *computed = crypt_rn(passcode, setting, data, sizeof *data);
    bool fits = computed != NULL && same(setting, computed) && user->hash[0] != '\0';
    explicit_bzero(data, sizeof *data);
    free(data);
    return fits;
}

/* True where the user is who it says. */
static bool check(const ul_identity *identity, const char *path, scp_error *reason)
{
    entry user;
    bool good = false;
    if (search_file(&user, path, identity->name, reason) != 0)
        return false;
    if (identity->type == 2)
        good = passcode_fits(&user, identity->passcode);
    if (user.found && user.hash[0] == '\0') /* the name alone is enough */
        good = true;
    if (!good)
        scp_fail(reason, "user identity: wrong user or passcode");
    explicit_bzero(&user, sizeof user);
    return good;
}

bool users_identify(scp_users *users, ul_request *request, identity_mode mode, const char *path,
                    int64_t now_ms, scp_error *reason)
{
    static const char *const kinds[] = {
        "none",           "user name",     "user name and passcode", "Kerberos ticket",
        "SAML assertion", "JSON web token"};
    ul_identity *identity = &request->identity;
    bool good = false;
    if (mode == IDENTITY_OFF) {
        good = true;
    } else if (identity->type == 0) {
        good = mode == IDENTITY_ACCEPT;
        if (!good)
            scp_fail(reason, "user identity: none came, and one is required");
    } else if (identity->type != 1 && identity->type != 2) {
        /* PS3.7 D.3.3.7.2: a kind that is not known gets no answer, and is no fault. */
        good = mode == IDENTITY_ACCEPT;
        if (!good)
            scp_fail(reason, "user identity: type %u (%s) is not supported", identity->type,
                     identity->type < 6 ? kinds[identity->type] : "unknown");
    } else if (begin_check(users, request->peer_address, now_ms, reason)) {
        good = identity->usable;
        if (!good)
            scp_fail(reason, "user identity: name or passcode is empty, too long or no text");
        good = good && check(identity, path, reason);
        end_check(users, request->peer_address, now_ms, good);
        if (good)
            memcpy(request->user, identity->name, sizeof request->user);
        identity->answer = good && identity->answer_wanted;
    }
    explicit_bzero(identity->passcode, sizeof identity->passcode);
    return good;
}

int users_make_line(char *line, size_t size, const char *name, const char *passcode,
                    scp_error *error)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (check_name(name, error) != 0)
        return -1;
    if (passcode[0] == '\0' || strlen(passcode) >= UL_PASSCODE_SIZE)
        return scp_fail(error, "a passcode has 1 to %d bytes", UL_PASSCODE_SIZE - 1);
    struct crypt_data *data = calloc(1, sizeof *data);
    if (data == NULL)
        return scp_fail(error, "out of memory");
    const char *hash = crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof setting) != NULL
                           ? crypt_rn(passcode, setting, data, sizeof *data)
                           : NULL;
    int result = hash != NULL ? 0 : scp_fail(error, "the passcode cannot be hashed");
    if (result == 0 && (size_t)snprintf(line, size, "%s:%s\n", name, hash) >= size)
        result = scp_fail(error, "the line is too long");
    explicit_bzero(data, sizeof *data);
    free(data);
    return result;
}
